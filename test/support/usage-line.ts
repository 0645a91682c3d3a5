// Lines of the bill as brokers make them.
import type { UsageLine } from "../../src/contract/usage.ts";

/** The line of a job that has run for two seconds; members that are left out have values of no matter. */
export function usageLine(partial: Partial<UsageLine> = {}): UsageLine {
  const { source = crypto.randomUUID() } = partial;
  return {
    source,
    seq: 1,
    endpointId: "ep-1",
    jobId: `${source}-u1`,
    tier: "a4000",
    rateKind: "flex",
    slots: 1,
    nanodollarsPerSecond: 160_000,
    seconds: 2,
    amountNanodollars: 320_000,
    startedAtMs: 1_000,
    finishedAtMs: 3_000,
    billedMs: 2_000,
    tokens: null,
    ...partial,
  };
}
