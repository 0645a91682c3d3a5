// Prices: which rate applies, and what an attempt costs. Integers only: nano-dollars and milliseconds.

/** Flex: paid per attempt. Active: paid for every second the worker is held, so its jobs add nothing. */
export type RateKind = "flex" | "active";

/** One price of a tier, valid from `effectiveFromMs` until the next row of the same tier and kind. */
export interface Rate {
  readonly tier: string;
  readonly kind: RateKind;
  readonly nanodollarsPerSecond: number;
  readonly effectiveFromMs: number;
}

/** The rate of a tier at a time, in nano-dollars a second; undefined when no row covers it. */
export function findRate(rates: readonly Rate[], tier: string, kind: RateKind, atMs: number): number | undefined {
  let found: Rate | undefined;
  for (const rate of rates) {
    const applies = rate.tier === tier && rate.kind === kind && rate.effectiveFromMs <= atMs;
    if (applies && (found === undefined || rate.effectiveFromMs > found.effectiveFromMs)) found = rate;
  }
  return found?.nanodollarsPerSecond;
}

/** What an amount is made of beside the time. */
interface Terms {
  readonly kind: RateKind;
  readonly nanodollarsPerSecond: number;
  readonly slots: number;
}

/** Steps × rate is whole, so that the only rounding is the one of this division. Active adds nothing. */
function amountOf({ kind, nanodollarsPerSecond, slots }: Terms, steps: number, stepsPerSecond: number): number {
  if (kind === "active") return 0;
  const amountNanodollars = Math.ceil((steps * nanodollarsPerSecond) / (slots * stepsPerSecond));
  if (!Number.isSafeInteger(amountNanodollars)) throw new Error("price is not a safe integer");
  return amountNanodollars;
}

/** The price of one attempt: full seconds × rate ÷ slots, rounded up once, to the nano-dollar. Active adds nothing. */
export function priceAttempt({ executionMs, ...terms }: Terms & { readonly executionMs: number }) {
  const seconds = Math.ceil(executionMs / 1_000);
  return { seconds, amountNanodollars: amountOf(terms, seconds, 1) };
}

/** A load-balanced request is billed by started steps of this length, as at RunPod. */
const REQUEST_STEP_MS = 100;

/** The price of one load-balanced request: started 100 ms × rate ÷ slots, rounded up once, to the nano-dollar. Active adds nothing. */
export function priceRequest({ durationMs, ...terms }: Terms & { readonly durationMs: number }) {
  // The first step has begun with the request.
  const steps = Math.max(1, Math.ceil(durationMs / REQUEST_STEP_MS));
  const billedMs = steps * REQUEST_STEP_MS;
  const amountNanodollars = amountOf(terms, steps, 1_000 / REQUEST_STEP_MS);
  return { billedMs, seconds: Math.ceil(billedMs / 1_000), amountNanodollars };
}
