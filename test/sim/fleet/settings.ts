// What a simulated endpoint and its providers are set to, drawn from a seed.
import type { ScalingRule } from "../../../src/core/fleet/demand.ts";
import type { Candidate, Instance } from "../../../src/core/fleet/instance.ts";
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
  /** The kinds of machines that it may have: those of its GPUs whose tier has a price. */
  readonly candidates: readonly Candidate[];
  readonly pricedTiers: ReadonlySet<string>;
  /** Workers of these tiers, up to the least that there are to be, are active ones. */
  readonly activeTiers: ReadonlySet<string>;
  /** Slots of a worker that is no machine of the fleet. */
  readonly connectedSlots: number;
}

/** One to three providers with one or two kinds of machines each. */
export function drawKinds(random: Random): readonly Candidate[] {
  const providers = random.integer(1, 3);
  return Array.from({ length: providers }, (_, provider) =>
    Array.from({ length: random.integer(1, 2) }, (_, type) => ({
      providerId: `p${provider}`,
      gpuTypeId: `g${type}`,
      priceNanodollarsPerHour: random.integer(1, 9) * DIME,
      tier: `t${type}`,
      canStop: random.chance(0.5),
    })),
  ).flat();
}

/** `kinds`: all that the endpoint may ever have. Some of them, and the prices of some, may have gone. */
export function drawSettings(random: Random, kinds: readonly Candidate[]): SimSettings {
  const max = random.integer(0, 6);
  const min = random.chance(0.7) ? 0 : random.integer(0, max);
  const own = random.chance(0.8) ? kinds : kinds.filter(() => random.chance(0.5));
  const pricedTiers = new Set(own.map(({ tier }) => tier).filter(() => random.chance(0.95)));
  return {
    rule: random.chance(0.5)
      ? { type: "QUEUE_DELAY", delayMs: random.pick([500, 4_000, 30_000]) }
      : { type: "REQUEST_COUNT", requests: random.integer(1, 3) },
    bounds: { min, max, idleTimeoutMs: random.pick([1_000, 5_000, 60_000]) },
    isOpen: random.chance(0.9),
    ceiling: random.chance(0.5) ? null : random.integer(1, 20) * DIME,
    stoppedKeptMs: random.chance(0.5) ? 0 : 600_000,
    candidates: own.filter(({ tier }) => pricedTiers.has(tier)),
    pricedTiers,
    activeTiers: random.chance(0.7) ? pricedTiers : new Set(),
    connectedSlots: random.chance(0.7) ? 0 : random.integer(1, 2),
  };
}

/** An open endpoint that may have all kinds of machines, as many as that, and no others. */
export function openSettings({ rule }: SimSettings, kinds: readonly Candidate[], max: number): SimSettings {
  const tiers = new Set(kinds.map(({ tier }) => tier));
  return {
    rule,
    bounds: { min: 0, max, idleTimeoutMs: 5_000 },
    isOpen: true,
    ceiling: null,
    stoppedKeptMs: 0,
    candidates: kinds,
    pricedTiers: tiers,
    activeTiers: tiers,
    connectedSlots: 0,
  };
}

/** Can somebody be billed for a job on the machine? */
export function isBillable({ candidate, rateKind }: Instance, { pricedTiers, activeTiers }: SimSettings): boolean {
  return candidate === null || (rateKind === "active" ? activeTiers : pricedTiers).has(candidate.tier);
}
