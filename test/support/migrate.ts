// Every test file in workerd starts with an empty, migrated D1, and is silent when its tests are over.
import { applyD1Migrations } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll } from "vitest";

await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);

// A broker that a test leaves with a job goes on trying an upstream that nobody listens at, and logs each try. The test pool waits
// for what has been logged before it ends the file, so such a file would never end.
afterAll(() => {
  console.log = () => undefined;
});
