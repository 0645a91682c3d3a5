// What the scaler and the reconciler of a fleet have to know of this moment, read from the memory of the broker.
import type { FleetSettings } from "../../contract/fleet.ts";
import type { Load, ScalingRule } from "../../core/fleet/demand.ts";
import { explainFleet, type FleetWait } from "../../core/fleet/explain.ts";
import type { Candidate } from "../../core/fleet/instance.ts";
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
  for (const instance of machines.all()) running += index.runningOn(holderOfInstance(instance)).length;
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
export function workersOf({ machines, roster, index }: BrokerState): ReadonlyMap<string, WorkerFacts> {
  const workers = new Map<string, WorkerFacts>();
  for (const instance of machines.all()) {
    const worker = roster.get(holderOfInstance(instance));
    // What a stopped machine's worker did before it was stopped shows nothing.
    if (worker === undefined || worker.lastSeenAtMs < instance.startedAtMs) continue;
    workers.set(instance.id, factsOf(worker, index.runningOn(worker.holderId).length));
  }
  return workers;
}

function factsOf(worker: RosterWorker, running: number): WorkerFacts {
  return {
    hasAsked: worker.hasTaken,
    hasRun: worker.hasRun,
    // One that still runs jobs has begun before the broker did, and a handler's error may have looked like such a report.
    hasFailed: worker.sick !== null && worker.sick.kind !== "silent" && running === 0,
    running,
    idleSinceMs: worker.actedAtMs,
    goneAtMs:
      running > 0 || worker.polls.size > 0 ? Number.POSITIVE_INFINITY : worker.lastSeenAtMs + WORKER_GONE_AFTER_MS,
    isSilent: worker.sick?.kind === "silent",
    trouble: worker.sick?.detail ?? null,
  };
}

/** Why no worker of the fleet is there yet; null: none is on its way, or the endpoint has no fleet. */
export function explainWait({ endpoint, machines, kept }: BrokerState, nowMs: number): FleetWait | null {
  const fleet = endpoint.settings?.fleet ?? null;
  if (fleet === null) return null;
  const { ceilingNanodollarsPerHour } = fleet;
  return explainFleet(machines.state, {
    nowMs,
    candidates: pricedCandidates(endpoint, nowMs),
    ceilingNanodollarsPerHour,
    usualStart: (isResumed) => kept.timings.usualStart(isResumed),
  });
}

/** The machines that the endpoint may have: those whose work has a price, or nobody could be billed for it. */
export function pricedCandidates({ settings }: BrokerState["endpoint"], nowMs: number): readonly Candidate[] {
  const { fleet = null, rates = [] } = settings ?? {};
  return (fleet?.candidates ?? []).filter(({ tier }) => findRate(rates, tier, "flex", nowMs) !== undefined);
}

/** The tiers that have a price of this kind. Those of machines that the endpoint may not have any more are mostly not among them. */
export function pricedTiers({ settings }: BrokerState["endpoint"], kind: RateKind, nowMs: number): ReadonlySet<string> {
  const { rates = [] } = settings ?? {};
  const begun = rates.filter((rate) => rate.kind === kind && rate.effectiveFromMs <= nowMs);
  return new Set(begun.map(({ tier }) => tier));
}
