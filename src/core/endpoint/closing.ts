// What the broker of a deleted endpoint does next, until it has nothing left: facts → next step. Each step may be done twice,
// and none depends on memory of another one, so that the object may be lost at any point.
import { CLOSED_KEPT_MS, EMPTYING_RETRY_MS } from "./limits.ts";

/**
 * How far an emptying has come. It is in memory only: the object that is started next begins with `begun` again, finds no
 * object in R2, and notes once more what is noted already.
 */
export type EmptyingProgress = "begun" | "objects_gone" | "noted";

export interface ClosingFacts {
  /** Null: the endpoint is not deleted. */
  readonly deletedAtMs: number | null;
  /** Jobs that wait or run. */
  readonly unended: number;
  /** The settings still hold the upstreams at which running jobs are cancelled, with their sealed credentials. */
  readonly holdsUpstreams: boolean;
  /** Load-balanced requests may run, whose ends will owe lines. */
  readonly mayRunRequests: boolean;
  /** Usage lines that their accounts have not taken, and webhooks that are neither delivered nor kept as dead letters. */
  readonly owed: number;
  readonly progress: EmptyingProgress;
}

/**
 * `cancel`: some of the jobs that have not ended. `forget_upstreams`: nothing will be cancelled there any more. Then, once
 * nothing is owed: `drop_objects`: a page of the endpoint's objects in R2. `note`: in D1, that the broker is empty. `erase`:
 * all that the object stores, and its alarm.
 */
export type ClosingStep =
  | { readonly kind: "cancel" | "forget_upstreams" | "drop_objects" | "note" | "erase" }
  /** `untilMs` Infinity: whatever settles what is owed brings the next look. */
  | { readonly kind: "wait"; readonly untilMs: number };

/**
 * The note in D1 comes before the erasing: until all is erased the object has an alarm, which would do both again after a
 * crash. The other way round nobody would note an object that has forgotten that it ever was.
 */
const EMPTYING: Readonly<Record<EmptyingProgress, ClosingStep>> = {
  begun: { kind: "drop_objects" },
  objects_gone: { kind: "note" },
  noted: { kind: "erase" },
};

export function nextClosingStep(facts: ClosingFacts, nowMs: number): ClosingStep {
  const { deletedAtMs, unended, holdsUpstreams, mayRunRequests, owed, progress } = facts;
  if (deletedAtMs === null) return { kind: "wait", untilMs: Number.POSITIVE_INFINITY };
  if (unended > 0) return { kind: "cancel" };
  if (holdsUpstreams) return { kind: "forget_upstreams" };
  if (owed > 0) return { kind: "wait", untilMs: Number.POSITIVE_INFINITY };
  const emptyFromMs = deletedAtMs + CLOSED_KEPT_MS;
  if (nowMs < emptyFromMs) return { kind: "wait", untilMs: emptyFromMs };
  // Nothing sets the alarm when the last request has ended, because their slots are in memory and have a timer.
  if (mayRunRequests) return { kind: "wait", untilMs: nowMs + EMPTYING_RETRY_MS };
  return EMPTYING[progress];
}
