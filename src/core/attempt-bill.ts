// What of an attempt is billed: its time by the broker's clock, from when its worker is taken to have run it.
import type { Bill, Job, Lease } from "./job.ts";
import { priceAttempt } from "./pricing.ts";

/** Never more than its timeout, and nothing after its lease. */
export function executedMs(job: Job, lease: Lease, nowMs: number): number {
  const ranMs = Math.max(Math.min(nowMs, lease.untilMs) - lease.startedAtMs, 0);
  return Math.min(ranMs, job.executionTimeoutMs);
}

export function makeBill(job: Job, lease: Lease, executionMs: number, nowMs: number): Omit<Bill, "tokens"> {
  const { tier, rateKind, slots, nanodollarsPerSecond, startedAtMs } = lease;
  const price = priceAttempt({ executionMs, kind: rateKind, nanodollarsPerSecond, slots });
  return {
    seq: job.attempts,
    tier,
    rateKind,
    slots,
    nanodollarsPerSecond,
    startedAtMs,
    finishedAtMs: nowMs,
    ...price,
  };
}

/** A job that is ended from outside, as if its lease had begun when its upstream first said that it runs; not billed before that. */
export function asRun(job: Job, nowMs: number): { readonly job: Job; readonly billed: boolean } {
  const { lease, request } = job;
  // A request that is relayed is answered within its call: nobody asks there how the job stands.
  if (lease?.ranFromMs === undefined || request !== null) return { job, billed: true };
  const { ranFromMs } = lease;
  return { job: { ...job, lease: { ...lease, startedAtMs: ranFromMs ?? nowMs } }, billed: ranFromMs !== null };
}
