// What the settings of an endpoint let its fleet have and keep at this moment, by hours and prices, and why no worker of it is there yet.
import type { FleetSettings } from "../../contract/fleet.ts";
import { explainFleet, type FleetWait } from "../../core/fleet/explain.ts";
import type { Candidate, Instance } from "../../core/fleet/instance.ts";
import { scheduleChangesAtMs, scheduledMin } from "../../core/fleet/schedule.ts";
import { type StayFacts, whyItLeaves } from "../../core/fleet/staying.ts";
import { findRate, type RateKind } from "../../core/job/pricing.ts";
import type { BrokerState } from "../state.ts";
import type { Warm } from "../store/instances.ts";

/** The least that there are to be from `atMs` until `changesAtMs`, epoch ms. */
export interface Least {
  readonly min: number;
  readonly atMs: number;
  readonly changesAtMs: number;
}

/** The least that there are to be now, by settings, schedule and a request to keep warm. */
export function leastOf({ min, schedule }: FleetSettings, warm: Warm | null, nowMs: number): Least {
  const isWarm = warm !== null && nowMs < warm.untilMs;
  const scheduled = schedule === null ? 0 : scheduledMin(schedule, nowMs);
  const scheduleAtMs = schedule === null ? Number.POSITIVE_INFINITY : scheduleChangesAtMs(schedule, nowMs);
  return {
    min: Math.max(min, scheduled, isWarm ? warm.workers : 0),
    atMs: nowMs,
    changesAtMs: Math.min(scheduleAtMs, isWarm ? warm.untilMs : Number.POSITIVE_INFINITY),
  };
}

/**
 * Why no worker of the fleet is there yet; null: none is on its way, or the endpoint has no fleet. `tenantId`: who is told; left out: the
 * endpoint's own tenant.
 */
export function explainWait(
  { endpoint, machines, kept }: BrokerState,
  nowMs: number,
  tenantId = endpoint.settings?.tenantId,
): FleetWait | null {
  const fleet = endpoint.settings?.fleet ?? null;
  if (fleet === null) return null;
  const { ceilingNanodollarsPerHour } = fleet;
  return explainFleet(machines.state, {
    nowMs,
    candidates: pricedCandidates(endpoint, nowMs),
    ceilingNanodollarsPerHour,
    isOwner: tenantId === endpoint.settings?.tenantId,
    usualStart: (isResumed) => kept.timings.usualStart(isResumed),
  });
}

/** The machines that the endpoint may have: those whose work has a price, or nobody could be billed for it. */
export function pricedCandidates({ settings }: BrokerState["endpoint"], nowMs: number): readonly Candidate[] {
  const { fleet = null, rates = [] } = settings ?? {};
  return (fleet?.candidates ?? []).filter(({ tier }) => findRate(rates, tier, "flex", nowMs) !== undefined);
}

/** When a price begins that lets the endpoint have a machine which it may not have now, epoch ms; Infinity: none is announced. */
export function priceBeginsAtMs({ settings }: BrokerState["endpoint"], nowMs: number): number {
  const { fleet = null, rates = [] } = settings ?? {};
  const tiers = new Set((fleet?.candidates ?? []).map(({ tier }) => tier));
  for (const tier of tiers) if (findRate(rates, tier, "flex", nowMs) !== undefined) tiers.delete(tier);
  const announced = rates.filter(({ tier, kind, effectiveFromMs }) => {
    return kind === "flex" && tiers.has(tier) && effectiveFromMs > nowMs;
  });
  return Math.min(...announced.map(({ effectiveFromMs }) => effectiveFromMs));
}

/** What decides which of the machines may go on having jobs. */
export function stayFacts(endpoint: BrokerState["endpoint"], nowMs: number): StayFacts {
  return {
    nowMs,
    pricedTiers: pricedTiers(endpoint, "flex", nowMs),
    activeTiers: pricedTiers(endpoint, "active", nowMs),
  };
}

/** The machines that get no more jobs whatever is wanted. What runs on them, or has run of late, needs no other one in their place. */
export function machinesThatLeave(
  { endpoint, machines }: Pick<BrokerState, "endpoint" | "machines">,
  nowMs: number,
): ReadonlySet<Instance> {
  const facts = stayFacts(endpoint, nowMs);
  return new Set([...machines.all()].filter((one) => whyItLeaves(one, facts) !== null));
}

/** The tiers that have a price of this kind. Those of machines that the endpoint may not have any more are mostly not among them. */
function pricedTiers({ settings }: BrokerState["endpoint"], kind: RateKind, nowMs: number): ReadonlySet<string> {
  const { rates = [] } = settings ?? {};
  const begun = rates.filter((rate) => rate.kind === kind && rate.effectiveFromMs <= nowMs);
  return new Set(begun.map(({ tier }) => tier));
}
