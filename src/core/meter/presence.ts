// How long an active worker that pulls is held: while it calls. One that is silent for too long was held until its last call.
import { WORKER_GONE_AFTER_MS } from "../limits.ts";
import { SEEN_KEPT_EVERY_MS } from "./limits.ts";

export interface Presence {
  /** Its last call, epoch ms. */
  readonly lastSeenAtMs: number;
  /** It has called since the start of the object. If not, its last call is the last that was written; a later one may be forgotten. */
  readonly isHeard: boolean;
}

/** From when on a worker that stays silent counts as lost, epoch ms. */
export function lostAtMs({ lastSeenAtMs, isHeard }: Presence): number {
  const forgottenMs = isHeard ? 0 : SEEN_KEPT_EVERY_MS;
  return lastSeenAtMs + forgottenMs + WORKER_GONE_AFTER_MS + 1;
}

/**
 * When a worker's hold has ended, epoch ms; null: it goes on. `disabledAtMs`: when its key ends, or was taken away; Infinity: never.
 * Whatever ended it first counts, also if that is noticed later. A worker that has not called since the start of the object is
 * certain to have been there until its last written call, and no longer.
 */
export function heldUntilMs(presence: Presence, disabledAtMs: number, nowMs: number): number | null {
  const { lastSeenAtMs, isHeard } = presence;
  const lostMs = lostAtMs(presence);
  if (nowMs < Math.min(disabledAtMs, lostMs)) return null;
  return disabledAtMs < lostMs && isHeard ? disabledAtMs : Math.min(lastSeenAtMs, disabledAtMs);
}
