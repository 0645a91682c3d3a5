// What a machine of the fleet under kills runs: a worker made with the project's own SDK. It answers the SHA-256 of a job's input after
// half a second to a second, and leaves a line in a file when a handler begins and when it ends.
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { start } from "../../src/sdk/worker.ts";
import { endWithRunner, noteRun } from "./sdk-marks.ts";

const WORK_MIN_MS = 500;
const WORK_SPREAD_MS = 500;

endWithRunner();

await start({
  handler: async ({ id, input }) => {
    noteRun("begun", id);
    const sha256 = createHash("sha256").update(JSON.stringify(input)).digest();
    await sleep(WORK_MIN_MS + (sha256.readUInt16BE() / 65_536) * WORK_SPREAD_MS);
    noteRun("ended", id);
    return { sha256: sha256.toString("hex") };
  },
});
