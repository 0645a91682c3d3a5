// The form in which a tenant sees a usage line.
import type { UsageLine } from "../../contract/usage.ts";
import { isBilledRequest } from "../../core/lb/request-id.ts";

/** A load-balanced request is billed by started 100 ms, beside which whole seconds would contradict its amount. */
export function showLine(line: UsageLine) {
  return {
    jobId: line.jobId,
    endpointId: line.endpointId,
    attempt: line.seq,
    billedMs: line.billedMs ?? undefined,
    seconds: isBilledRequest(line.jobId) ? undefined : line.seconds,
    tier: line.tier,
    rateKind: line.rateKind,
    slots: line.slots,
    nanodollarsPerSecond: line.nanodollarsPerSecond,
    amountNanodollars: line.amountNanodollars,
    amountDollars: showDollars(line.amountNanodollars),
    startedAt: line.startedAtMs,
    finishedAt: line.finishedAtMs,
    tokens: line.tokens ?? undefined,
  };
}

/** The exact amount: nano-dollars have nine decimals, and a float would round them. */
export function showDollars(nanodollars: number): string {
  const digits = String(nanodollars).padStart(10, "0");
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
