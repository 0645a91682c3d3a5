// Fifty pulling workers as processes, 5,000 small jobs: with a worker killed each second nothing is lost, accepted twice or billed twice.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seededRandom } from "../chaos/random.ts";
import type { RunningBroker } from "../running/broker.ts";
import { ENDED_MAX_MS, JOBS, startFleet, startPulledBroker, TEST_MAX_MS, WORK_MS } from "./fifty-workers.ts";
import type { Fleet } from "./fleet.ts";
import { acceptedResults, countEach, submitMany, untilAllEnded, usageCounts, wrongStatuses } from "./pulled-jobs.ts";

const KILL_EVERY_MS = 1_000;

const SLUG = "pull-kills";
let broker: RunningBroker;

beforeAll(async () => {
  broker = await startPulledBroker(SLUG);
});

afterAll(async () => {
  await broker?.stop();
});

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
    const slug = SLUG;
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    console.info(`seed ${seed}`);
    const { fleet, gate } = await startFleet(broker, slug);
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
});
