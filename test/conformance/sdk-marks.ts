// How the handlers of our own workers under test and the tests leave files for each other, and end with each other.
import { appendFileSync, existsSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = process.env.WAYBILL_TEST_FOLDER ?? "";
const RUNNER = Number(process.env.WAYBILL_TEST_RUNNER);

/** The tests may be killed where they cannot clean up: then this process ends by itself. */
export function endWithRunner(): void {
  setInterval(() => {
    try {
      process.kill(RUNNER, 0);
    } catch {
      process.exit(1);
    }
  }, 1_000).unref();
}

/** Leaves a file for the test to see, whole or not at all. */
export function mark(name: string, what: string): void {
  const path = join(FOLDER, `${name}.${what}`);
  writeFileSync(`${path}.part`, JSON.stringify({ worker: process.env.RUNPOD_POD_ID, atMs: Date.now() }));
  renameSync(`${path}.part`, path);
}

/** Leaves a line of each run of a handler, which stays when its process is killed in the next moment. */
export function noteRun(name: string, jobId: string): void {
  const run = { jobId, pid: process.pid, atMs: Date.now() };
  appendFileSync(join(FOLDER, `${name}.runs`), `${JSON.stringify(run)}\n`);
}

export function isReleased(name: string): boolean {
  return existsSync(join(FOLDER, `${name}.release`));
}
