// The work of a queue endpoint for its fleet: its jobs, and what the workers of the fleet show by their own calls.
import type { FleetSettings } from "../../contract/fleet.ts";
import type { ScalingRule } from "../../core/fleet/demand.ts";
import type { WorkerFacts } from "../../core/fleet/fleet-facts.ts";
import { type Instance, isReadyBefore } from "../../core/fleet/instance.ts";
import { INIT_DEFAULT_MS } from "../../core/fleet/limits.ts";
import { WORKER_GONE_AFTER_MS } from "../../core/limits.ts";
import type { RosterWorker } from "../../core/scheduling/worker-roster.ts";
import type { BrokerState } from "../state.ts";
import { holderOfInstance } from "./machines.ts";
import type { FleetWork, NeededWork } from "./work.ts";

export function jobWork(parts: BrokerState): FleetWork {
  const { endpoint, roster } = parts;
  return {
    loadOf: (settings, leaving, nowMs) => loadOf(parts, settings, leaving, nowMs),
    workers: () => workersOf(parts),
    allSeenAtMs: endpoint.startedAtMs + WORKER_GONE_AFTER_MS,
    isTroubled: (instance) => (roster.get(holderOfInstance(instance))?.sick ?? null) !== null,
  };
}

function loadOf(
  { index, machines, endpoint }: BrokerState,
  { rule, slots }: FleetSettings,
  leaving: ReadonlySet<Instance>,
  nowMs: number,
): NeededWork {
  const delayMs = rule.type === "QUEUE_DELAY" ? rule.delayMs : 0;
  const { waiting, overdue } = index.startable(nowMs - delayMs);
  let running = 0;
  for (const instance of machines.all()) {
    if (!leaving.has(instance)) running += index.runningOn(holderOfInstance(instance)).length;
  }
  const spareSlots = waiting === 0 ? 0 : endpoint.pool.freeSlots(nowMs, (id) => !machines.owns(id));
  const load = { waiting, overdue, running, spareSlots, slots };
  return { load, overdueAtMs: overdueAtMs(index, rule, overdue, nowMs), knownAtMs: Number.POSITIVE_INFINITY };
}

/** The jobs that are overdue already have been counted; the next one is looked for a moment later. */
function overdueAtMs(index: BrokerState["index"], rule: ScalingRule, overdue: number, nowMs: number): number {
  if (rule.type !== "QUEUE_DELAY") return Number.POSITIVE_INFINITY;
  const oldestAtMs = overdue > 0 ? index.oldestStartableAtMs(nowMs - rule.delayMs) : index.oldestStartableAtMs(0);
  return oldestAtMs + rule.delayMs + 1;
}

function workersOf({ machines, roster, index, endpoint }: BrokerState): ReadonlyMap<string, WorkerFacts> {
  const startsWithinMs = endpoint.settings?.fleet?.initTimeoutMs ?? INIT_DEFAULT_MS;
  const workers = new Map<string, WorkerFacts>();
  for (const instance of machines.all()) {
    const worker = roster.get(holderOfInstance(instance));
    // What a stopped machine's worker did before it was stopped shows nothing.
    if (worker === undefined || worker.lastSeenAtMs < instance.startedAtMs) continue;
    const running = index.runningOn(worker.holderId).length;
    const mayBeBusy = worker.leaving !== null || roster.stopsOf(worker.holderId).size > 0;
    const quietMs = mayBeBusy || isStarting(worker) ? startsWithinMs : WORKER_GONE_AFTER_MS;
    workers.set(instance.id, factsOf(instance, worker, running, quietMs, endpoint.startedAtMs));
  }
  return workers;
}

/** Its process may have begun anew, so that it loads its model before it asks for a job again. */
function isStarting({ hasTaken, wasCut, lostInARow }: RosterWorker): boolean {
  return !hasTaken || wasCut || lostInARow > 0;
}

/** `quietMs`: a worker that runs nothing, and has not asked for a job for so long, does not come back to it. */
function factsOf(
  instance: Instance,
  worker: RosterWorker,
  running: number,
  quietMs: number,
  brokerStartedAtMs: number,
): WorkerFacts {
  const { lastSeenAtMs, actedAtMs, freedAtMs, draining, polls } = worker;
  const isThere = running > 0 || polls.size > 0;
  const silentAtMs = lastSeenAtMs + WORKER_GONE_AFTER_MS;
  // Its heartbeats may come from a process of their own, while the one that takes jobs hangs. A drained worker asks in vain.
  const quietAtMs = draining ? silentAtMs : Math.max(actedAtMs, freedAtMs) + quietMs;
  const isQuiet = quietAtMs < silentAtMs;
  return {
    hasAsked: worker.hasTaken,
    // A machine that has served jobs has started well, though its process may have begun anew since.
    hasRun: worker.ranAtMs >= instance.startedAtMs || isReadyBefore(instance, brokerStartedAtMs),
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
