// Each seeded defect is caught by the oracle within 1,000 seeds: the proof that its silence means something.
import { describe, expect, it } from "vitest";
import { DEFECTS } from "./defects.ts";
import { runSeed } from "./run.ts";

const SEEDS_MAX = 1_000;
const STEPS = 200;

describe("the oracle", () => {
  it("is tried with at least 15 different defects", () => {
    expect(new Set(DEFECTS.map((defect) => defect.name)).size).toBe(DEFECTS.length);
    expect(DEFECTS.length).toBeGreaterThanOrEqual(15);
  });

  it.each(DEFECTS.map((defect) => [defect.name, defect] as const))(
    "notices that %s",
    { timeout: 60_000 },
    (_, defect) => {
      let caught: string | null = null;
      for (let seed = 1; seed <= SEEDS_MAX && caught === null; seed += 1) {
        caught = runSeed(seed, STEPS, defect.core, defect.leaseKeeping).violation?.invariant ?? null;
      }
      expect(caught).not.toBeNull();
    },
  );
});
