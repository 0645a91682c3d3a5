// Fifty pulling workers as processes, 5,000 small jobs: with a worker killed each second nothing is lost, accepted twice or
// billed twice; without kills the load is even.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seededRandom } from "../chaos/random.ts";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { NO_LIMITS } from "../support/stored.ts";
import { Fleet } from "./fleet.ts";
import { type Gate, startGate } from "./gate.ts";
import {
  acceptedResults,
  countEach,
  submitMany,
  untilAllEnded,
  untilIdle,
  usageCounts,
  wrongStatuses,
} from "./pulled-jobs.ts";

const WORKERS = 50;
const JOBS = 5_000;
const WORK_MS = 250;
const KILL_EVERY_MS = 1_000;
/** Between two starts: each costs a core a tenth of a second. */
const START_PACE_MS = 60;
const READY_MAX_MS = 60_000;
const ENDED_MAX_MS = 280_000;
const TEST_MAX_MS = 360_000;

let broker: RunningBroker;

beforeAll(async () => {
  const endpoint = { workers: {}, maxAttempts: 10 };
  broker = await startBroker({ "pull-kills": endpoint, "pull-even": endpoint }, { limits: NO_LIMITS });
});

afterAll(async () => {
  await broker?.stop();
});

/** A fleet of this endpoint with all workers waiting, and a gate through which its results go. */
async function startFleet(slug: string): Promise<{ readonly fleet: Fleet; readonly gate: Gate }> {
  const place = broker.workerKeys[slug];
  if (place === undefined) throw new Error(`${slug} has no workers`);
  const gate = await startGate(broker.url);
  const fleet = new Fleet({ base: broker.url, doneBase: gate.url, ...place });
  try {
    for (let n = 0; n < WORKERS; n += 1) {
      fleet.start(`pod-${n}`);
      await sleep(START_PACE_MS);
    }
    await untilIdle(broker, slug, WORKERS, READY_MAX_MS);
    return { fleet, gate };
  } catch (error) {
    await Promise.all([fleet.stop(), gate.stop()]);
    throw error;
  }
}

/** Kills a random worker each second and starts another one, half of the time under the same id, until `ended`. */
async function killEachSecond(fleet: Fleet, random: () => number, ended: AbortSignal): Promise<number> {
  let kills = 0;
  while (!ended.aborted) {
    await sleep(KILL_EVERY_MS, undefined, { signal: ended }).catch(() => undefined);
    if (ended.aborted) break;
    const { podIds } = fleet;
    const victim = podIds[Math.floor(random() * podIds.length)] ?? "";
    await fleet.kill(victim);
    kills += 1;
    fleet.start(random() < 0.5 ? victim : `fresh-${kills}`);
  }
  return kills;
}

describe("fifty workers and 5,000 jobs", () => {
  it("lose no job and double none while a worker is killed each second", { timeout: TEST_MAX_MS }, async () => {
    const slug = "pull-kills";
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    console.info(`seed ${seed}`);
    const { fleet, gate } = await startFleet(slug);
    const ended = new AbortController();
    const startedMs = Date.now();
    const killing = killEachSecond(fleet, seededRandom(seed), ended.signal);
    try {
      const inputs = await submitMany(broker, slug, JOBS, WORK_MS);
      const submittedMs = Date.now() - startedMs;
      const { jobs } = await untilAllEnded(broker, slug, ENDED_MAX_MS);
      const endedMs = Date.now() - startedMs;
      ended.abort();
      const kills = await killing;
      const accepted = countEach(acceptedResults(gate).map(({ jobId }) => jobId ?? ""));
      const lines = await usageCounts(broker, slug, startedMs, JOBS);
      const wrong = await wrongStatuses(broker, slug, inputs);
      const figures = {
        kills,
        submittedMs,
        endedMs,
        completed: jobs.completed,
        failed: jobs.failed,
        acceptedTwice: [...accepted.values()].filter((count) => count > 1).length,
        acceptedNever: JOBS - accepted.size,
        billedTwice: [...lines.values()].filter((count) => count > 1).length,
        unbilled: [...inputs.keys()].filter((id) => !lines.has(id)).length,
        wrong: wrong.length,
        late: gate.calls.filter(({ body }) => body.includes('"accepted":false')).length,
      };
      console.info(`kills: ${JSON.stringify({ seed, ...figures })}`);
      expect(wrong.slice(0, 5)).toEqual([]);
      expect(figures).toMatchObject({ completed: JOBS, failed: 0, acceptedTwice: 0, billedTwice: 0, unbilled: 0 });
      expect(kills).toBeGreaterThanOrEqual(10);
    } finally {
      ended.abort();
      await killing.catch(() => undefined);
      await Promise.all([fleet.stop(), gate.stop()]);
    }
  });

  it("are spread within 20 % of even", { timeout: TEST_MAX_MS }, async () => {
    const slug = "pull-even";
    const { fleet, gate } = await startFleet(slug);
    const startedMs = Date.now();
    try {
      await submitMany(broker, slug, JOBS, WORK_MS);
      const { jobs } = await untilAllEnded(broker, slug, ENDED_MAX_MS);
      const handled = [...countEach(acceptedResults(gate).map(({ workerId }) => workerId)).values()];
      const figures = {
        endedMs: Date.now() - startedMs,
        workers: handled.length,
        fewest: Math.min(...handled),
        most: Math.max(...handled),
      };
      console.info(`even: ${JSON.stringify(figures)}`);
      expect(jobs).toMatchObject({ completed: JOBS, failed: 0 });
      expect(figures.workers).toBe(WORKERS);
      const share = JOBS / WORKERS;
      expect(figures.fewest).toBeGreaterThanOrEqual(share * 0.8);
      expect(figures.most).toBeLessThanOrEqual(share * 1.2);
    } finally {
      await Promise.all([fleet.stop(), gate.stop()]);
    }
  });
});
