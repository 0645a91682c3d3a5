// Three of RunPod's own workers under load, killed with `kill -9` ten times and started again, now with the same id and now
// with a new one: every job ends with its right output, and is billed once. WAYBILL_SEED repeats the choices.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { makeJob, submitJob } from "../chaos/jobs.ts";
import { seededRandom } from "../chaos/random.ts";
import { judge } from "../chaos/verdict.ts";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";
import { until, type WorkerProcess } from "./worker-processes.ts";

const JOBS = 300;
const WORKERS = 3;
const AT_ONCE = 4;
const KILLS = 10;
/** Seeded times between two kills: a worker needs some seconds to start and take jobs again. */
const KILL_MIN_MS = 2_000;
const KILL_SPREAD_MS = 2_000;
/** Spreads the submits over all of the kills. */
const SUBMIT_PACE_MS = 120;
const TAKES_MAX_MS = 170_000;

const healthSchema = z.object({ jobs: z.object({ inProgress: z.int(), retried: z.int() }) });

describePython("RunPod's Python workers that are killed under load", (interpreters) => {
  const workers = new PythonWorkers(interpreters);
  let broker: RunningBroker;

  beforeAll(async () => {
    broker = await startBroker({ chaos: { workers: { slots: AT_ONCE }, maxAttempts: 10 } });
  });

  afterAll(() => broker?.stop());

  /** Every other worker is of the next version. */
  const start = (place: number, id?: string): WorkerProcess =>
    workers.start(broker, "chaos", {
      version: place % 2 === 0 ? "newest" : "2.0.0rc2",
      mode: "async",
      jobsAtOnce: AT_ONCE,
      ...(id !== undefined && { id }),
    });

  it(
    `complete all of ${JOBS} jobs, each billed once`,
    async () => {
      const seed = Number(process.env.WAYBILL_SEED ?? Date.now() % 1_000_000);
      console.log(`WAYBILL_SEED=${seed} repeats these kills`);
      const random = seededRandom(seed);
      const givenUp = AbortSignal.timeout(TAKES_MAX_MS);
      const jobs = Array.from({ length: JOBS }, (_, n) => makeJob(randomUUID(), n));
      const submits = jobs.map((job, n) => sleep(n * SUBMIT_PACE_MS).then(() => submitJob(broker, job, givenUp)));
      const submitted = Promise.all(submits);
      // A failure is told where it is awaited; until then it must not end the process.
      submitted.catch(() => undefined);
      const hands = Array.from({ length: WORKERS }, (_, place) => start(place));
      for (let kills = 0; kills < KILLS; kills++) {
        const place = Math.floor(random() * WORKERS);
        const keepsId = random() < 0.5;
        await sleep(KILL_MIN_MS + random() * KILL_SPREAD_MS);
        await until("some job runs", async () => (await countJobs()).inProgress > 0);
        const victim = hands[place];
        await victim?.kill9();
        hands[place] = start(place, keepsId ? victim?.id : undefined);
      }
      await submitted;
      expect(await judge(broker, jobs, givenUp)).toEqual({
        ok: true,
        jobs: JOBS,
        lost: 0,
        wrong: 0,
        billedTwice: 0,
        unbilled: 0,
        complaints: [],
      });
      const { retried } = await countJobs();
      console.log(`${retried} of ${JOBS} jobs were in a killed worker's hands`);
      // Otherwise the kills hit only workers that did nothing, and the test has shown nothing.
      expect(retried).toBeGreaterThanOrEqual(KILLS / 2);
    },
    TAKES_MAX_MS + 60_000,
  );

  async function countJobs() {
    return healthSchema.parse(await (await broker.call("/v2/chaos/health")).json()).jobs;
  }
});
