// Prices: which rate applies, and what an attempt costs. Integers only: nano-dollars and milliseconds.

/** Flex: each attempt is paid. Active: every second that the worker is held is paid, so its jobs cost nothing more. */
export const RATE_KINDS = ["flex", "active"] as const;
export type RateKind = (typeof RATE_KINDS)[number];

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

/** What an amount depends on beside the time. */
interface Terms {
  readonly kind: RateKind;
  readonly nanodollarsPerSecond: number;
  readonly slots: number;
}

/** Steps × rate is an integer, so only this division rounds. */
function roundedUp(steps: number, nanodollarsPerSecond: number, divisor: number): number {
  const amountNanodollars = Math.ceil((steps * nanodollarsPerSecond) / divisor);
  if (!Number.isSafeInteger(amountNanodollars)) throw new Error("price is not a safe integer");
  return amountNanodollars;
}

/** Active workers' jobs add nothing. */
function amountOf({ kind, nanodollarsPerSecond, slots }: Terms, steps: number, stepsPerSecond: number): number {
  return kind === "active" ? 0 : roundedUp(steps, nanodollarsPerSecond, slots * stepsPerSecond);
}

/** The price of one attempt: full seconds × rate ÷ slots, rounded up once, to the nano-dollar; 0 for active. */
export function priceAttempt({ executionMs, ...terms }: Terms & { readonly executionMs: number }) {
  const seconds = Math.ceil(executionMs / 1_000);
  return { seconds, amountNanodollars: amountOf(terms, seconds, 1) };
}

/** A load-balanced request is billed by started steps of this length, as at RunPod. */
const REQUEST_STEP_MS = 100;

/** The price of a load-balanced request: started 100 ms × rate ÷ slots, rounded up once; 0 for active. Nano-dollars. */
export function priceRequest({ durationMs, ...terms }: Terms & { readonly durationMs: number }) {
  // The first step begins with the request, so that even a request of 0 ms is billed one step.
  const steps = Math.max(1, Math.ceil(durationMs / REQUEST_STEP_MS));
  const billedMs = steps * REQUEST_STEP_MS;
  const amountNanodollars = amountOf(terms, steps, 1_000 / REQUEST_STEP_MS);
  return { billedMs, seconds: Math.ceil(billedMs / 1_000), amountNanodollars };
}

/** The price of whole seconds for which an active upstream or worker is held, in nano-dollars: all of it, not a slot, is paid. */
export function priceHeld(seconds: number, nanodollarsPerSecond: number): number {
  return roundedUp(seconds, nanodollarsPerSecond, 1);
}
