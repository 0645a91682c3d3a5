// Every test file in workerd starts with an empty, migrated D1, no objects, modules of its own and the real clock, as if its runtime were
// new: the files of a test run share some runtimes, because starting one takes as long as the tests of most files.
import { applyD1Migrations, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, vi } from "vitest";

vi.useRealTimers();
vi.unstubAllGlobals();
vi.restoreAllMocks();
vi.resetModules();
await reset();
await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);

// A broker that a test leaves with a job goes on trying an upstream that nobody listens at, and logs each try. The test pool waits
// for what has been logged before it ends the file, so such a file would never end.
afterAll(() => {
  vi.spyOn(console, "log").mockImplementation(() => undefined);
});
