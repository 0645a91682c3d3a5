// How many workers an endpoint is to have, and why. A worker is kept for the idle timeout after the last moment at which it was
// needed, so what is wanted is the most that was needed within that time, between the bounds. Nothing is known here of machines: one
// that is starting counts as one that is there, so that a slow start makes no stampede.
import { type Load, type ScalingRule, workersNeeded } from "./demand.ts";

export interface ScalingBounds {
  /** Workers that are always there. A schedule and a request to prewarm raise it (effectiveMin). */
  readonly min: number;
  readonly max: number;
  readonly idleTimeoutMs: number;
}

/** So many workers were needed, for the last time at `untilMs`, epoch ms. */
interface Peak {
  readonly needed: number;
  readonly untilMs: number;
}

/** What the scaler remembers. The peaks fall from first to last, and their times rise; the last one is of the newest look. */
export interface ScalerState {
  readonly peaks: readonly Peak[];
  readonly wanted: number;
  /** Why it was last changed; null: it was not since it began. */
  readonly cause: ScalingReason | null;
}

/**
 * `QUEUE_DELAY`: jobs have waited for longer than the delay. `REQUEST_COUNT`: there are more of them than the workers are to have.
 * `IDLE_TIMEOUT`: nobody has needed the worker for so long. `BOUNDS`: the least or the most that there may be has changed. `CLOSED`:
 * the endpoint is paused or deleted.
 */
export const SCALING_REASONS = ["QUEUE_DELAY", "REQUEST_COUNT", "IDLE_TIMEOUT", "BOUNDS", "CLOSED"] as const;
export type ScalingReason = (typeof SCALING_REASONS)[number];

export interface ScalingFacts {
  readonly rule: ScalingRule;
  readonly load: Load;
  readonly bounds: ScalingBounds;
  /** A paused or deleted endpoint starts no job, and keeps only workers that still run one. */
  readonly isOpen: boolean;
}

export interface Scaled {
  readonly state: ScalerState;
  /** Null: as many as before. */
  readonly reason: ScalingReason | null;
  /** When time alone lowers what is wanted, epoch ms; Infinity: only a change of the facts does. */
  readonly nextAtMs: number;
}

/** The state of a fleet that has `there` workers, of which nothing else is remembered: they are kept for an idle timeout. */
export function beginScaling(there: number, nowMs: number): ScalerState {
  return { peaks: [{ needed: there, untilMs: nowMs }], wanted: there, cause: null };
}

/** So many workers go with the jobs for which they were needed, so that none has to take their place. */
export function letGo(state: ScalerState, workers: number): ScalerState {
  const peaks = state.peaks.map(({ needed, untilMs }) => ({ needed: Math.max(needed - workers, 0), untilMs }));
  return { ...state, peaks };
}

/** Called whenever the facts have changed, and at `nextAtMs`. */
export function scale(state: ScalerState, facts: ScalingFacts, nowMs: number): Scaled {
  const { rule, load, bounds, isOpen } = facts;
  const needed = isOpen ? workersNeeded(rule, load) : Math.ceil(load.running / load.slots);
  const least = isOpen ? Math.min(bounds.min, bounds.max) : 0;
  // A closed endpoint keeps no worker for jobs that may come.
  const peaks = remember(state.peaks, needed, isOpen ? bounds.idleTimeoutMs : 0, nowMs);
  const most = Math.max(peaks[0]?.needed ?? 0, needed);
  const wanted = Math.min(Math.max(most, least), bounds.max);
  const first = peaks[0];
  const falls = first !== undefined && first.needed > Math.max(needed, least);
  const reason = wanted === state.wanted ? null : reasonFor(state, wanted, needed, facts);
  return {
    state: { peaks, wanted, cause: reason ?? state.cause },
    reason,
    nextAtMs: falls ? first.untilMs + bounds.idleTimeoutMs : Number.POSITIVE_INFINITY,
  };
}

/** What becomes of a machine whose worker is not there yet when no job needs it any more: it has been paid for that far. */
export interface Patience {
  /** The most machines that there may be with those that are kept for this; 0: the endpoint is closed. */
  readonly most: number;
  /** For how long one is kept once its worker is ready, ms; null: the least that there is to be has fallen, and none is kept. */
  readonly readyMs: number | null;
}

export function patienceOf({ cause }: ScalerState, { bounds, isOpen }: ScalingFacts): Patience {
  return { most: isOpen ? bounds.max : 0, readyMs: cause === "BOUNDS" ? null : bounds.idleTimeoutMs };
}

/** The peaks with what is needed now as the last one, without those that are as old as the idle timeout. */
function remember(peaks: readonly Peak[], needed: number, idleTimeoutMs: number, nowMs: number): readonly Peak[] {
  const lastAt = peaks.length - 1;
  // What was needed last was needed until now. A clock that was set back must not keep a peak for longer than the timeout.
  const before = peaks.map((peak, at) => ({ ...peak, untilMs: at === lastAt ? nowMs : Math.min(peak.untilMs, nowMs) }));
  const kept = before.filter((peak) => peak.needed > needed && nowMs - peak.untilMs < idleTimeoutMs);
  return [...kept, { needed, untilMs: nowMs }];
}

function reasonFor(before: ScalerState, wanted: number, needed: number, { rule, isOpen }: ScalingFacts): ScalingReason {
  if (!isOpen) return "CLOSED";
  if (wanted > before.wanted) return needed >= wanted ? rule.type : "BOUNDS";
  // What no job had needed was there for the least that there was to be, or the most that there may be has fallen.
  const wasNeeded = before.peaks.some((peak) => peak.needed >= before.wanted);
  return wasNeeded ? "IDLE_TIMEOUT" : "BOUNDS";
}
