// `npm run chaos`: 500 jobs while the broker is killed ten times with `kill -9`. Nothing may be lost or billed twice.
// `--seed N` repeats the times of the kills. Ends with one line of JSON; the exit code is 1 when a promise was broken.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { DevServer } from "../../src/cli/dev-server.ts";
import { type PreparedBroker, prepareBroker } from "../running/broker.ts";
import { type MockWorker, startMockWorker } from "../running/mock-worker.ts";
import { type ClientJob, digestInput, makeJob, submitJob } from "./jobs.ts";
import { seededRandom } from "./random.ts";
import { judge, type Verdict } from "./verdict.ts";

const JOBS = 500;
const KILLS = 10;
/** A kill counts only while the worker has at least so many jobs in hand. */
const IN_FLIGHT_MIN = 10;
/** Times of a kill after the broker answers again. */
const KILL_MIN_MS = 500;
const KILL_MAX_MS = 3_000;
/** Jobs whose carrier was killed hold their slots until 30 s after the last start: all of them must find others. */
const SLOTS = JOBS + 100;
/** Between two submits: each kill finds some jobs running, some just submitted and some not answered yet. */
const SUBMIT_PACE_MS = 60;
/** The waiting ends after this, and everything else soon after, so that a run takes at most 8 minutes. */
const GIVE_UP_MS = 7 * 60_000;

const { values } = parseArgs({ options: { seed: { type: "string" } } });
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const random = seededRandom(seed);
const startMs = Date.now();
const givenUp = AbortSignal.timeout(GIVE_UP_MS);

/** What stands beside the verdict in the last line. */
const tally = { kills: 0, inFlightAtKills: [] as number[] };
let running: DevServer | undefined;
process.once("SIGINT", () => {
  (running?.kill9() ?? Promise.resolve()).finally(() => process.exit(130));
});

const worker = await startMockWorker(digestInput);
const broker = await prepareBroker({ chaos: { url: worker.url, dialect: "http", slots: SLOTS, credential: null } });
const verdict = await run(broker, worker).catch((error: unknown) => ({ ok: false, error: String(error) }));
await running?.kill9();
await worker.stop();
if (verdict.ok) broker.discard();
else console.log(`the broker's state and log are kept in ${broker.folder}`);
console.log(JSON.stringify({ name: "chaos", seed, ...verdict, ...tally, tookMs: Date.now() - startMs }));
process.exit(verdict.ok ? 0 : 1);

async function run(prepared: PreparedBroker, mock: MockWorker): Promise<Verdict> {
  const client = { url: `http://127.0.0.1:${prepared.port}`, key: prepared.key };
  const runId = randomUUID();
  const jobs = Array.from({ length: JOBS }, (_, n) => makeJob(runId, n));
  running = await prepared.launch();
  const submits: Promise<void>[] = [];
  const submit = (wave: readonly ClientJob[]) => {
    for (const [n, job] of wave.entries()) {
      const submitted = sleep(n * SUBMIT_PACE_MS).then(() => submitJob(client, job, givenUp));
      // A failure is told below, when all are awaited; until then it must not end the process.
      submitted.catch(() => undefined);
      submits.push(submitted);
    }
  };
  for (let round = 0; round < KILLS; round++) {
    submit(jobs.slice((round * JOBS) / KILLS, ((round + 1) * JOBS) / KILLS));
    await waitForMoment(mock);
    tally.kills += 1;
    tally.inFlightAtKills.push(mock.inFlight());
    // Resolves only when no process is left and the port is closed.
    await running.kill9();
    running = await prepared.launch();
    console.log(
      `kill ${tally.kills} of ${KILLS}: ${tally.inFlightAtKills.at(-1)} jobs were in flight; it answers again`,
    );
  }
  await Promise.all(submits);
  return judge(client, jobs, givenUp);
}

/** Waits for the seeded time since the broker answers, and on until the kill would count. */
async function waitForMoment(mock: MockWorker): Promise<void> {
  const answeredMs = Date.now();
  await sleep(KILL_MIN_MS + random() * (KILL_MAX_MS - KILL_MIN_MS));
  while (mock.inFlight() < IN_FLIGHT_MIN) {
    if (Date.now() - answeredMs > KILL_MAX_MS) {
      throw new Error(`only ${mock.inFlight()} jobs were in flight ${KILL_MAX_MS} ms after the broker answered`);
    }
    await sleep(20);
  }
}
