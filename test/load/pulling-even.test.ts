// Fifty pulling workers as processes, 5,000 small jobs: the load is even.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunningBroker } from "../running/broker.ts";
import { ENDED_MAX_MS, JOBS, startFleet, startPulledBroker, TEST_MAX_MS, WORK_MS, WORKERS } from "./fifty-workers.ts";
import { acceptedResults, countEach, submitMany, untilAllEnded } from "./pulled-jobs.ts";

const SLUG = "pull-even";
let broker: RunningBroker;

beforeAll(async () => {
  broker = await startPulledBroker(SLUG);
});

afterAll(async () => {
  await broker?.stop();
});

describe("fifty workers and 5,000 jobs", () => {
  it("are spread within 20 % of even", { timeout: TEST_MAX_MS }, async () => {
    const slug = SLUG;
    const { fleet, gate } = await startFleet(broker, slug);
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
