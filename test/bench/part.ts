// What both parts of the bench do alike: warm up, and measure the routes in turns.
import type { Target } from "./client.ts";

/** A measured figure and the bound that it must not pass. `key` names it in the last line. */
export interface Finding {
  readonly key: string;
  readonly figure: number;
  readonly max: number;
}

/** The three ways to the upstream: through the broker, through the floor, and past both. */
export interface Routes {
  readonly waybill: Target;
  readonly floor: Target;
  readonly direct: Target;
}

/** Calls of each route before any is measured: connections, caches of keys and settings, V8's optimised code. */
const WARM_UP_CALLS = 200;
const WARM_UP_AT_ONCE = 4;

export async function warmUp(targets: readonly Target[], call: (target: Target) => Promise<unknown>): Promise<void> {
  // One alone first: it sets up the endpoint.
  for (const target of targets) await call(target);
  let left = WARM_UP_CALLS;
  const caller = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      for (const target of targets) await call(target);
    }
  };
  await Promise.all(Array.from({ length: WARM_UP_AT_ONCE }, caller));
}

/**
 * `rounds` calls through the broker and as many through the floor, one at a time and in turns; fewer when the time `endMs`
 * (`performance.now()`) has come. A direct call stands before each: whoever comes right after another call finds workerd awake,
 * which is worth a fifth of the floor, and the broker's work after an answer would be counted as the floor's.
 */
export async function measureInTurns<T>(
  { waybill, floor, direct }: Routes,
  call: (target: Target) => Promise<T>,
  rounds: number,
  endMs: number,
): Promise<Record<keyof Routes, T[]>> {
  const measured: Record<keyof Routes, T[]> = { waybill: [], floor: [], direct: [] };
  for (let round = 0; round < rounds && performance.now() < endMs; round += 1) {
    measured.direct.push(await call(direct));
    measured.waybill.push(await call(waybill));
    measured.direct.push(await call(direct));
    measured.floor.push(await call(floor));
  }
  if (measured.floor.length === 0) throw new Error("the warm-up took all of the time");
  return measured;
}
