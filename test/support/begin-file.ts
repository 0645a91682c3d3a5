// Every test file in workerd starts with an empty, migrated D1, no objects, modules of its own and the real clock, as if its runtime were
// new: the files of a test run share some runtimes, because starting one takes as long as the tests of most files.
import { applyD1Migrations, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, vi } from "vitest";

vi.useRealTimers();
vi.unstubAllGlobals();
vi.restoreAllMocks();
await reset();
await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
// Last, so that a call which the file before has left open ends by the modules that it has: it would wait for new ones until they are
// loaded, and then meet what the tests of this file put in place of fetch.
vi.resetModules();

// A broker that a test leaves with a job goes on trying an upstream that nobody listens at, and logs each try. The test pool waits
// for what has been logged before it ends the file, so such a file would never end.
afterAll(() => {
  vi.spyOn(console, "log").mockImplementation(() => undefined);
});
