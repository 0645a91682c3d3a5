// Runs seeds of the simulated fleet: each draws its own faults, is checked after every step, healed, and checked at rest.
import { FleetWorld } from "./world.ts";

export interface FleetRun {
  readonly seed: number;
  readonly broken: FleetWorld["broken"];
  readonly notes: readonly string[];
  readonly digest: string;
  readonly seen: ReadonlyMap<string, number>;
}

export function runFleetSeed(seed: number, steps: number): FleetRun {
  const world = new FleetWorld(seed);
  for (let step = 0; step < steps; step += 1) world.step();
  // An hour of crashes in one run of eight.
  if (seed % 8 === 0) world.crash();
  world.heal();
  return { seed, broken: world.broken, notes: world.notes, digest: world.digest(), seen: world.seen };
}
