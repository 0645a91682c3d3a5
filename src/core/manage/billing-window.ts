// The time that a question about bills is about, in whole buckets of UTC, as RunPod's billing cuts it (its OpenAPI document 2.0.0).

export const BUCKET_SIZES = ["hour", "day", "week", "month", "year"] as const;
export type BucketSize = (typeof BUCKET_SIZES)[number];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** What a question without a time is about. */
const DEFAULT_MS = 30 * DAY_MS;
/** A week begins on a Monday, as by ISO 8601; the first one of Unix time was its fifth day. */
const FIRST_MONDAY_MS = 4 * DAY_MS;
const WEEK_MS = 7 * DAY_MS;

/** Half-open, epoch ms, both at the border of a bucket. */
export interface BillingWindow {
  readonly startMs: number;
  readonly endMs: number;
}

/** What is asked for; a member that is left out has RunPod's default. `lastN`: so many buckets up to the present one. */
export interface AskedWindow {
  readonly startMs?: number | undefined;
  readonly endMs?: number | undefined;
  readonly lastN?: number | undefined;
  readonly size: BucketSize;
}

/** The window, widened to whole buckets. */
export function billingWindow({ startMs, endMs, lastN, size }: AskedWindow, nowMs: number): BillingWindow {
  if (lastN !== undefined) {
    const presentMs = startOfBucket(nowMs, size);
    return { startMs: shiftBuckets(presentMs, size, 1 - lastN), endMs: shiftBuckets(presentMs, size, 1) };
  }
  const lastMs = endMs ?? nowMs;
  const floorMs = startOfBucket(lastMs, size);
  return {
    startMs: startOfBucket(startMs ?? nowMs - DEFAULT_MS, size),
    endMs: floorMs === lastMs ? lastMs : shiftBuckets(floorMs, size, 1),
  };
}

/** The start of the bucket that a time is in. */
export function startOfBucket(atMs: number, size: BucketSize): number {
  const at = new Date(atMs);
  switch (size) {
    case "hour":
      return atMs - modulo(atMs, HOUR_MS);
    case "day":
      return atMs - modulo(atMs, DAY_MS);
    case "week":
      return atMs - modulo(atMs - FIRST_MONDAY_MS, WEEK_MS);
    case "month":
      return Date.UTC(at.getUTCFullYear(), at.getUTCMonth());
    case "year":
      return Date.UTC(at.getUTCFullYear(), 0);
  }
}

/** The start of the bucket that is so many behind one, or before it. */
export function shiftBuckets(startMs: number, size: BucketSize, count: number): number {
  const start = new Date(startMs);
  switch (size) {
    case "hour":
      return startMs + count * HOUR_MS;
    case "day":
      return startMs + count * DAY_MS;
    case "week":
      return startMs + count * WEEK_MS;
    case "month":
      return Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + count);
    case "year":
      return Date.UTC(start.getUTCFullYear() + count, 0);
  }
}

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}
