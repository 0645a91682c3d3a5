// The simulated fleet over thousands of seeds: no promise breaks, runs repeat exactly, and the rare corners are reached.
import { describe, expect, it } from "vitest";
import { runFleetSeed } from "./run.ts";

const SEEDS = 2_000;
const STEPS = 200;

/** Corners that a run must reach often, or its silence proves nothing. */
const CORNERS = [
  "restart",
  "restart before a call",
  "sweep",
  "hard end of a job",
  "orphan",
  "late machine",
  "closed with a job",
  "unpriced with a job",
  "create done",
  "create no_capacity",
  "create unclear",
  "create unpaid",
  "create denied",
  "create wait",
  "create unreachable",
  "start done",
  "start no_capacity",
  "start unclear",
  "stop done",
  "stop unclear",
  "end done",
  "end gone",
  "end unclear",
  "end unpaid",
  "list listed",
  "list unclear",
  "list unreachable",
] as const;

describe("the simulated fleet", () => {
  it(`keeps every promise over ${SEEDS} seeds of ${STEPS} steps and reaches the rare corners`, {
    timeout: 300_000,
  }, () => {
    const seen = new Map<string, number>();
    const notes: string[] = [];
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const run = runFleetSeed(seed, STEPS);
      for (const [corner, times] of run.seen) seen.set(corner, (seen.get(corner) ?? 0) + times);
      for (const note of run.notes)
        notes.push(`${note} - replay: npm run sim -- fleet --seed ${seed} --steps ${STEPS}`);
    }
    expect(notes).toEqual([]);
    expect(CORNERS.filter((corner) => (seen.get(corner) ?? 0) < 100)).toEqual([]);
  });

  it("gives the same end twice for the same seed, and different ends for different seeds", () => {
    const digests = new Set<string>();
    for (let seed = 1; seed <= 50; seed += 1) {
      const { digest } = runFleetSeed(seed, STEPS);
      expect(runFleetSeed(seed, STEPS).digest).toBe(digest);
      digests.add(digest);
    }
    expect(digests.size).toBeGreaterThan(45);
  });
});
