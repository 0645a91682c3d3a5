// What the scaler and the reconciler of a fleet have to know of this moment, read from the memory of the broker.
import type { FleetSettings } from "../../contract/fleet.ts";
import type { Load, ScalingRule } from "../../core/fleet/demand.ts";
import { explainFleet, type FleetWait } from "../../core/fleet/explain.ts";
import { type Candidate, isAtItsEnd } from "../../core/fleet/instance.ts";
import { INIT_DEFAULT_MS } from "../../core/fleet/limits.ts";
import type { WorkerFacts } from "../../core/fleet/reconcile.ts";
import { scheduleChangesAtMs, scheduledMin } from "../../core/fleet/schedule.ts";
import { findRate, type RateKind } from "../../core/job/pricing.ts";
import { WORKER_GONE_AFTER_MS } from "../../core/limits.ts";
import type { RosterWorker } from "../../core/scheduling/worker-roster.ts";
import type { BrokerState } from "../state.ts";
import type { Warm } from "../store/instances.ts";
import { holderOfInstance } from "./machines.ts";

/** What the jobs of the endpoint need at this moment, and when a job next waits for too long, epoch ms. */
export function loadOf(
  { index, machines, endpoint }: BrokerState,
  { rule, slots }: FleetSettings,
  nowMs: number,
): { readonly load: Load; readonly overdueAtMs: number } {
  const delayMs = rule.type === "QUEUE_DELAY" ? rule.delayMs : 0;
  const { waiting, overdue } = index.startable(nowMs - delayMs);
  let running = 0;
  for (const instance of machines.all()) {
    if (!isAtItsEnd(instance, nowMs)) running += index.runningOn(holderOfInstance(instance)).length;
  }
  const spareSlots = waiting === 0 ? 0 : endpoint.pool.freeSlots(nowMs, (id) => !machines.owns(id));
  const load = { waiting, overdue, running, spareSlots, slots };
  return { load, overdueAtMs: overdueAtMs(index, rule, overdue, nowMs) };
}

/** The jobs that are overdue already have been counted; the next one is looked for a moment later. */
function overdueAtMs(index: BrokerState["index"], rule: ScalingRule, overdue: number, nowMs: number): number {
  if (rule.type !== "QUEUE_DELAY") return Number.POSITIVE_INFINITY;
  const oldestAtMs = overdue > 0 ? index.oldestStartableAtMs(nowMs - rule.delayMs) : index.oldestStartableAtMs(0);
  return oldestAtMs + rule.delayMs + 1;
}

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

/** What the workers of the fleet have shown since the broker's start, by the id of their machine. */
export function workersOf({ machines, roster, index, endpoint }: BrokerState): ReadonlyMap<string, WorkerFacts> {
  const startsWithinMs = endpoint.settings?.fleet?.initTimeoutMs ?? INIT_DEFAULT_MS;
  const workers = new Map<string, WorkerFacts>();
  for (const instance of machines.all()) {
    const worker = roster.get(holderOfInstance(instance));
    // What a stopped machine's worker did before it was stopped shows nothing.
    if (worker === undefined || worker.lastSeenAtMs < instance.startedAtMs) continue;
    const running = index.runningOn(worker.holderId).length;
    const mayBeBusy = worker.leaving !== null || roster.stopsOf(worker.holderId).size > 0;
    const quietMs = mayBeBusy || isStarting(worker) ? startsWithinMs : WORKER_GONE_AFTER_MS;
    workers.set(instance.id, factsOf(worker, running, quietMs));
  }
  return workers;
}

/** Its process may have begun anew, so that it loads its model before it asks for a job again. */
function isStarting({ hasTaken, wasCut, lostInARow }: RosterWorker): boolean {
  return !hasTaken || wasCut || lostInARow > 0;
}

/** `quietMs`: a worker that runs nothing, and has not asked for a job for so long, does not come back to it. */
function factsOf(worker: RosterWorker, running: number, quietMs: number): WorkerFacts {
  const { lastSeenAtMs, actedAtMs, freedAtMs, draining, polls } = worker;
  const isThere = running > 0 || polls.size > 0;
  const silentAtMs = lastSeenAtMs + WORKER_GONE_AFTER_MS;
  // Its heartbeats may come from a process of their own, while the one that takes jobs hangs. A drained worker asks in vain.
  const quietAtMs = draining ? silentAtMs : Math.max(actedAtMs, freedAtMs) + quietMs;
  const isQuiet = quietAtMs < silentAtMs;
  return {
    hasAsked: worker.hasTaken,
    hasRun: worker.hasRun,
    // One that still runs jobs has begun before the broker did, and a handler's error may have looked like such a report.
    hasFailed: worker.sick !== null && worker.sick.kind !== "silent" && running === 0,
    running,
    idleSinceMs: worker.actedAtMs,
    goneAtMs: isThere ? Number.POSITIVE_INFINITY : Math.min(silentAtMs, quietAtMs),
    isSilent: worker.sick?.kind === "silent",
    trouble: worker.sick?.detail ?? (isQuiet && !isThere ? QUIET : null),
  };
}

const QUIET = "It calls, but runs nothing and asks for no job.";

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

/** The tiers that have a price of this kind. Those of machines that the endpoint may not have any more are mostly not among them. */
export function pricedTiers({ settings }: BrokerState["endpoint"], kind: RateKind, nowMs: number): ReadonlySet<string> {
  const { rates = [] } = settings ?? {};
  const begun = rates.filter((rate) => rate.kind === kind && rate.effectiveFromMs <= nowMs);
  return new Set(begun.map(({ tier }) => tier));
}
