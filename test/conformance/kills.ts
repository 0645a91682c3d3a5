// A load of jobs whose workers are disturbed while they run them, and what must have become of every one at the end.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import * as z from "zod";
import { makeJob, submitJob } from "../chaos/jobs.ts";
import { seededRandom } from "../chaos/random.ts";
import { judge } from "../chaos/verdict.ts";
import type { RunningBroker } from "../running/broker.ts";
import { until, type WorkerProcess } from "./worker-processes.ts";

export const JOBS = 300;
export const AT_ONCE = 4;
/** For all of it, in one test. */
export const TAKES_MAX_MS = 170_000;
const WORKERS = 3;
const DISTURBANCES = 10;
/** Seeded times between two: a worker needs some seconds to start and take jobs again. */
const PAUSE_MIN_MS = 2_000;
const PAUSE_SPREAD_MS = 2_000;
/** Spreads the jobs of one disturbance over about as long as it takes with the pause before it. */
const SUBMIT_PACE_MS = 150;

const healthSchema = z.object({ jobs: z.object({ inProgress: z.int(), retried: z.int() }) });

/** What is done to a worker. Resolves with the worker that stands in its place from then on. */
export type Disturb = (victim: WorkerProcess, place: number, random: () => number) => Promise<WorkerProcess>;

/**
 * Runs the jobs on workers of the endpoint `chaos`, disturbs one after the other, and expects every job to be done right and billed once.
 * Resolves with how many jobs took another attempt, and with the ids of all.
 */
export async function runDisturbed(
  broker: RunningBroker,
  start: (place: number) => WorkerProcess,
  disturb: Disturb,
): Promise<{ readonly retried: number; readonly ids: readonly string[] }> {
  const random = seeded();
  const givenUp = AbortSignal.timeout(TAKES_MAX_MS);
  const jobs = Array.from({ length: JOBS }, (_, n) => makeJob(randomUUID(), n));
  const submits: Promise<unknown>[] = [];
  const hands = Array.from({ length: WORKERS }, (_, place) => start(place));
  for (let done = 0; done < DISTURBANCES; done += 1) {
    // Each disturbance brings its share of the jobs: how long all of them take depends on the seed, and every one must find some job running.
    const share = jobs.filter((_, n) => n % DISTURBANCES === done);
    const submitted = Promise.all(
      share.map((job, n) => sleep(n * SUBMIT_PACE_MS).then(() => submitJob(broker, job, givenUp))),
    );
    // A failure is told where it is awaited; until then it must not end the process.
    submitted.catch(() => undefined);
    submits.push(submitted);
    const place = Math.floor(random() * WORKERS);
    await sleep(PAUSE_MIN_MS + random() * PAUSE_SPREAD_MS);
    await until("some job runs", async () => (await countJobs(broker)).inProgress > 0);
    const victim = hands[place];
    if (victim !== undefined) hands[place] = await disturb(victim, place, random);
  }
  await Promise.all(submits);
  expect(await judge(broker, jobs, givenUp)).toEqual({
    ok: true,
    jobs: JOBS,
    lost: 0,
    wrong: 0,
    billedTwice: 0,
    unbilled: 0,
    complaints: [],
  });
  const { retried } = await countJobs(broker);
  console.log(`${retried} of ${JOBS} jobs took another attempt`);
  return { retried, ids: jobs.flatMap(({ id }) => id ?? []) };
}

/** Numbers from 0 to below 1, which WAYBILL_SEED repeats. */
export function seeded(): () => number {
  const seed = Number(process.env.WAYBILL_SEED ?? Date.now() % 1_000_000);
  console.log(`WAYBILL_SEED=${seed} repeats this run`);
  return seededRandom(seed);
}

async function countJobs(broker: RunningBroker) {
  return healthSchema.parse(await (await broker.call("/v2/chaos/health")).json()).jobs;
}
