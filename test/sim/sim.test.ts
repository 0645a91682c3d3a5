// The simulator over thousands of seeds: no promise breaks, runs repeat exactly, and the rare corners are reached.
import { describe, expect, it } from "vitest";
import { runSeed } from "./run.ts";

const SEEDS = 2_000;
const STEPS = 200;

/** Corners that a run must reach often, or its silence proves nothing. */
const CORNERS = [
  "restart",
  "eviction",
  "second restart in a grace",
  "lease lost by a restart",
  "lease lost with its client",
  "word of a holder after its lease",
  "purged while waiting",
  "a job waits for the bound of its tenant",
  "retry FAILED IN_QUEUE",
  "cancel IN_PROGRESS CANCELLED",
  "time IN_PROGRESS TIMED_OUT",
  "time IN_QUEUE TIMED_OUT",
  "lost IN_PROGRESS IN_QUEUE",
  "lost IN_PROGRESS FAILED",
  "stale lost on IN_QUEUE",
  "lease lost without a word",
  "lease lost as it was answered",
  "start failed IN_QUEUE",
  "start failed FAILED",
  "stale finish on IN_PROGRESS",
  "stale finish on IN_QUEUE",
  "stale finish on CANCELLED",
  "stale finish on COMPLETED",
] as const;

describe("the simulated broker", () => {
  it(`keeps every promise over ${SEEDS} seeds of ${STEPS} steps and reaches the rare corners`, {
    timeout: 120_000,
  }, () => {
    const seen = new Map<string, number>();
    const broken: string[] = [];
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const run = runSeed(seed, STEPS);
      for (const [corner, times] of run.seen) seen.set(corner, (seen.get(corner) ?? 0) + times);
      if (run.violation !== null) {
        broken.push(`${run.violation.message} - replay: npm run sim -- --seed ${seed} --steps ${STEPS}`);
      }
    }
    expect(broken).toEqual([]);
    expect(CORNERS.filter((corner) => (seen.get(corner) ?? 0) < 100)).toEqual([]);
  });

  it("gives the same end twice for the same seed, and different ends for different seeds", () => {
    const digests = new Set<string>();
    for (let seed = 1; seed <= 100; seed += 1) {
      const { digest } = runSeed(seed, STEPS);
      expect(runSeed(seed, STEPS).digest).toBe(digest);
      digests.add(digest);
    }
    expect(digests.size).toBeGreaterThan(95);
  });
});
