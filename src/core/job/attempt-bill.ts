// The billed time of an attempt: by the broker's clock, from when its worker is taken to have begun to run it.

import type { AttemptOutcome } from "./event.ts";
import { type Bill, type Job, type Lease, leaseEndMs } from "./job.ts";
import { priceAttempt } from "./pricing.ts";

/** On a hosted upstream a job may wait once more, so its run began there with the first IN_PROGRESS, if one came. */
function beganAtMs({ ranFromMs, startedAtMs }: Lease): number {
  return ranFromMs ?? startedAtMs;
}

/** How long the attempt ran: never more than its timeout, and without the time after its lease. */
export function executedMs(job: Job, lease: Lease, nowMs: number): number {
  const ranMs = Math.max(Math.min(nowMs, lease.untilMs) - beganAtMs(lease), 0);
  return Math.min(ranMs, job.executionTimeoutMs);
}

/** The lease of a job whose end is reported: it lasted until now. A report may name the longest time of its run. */
export function reportedLease(lease: Lease, outcome: AttemptOutcome, nowMs: number): Lease {
  const untilMs = leaseEndMs(lease);
  const ranMaxMs = "ranMaxMs" in outcome ? outcome.ranMaxMs : undefined;
  if (lease.ranFromMs !== null || ranMaxMs === undefined) return { ...lease, untilMs };
  return { ...lease, untilMs, ranFromMs: Math.max(lease.startedAtMs, nowMs - ranMaxMs) };
}

export function makeBill(job: Job, lease: Lease, executionMs: number, nowMs: number): Omit<Bill, "tokens"> {
  const { tier, rateKind, slots, nanodollarsPerSecond } = lease;
  const price = priceAttempt({ executionMs, kind: rateKind, nanodollarsPerSecond, slots });
  const terms = { tier, rateKind, slots, nanodollarsPerSecond };
  return { seq: job.attempts, ...terms, startedAtMs: beganAtMs(lease), finishedAtMs: nowMs, ...price };
}

/** A job that is ended from outside, with its lease begun at the first IN_PROGRESS; without one it is not billed. */
export function asRun(job: Job, nowMs: number): { readonly job: Job; readonly billed: boolean } {
  const { lease, origin } = job;
  // A relayed request is answered within its call: its upstream is not polled, so no IN_PROGRESS can come.
  if (lease?.ranFromMs === undefined || origin?.endsWithClient === true) return { job, billed: true };
  const { ranFromMs } = lease;
  return { job: { ...job, lease: { ...lease, startedAtMs: ranFromMs ?? nowMs } }, billed: ranFromMs !== null };
}
