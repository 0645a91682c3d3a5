// What a simulated endpoint and its providers are set to, drawn from a seed.
import type { ScalingRule } from "../../../src/core/fleet/demand.ts";
import type { Candidate } from "../../../src/core/fleet/instance.ts";
import type { ScalingBounds } from "../../../src/core/fleet/scaler.ts";
import type { Random } from "../random.ts";

/** A tenth of a dollar an hour, in nano-dollars. */
const DIME = 100_000_000;

export interface SimSettings {
  readonly rule: ScalingRule;
  readonly bounds: ScalingBounds;
  readonly isOpen: boolean;
  readonly ceiling: number | null;
  readonly stoppedKeptMs: number;
  /** Workers up to the least that there are to be are active ones. */
  readonly hasActivePrice: boolean;
  /** Slots of a worker that is no machine of the fleet. */
  readonly connectedSlots: number;
}

/** One to three providers with one or two kinds of machines each. */
export function drawCandidates(random: Random): readonly Candidate[] {
  const providers = random.integer(1, 3);
  return Array.from({ length: providers }, (_, provider) =>
    Array.from({ length: random.integer(1, 2) }, (_, type) => ({
      providerId: `p${provider}`,
      gpuTypeId: `g${type}`,
      priceNanodollarsPerHour: random.integer(1, 9) * DIME,
      tier: "t",
      canStop: random.chance(0.5),
    })),
  ).flat();
}

export function drawSettings(random: Random): SimSettings {
  const max = random.integer(0, 6);
  const min = random.chance(0.7) ? 0 : random.integer(0, max);
  return {
    rule: random.chance(0.5)
      ? { type: "QUEUE_DELAY", delayMs: random.pick([500, 4_000, 30_000]) }
      : { type: "REQUEST_COUNT", requests: random.integer(1, 3) },
    bounds: { min, max, idleTimeoutMs: random.pick([1_000, 5_000, 60_000]) },
    isOpen: random.chance(0.9),
    ceiling: random.chance(0.5) ? null : random.integer(1, 20) * DIME,
    stoppedKeptMs: random.chance(0.5) ? 0 : 600_000,
    hasActivePrice: random.chance(0.7),
    connectedSlots: random.chance(0.7) ? 0 : random.integer(1, 2),
  };
}
