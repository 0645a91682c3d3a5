// Runs seeds of the simulator: each draws its own faults, is checked after every step, healed, and checked at rest.
import { transition } from "../../src/core/job/transition.ts";
import { Violation } from "./invariants.ts";
import { LEASE_KEEPING, type LeaseKeeping, type TransitionFunction } from "./shell.ts";
import { World } from "./world.ts";

export interface SeedRun {
  readonly seed: number;
  /** Null: every promise held. */
  readonly violation: { readonly invariant: string; readonly message: string; readonly step: number } | null;
  readonly digest: string;
  readonly seen: ReadonlyMap<string, number>;
}

/** One seed. Anything but a Violation is a bug of the simulator and is thrown. */
export function runSeed(
  seed: number,
  steps: number,
  core: TransitionFunction = transition,
  leaseKeeping: LeaseKeeping = LEASE_KEEPING,
): SeedRun {
  const world = new World(seed, core, leaseKeeping);
  let step = 0;
  try {
    for (; step < steps; step += 1) world.step();
    world.heal();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    const violation = { invariant: error.invariant, message: error.message, step };
    return { seed, violation, digest: world.digest(), seen: world.oracle.seen };
  }
  return { seed, violation: null, digest: world.digest(), seen: world.oracle.seen };
}
