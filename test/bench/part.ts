// What the parts that compare single calls do alike: warm up, and measure the routes in turns, in rounds.

import { percentile } from "../support/figures.ts";
import type { Target } from "./client.ts";

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
 * Each ratio is the median of so many rounds: from one run of the bench to the next it moved by a fifth when it was one
 * ratio of all calls, because minutes on a busy machine differ more than routes do.
 */
const ROUNDS = 5;

/** What the calls of one round have measured, by route. */
export type Round<T> = Readonly<Record<keyof Routes, readonly T[]>>;

/**
 * The rounds, of `callsPerRound` calls of each route; fewer when the time `endMs` (`performance.now()`) has come.
 */
export async function measureInRounds<T>(
  routes: Routes,
  call: (target: Target) => Promise<T>,
  callsPerRound: number,
  endMs: number,
): Promise<readonly Round<T>[]> {
  const rounds: Round<T>[] = [];
  for (let round = 0; round < ROUNDS && performance.now() < endMs; round += 1) {
    rounds.push(await measureInTurns(routes, call, callsPerRound, endMs));
  }
  if (rounds.length === 0) throw new Error("the warm-up took all of the time");
  return rounds;
}

/** What all rounds have measured, by route. */
export function together<T>(rounds: readonly Round<T>[]): Round<T> {
  const all = (route: keyof Routes) => rounds.flatMap((round) => round[route]);
  return { waybill: all("waybill"), floor: all("floor"), direct: all("direct") };
}

/** Of each round the broker's p50 ÷ the floor's. */
export function ratiosOf<T>(rounds: readonly Round<T>[], figureOf: (measured: T) => number): number[] {
  const p50 = (measured: readonly T[]) => percentile(measured.map(figureOf), 0.5);
  return rounds.map(({ waybill, floor }) => p50(waybill) / p50(floor));
}

/**
 * Calls through the broker and as many through the floor, one at a time and in turns. A direct call stands before each:
 * whoever comes right after another call finds workerd awake, which is worth a fifth of the floor, and the broker's work
 * after an answer would be counted as the floor's.
 */
async function measureInTurns<T>(
  { waybill, floor, direct }: Routes,
  call: (target: Target) => Promise<T>,
  calls: number,
  endMs: number,
): Promise<Round<T>> {
  const measured: Record<keyof Routes, T[]> = { waybill: [], floor: [], direct: [] };
  do {
    measured.direct.push(await call(direct));
    measured.waybill.push(await call(waybill));
    measured.direct.push(await call(direct));
    measured.floor.push(await call(floor));
  } while (measured.floor.length < calls && performance.now() < endMs);
  return measured;
}
