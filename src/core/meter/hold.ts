// Active seconds: the time for which an active upstream or worker is held, cut into slices, each of which is one line of the bill.
// Where the cuts are depends on the hold and the prices alone, never on when it is metered: so neither a late alarm nor a restart
// makes a gap, an overlap or another amount.
import { findRate, priceHeld, type Rate } from "../job/pricing.ts";
import { METER_SLICE_MAX_MS } from "./limits.ts";

/** An upstream or worker that is paid for as a whole, from a time on. Times are epoch ms. */
export interface ActiveHold {
  /** A uuid, which names it in the lines of the bill. */
  readonly id: string;
  /** The id of an upstream, or the holder id of a pulling worker. */
  readonly holderId: string;
  /** The key of a pulling worker; null: an upstream. */
  readonly keyId: string | null;
  readonly tier: string;
  /** From here on its seconds are counted. Without a price nothing is held: until its tier has one, this moves along. */
  readonly fromMs: number;
  /** Up to here it is billed: whole seconds after `fromMs`. */
  readonly meteredUntilMs: number;
  /** How many slices are billed. */
  readonly slices: number;
}

/** A part of a hold that is billed by one line. `seq` counts from 1. */
export interface Slice {
  readonly seq: number;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly seconds: number;
  readonly nanodollarsPerSecond: number;
  readonly amountNanodollars: number;
}

/** What metering makes of a hold: the hold afterwards, and the slices to bill. */
export interface Metered {
  readonly hold: ActiveHold;
  readonly slices: readonly Slice[];
}

const SECOND_MS = 1_000;

/** The slices that are over by `untilMs`, up to which it is certain that the hold lasts. What is left begins no slice yet. */
export function cutSlices(hold: ActiveHold, rates: readonly Rate[], untilMs: number): Metered {
  const slices: Slice[] = [];
  let left = skipUnpriced(hold, rates, untilMs);
  for (let endMs = sliceEndMs(left, rates); endMs <= untilMs; endMs = sliceEndMs(left, rates)) {
    left = add(slices, left, rates, endMs);
  }
  return { hold: left, slices };
}

/** The slices of a hold that has ended: the last one is rounded up to whole seconds. A hold may end before what is metered. */
export function closeHold(hold: ActiveHold, rates: readonly Rate[], endMs: number): Metered {
  const { hold: left, slices: full } = cutSlices(hold, rates, endMs);
  const slices = [...full];
  if (left.meteredUntilMs >= endMs || rateOf(left, rates) === undefined) return { hold: left, slices };
  return { hold: add(slices, left, rates, endMs), slices };
}

/** When the slice ends that begins where the hold is metered to, epoch ms; Infinity: the tier has no price there. */
export function sliceEndMs(hold: ActiveHold, rates: readonly Rate[]): number {
  if (rateOf(hold, rates) === undefined) return Number.POSITIVE_INFINITY;
  const { fromMs, meteredUntilMs } = hold;
  const changeMs = nextRateMs(hold, rates);
  // The second in which a price begins has the price at its own start.
  const wholeMs = fromMs + Math.ceil((changeMs - fromMs) / SECOND_MS) * SECOND_MS;
  return Math.min(meteredUntilMs + METER_SLICE_MAX_MS, wholeMs);
}

/** The hold without the time, up to `untilMs`, in which its tier has no price: that time is not held. */
export function skipUnpriced(hold: ActiveHold, rates: readonly Rate[], untilMs: number): ActiveHold {
  if (rateOf(hold, rates) !== undefined || untilMs <= hold.meteredUntilMs) return hold;
  const fromMs = Math.min(nextRateMs(hold, rates), untilMs);
  return { ...hold, fromMs, meteredUntilMs: fromMs };
}

function rateOf({ tier, meteredUntilMs }: ActiveHold, rates: readonly Rate[]): number | undefined {
  return findRate(rates, tier, "active", meteredUntilMs);
}

/** When the next price of the hold begins, epoch ms; Infinity: none is announced. */
function nextRateMs({ tier, meteredUntilMs }: ActiveHold, rates: readonly Rate[]): number {
  const later = rates.filter(
    (rate) => rate.tier === tier && rate.kind === "active" && rate.effectiveFromMs > meteredUntilMs,
  );
  return Math.min(...later.map(({ effectiveFromMs }) => effectiveFromMs));
}

/** Adds the slice up to `endMs`, and returns the hold after it. */
function add(slices: Slice[], hold: ActiveHold, rates: readonly Rate[], endMs: number): ActiveHold {
  const nanodollarsPerSecond = rateOf(hold, rates);
  if (nanodollarsPerSecond === undefined) throw new Error("a slice has no price");
  const seq = hold.slices + 1;
  const startedAtMs = hold.meteredUntilMs;
  const seconds = Math.ceil((endMs - startedAtMs) / SECOND_MS);
  const amountNanodollars = priceHeld(seconds, nanodollarsPerSecond);
  slices.push({ seq, startedAtMs, finishedAtMs: endMs, seconds, nanodollarsPerSecond, amountNanodollars });
  return { ...hold, meteredUntilMs: startedAtMs + seconds * SECOND_MS, slices: seq };
}
