// What the oracle holds against a lease: the signs of life that its carrier gave, which of them a restart of the object leaves
// known, and so when it must be over and what it may be charged. Written from the promises, not from the core.

import type { JobEvent } from "../../src/core/job/event.ts";
import type { Lease } from "../../src/core/job/job.ts";
import type { Context } from "../../src/core/job/transition.ts";
import { periodMs } from "./worker-promises.ts";

export interface Holder {
  lease: Lease;
  /** When its upstream first said that it runs the job; null: not yet. */
  ranFromMs: number | null;
  /** One period after the newest sign of life that the present object has had, or an earlier one has written. */
  untilMs: number;
  /** The same of what is written: all that is known after a restart. */
  writtenUntilMs: number;
  /** The end of the one grace since that sign; 0 before the first restart after it. */
  graceUntilMs: number;
}

export function newHolder(lease: Lease): Holder {
  const { untilMs, startedAtMs, ranFromMs = startedAtMs } = lease;
  return { lease, ranFromMs, untilMs, writtenUntilMs: untilMs, graceUntilMs: 0 };
}

/** The first renewal of an incarnation is written, so that the next start can tell the living from the dead. */
export function renewHolder(holder: Holder, renewed: Lease, context: Context): void {
  if (holder.lease.incarnation !== context.incarnation) holder.writtenUntilMs = renewed.untilMs;
  holder.lease = renewed;
  holder.untilMs = renewed.untilMs;
  holder.graceUntilMs = 0;
}

/** A restart: renewals lived in memory. There is one grace, and no second one before a renewal. */
export function loseMemory(holder: Holder, nowMs: number): void {
  holder.untilMs = holder.writtenUntilMs;
  if (holder.graceUntilMs === 0) holder.graceUntilMs = nowMs + periodMs(holder.lease);
}

/** When the lease must be over. */
export function endMs({ untilMs, graceUntilMs }: Holder): number {
  return Math.max(untilMs, graceUntilMs);
}

/**
 * What an attempt may be charged, ms; null without one. A lease that ended earlier stops the meter, which began when its upstream
 * first said that it runs. One that never said so ran at all only if it came to its own end, and not `fromOutside`.
 */
export function chargedMs(
  holder: Holder | null,
  timeoutMs: number,
  { event, context: { nowMs } }: { readonly event: JobEvent; readonly context: Context },
  fromOutside: boolean,
): number | null {
  if (holder === null) return null;
  // Whoever reports has had the job until then; of a grace without a word nothing is known.
  const knownMs = event.kind === "finish" ? endMs(holder) : holder.untilMs;
  const fromMs = holder.ranFromMs ?? (fromOutside ? nowMs : holder.lease.startedAtMs);
  return Math.min(Math.max(Math.min(nowMs, knownMs) - fromMs, 0), timeoutMs);
}
