// The work of a load-balanced endpoint for its fleet: its requests, and what /ping has found of the workers, which are called and call
// nobody.
import type { FleetSettings } from "../../contract/fleet.ts";
import type { Load } from "../../core/fleet/demand.ts";
import type { WorkerFacts } from "../../core/fleet/fleet-facts.ts";
import { type Instance, isLive, isReadyBefore } from "../../core/fleet/instance.ts";
import type { LbLife } from "../../core/lb/pool.ts";
import { LB_SICK_AFTER_MS } from "../../core/limits.ts";
import type { LbSlots } from "../lb/slots.ts";
import type { BrokerState } from "../state.ts";
import type { FleetWork, NeededWork } from "./work.ts";

interface Parts extends Pick<BrokerState, "machines" | "endpoint"> {
  readonly lb: LbSlots;
}

export function requestWork(parts: Parts): FleetWork {
  const { lb } = parts;
  return {
    loadOf: (settings, leaving, nowMs) => loadOf(parts, settings, leaving, nowMs),
    workers: (nowMs) => workersOf(parts, nowMs),
    allSeenAtMs: lb.recalledAtMs,
    isTroubled: ({ id }, nowMs) => isSick(lb.lifeOf(id, nowMs)),
  };
}

function loadOf(
  { machines, endpoint, lb }: Parts,
  { rule, slots }: FleetSettings,
  leaving: ReadonlySet<Instance>,
  nowMs: number,
): NeededWork {
  const delayMs = rule.type === "QUEUE_DELAY" ? rule.delayMs : Number.POSITIVE_INFINITY;
  let waiting = 0;
  let overdue = 0;
  let overdueAtMs = Number.POSITIVE_INFINITY;
  for (const sinceMs of lb.waitingSince()) {
    waiting += 1;
    if (sinceMs + delayMs < nowMs) overdue += 1;
    else overdueAtMs = Math.min(overdueAtMs, sinceMs + delayMs + 1);
  }
  const spareSlots = waiting === 0 ? 0 : lb.freeSlots(nowMs, (id) => machines.get(id) === undefined);
  if (nowMs < lb.recalledAtMs) {
    const isClosed = endpoint.deletion !== null || endpoint.settings?.paused !== false;
    const each = isClosed || rule.type === "QUEUE_DELAY" ? slots : rule.requests;
    const live = [...machines.all()].filter(isLive).length;
    const load = recalledLoad({ waiting, overdue, spareSlots, slots }, live, each);
    return { load, overdueAtMs, knownAtMs: lb.recalledAtMs };
  }
  let running = 0;
  for (const instance of machines.all()) {
    if (!leaving.has(instance)) running += lb.lifeOf(instance.id, nowMs)?.running ?? 0;
  }
  const load = { waiting, overdue, running, spareSlots, slots };
  return { load, overdueAtMs, knownAtMs: Number.POSITIVE_INFINITY };
}

/**
 * Requests of an earlier start of the object may run on any machine, and until they are renewed it is not known which slots are free. Until
 * then as many machines are needed as are there, so that none ends and none is made; where there is none, one is needed to begin with.
 */
function recalledLoad(known: Omit<Load, "running">, live: number, each: number): Load {
  const { waiting, overdue } = known;
  if (live === 0) return { ...known, waiting: Math.min(waiting, 1), overdue: Math.min(overdue, 1), running: 0 };
  return { ...known, waiting: 0, overdue: 0, running: live * each };
}

/**
 * By the id of the machine. Until the requests of an earlier start of the object have been renewed nothing is known of any of them: a
 * machine without a request may be a busy one.
 */
function workersOf({ machines, lb, endpoint }: Parts, nowMs: number): ReadonlyMap<string, WorkerFacts> {
  const workers = new Map<string, WorkerFacts>();
  if (nowMs < lb.recalledAtMs) return workers;
  for (const instance of machines.all()) {
    const mayHaveRun = isReadyBefore(instance, endpoint.startedAtMs);
    workers.set(instance.id, factsOf(instance, lb.lifeOf(instance.id, nowMs), mayHaveRun));
  }
  return workers;
}

/** Does the worker of a machine that was ready answer otherwise now? */
function isSick(life: LbLife | null): boolean {
  return life?.health === "unhealthy" || life?.health === "starting";
}

/** `mayHaveRun`: before the broker's start. */
function factsOf({ startedAtMs, url }: Instance, life: LbLife | null, mayHaveRun: boolean): WorkerFacts {
  const unseen = { hasAsked: false, hasRun: mayHaveRun, hasFailed: false, isSilent: false, running: 0 };
  const noUrl = "Its provider tells no url at which its worker could be called.";
  if (life === null)
    return {
      ...unseen,
      idleSinceMs: startedAtMs,
      goneAtMs: Number.POSITIVE_INFINITY,
      trouble: url === null ? noUrl : NOT_READY,
    };
  const { health, confirmedAtMs, changedAtMs, newestAtMs, servedFromMs, running } = life;
  return {
    // What a stopped machine's worker answered before it was stopped shows nothing.
    hasAsked: health === "ready" && confirmedAtMs >= startedAtMs,
    // A request that has begun may be the one that ends its worker.
    hasRun: mayHaveRun || servedFromMs >= startedAtMs,
    hasFailed: false,
    isSilent: false,
    running,
    idleSinceMs: Math.max(newestAtMs, startedAtMs),
    goneAtMs: isSick(life) && running === 0 ? changedAtMs + LB_SICK_AFTER_MS : Number.POSITIVE_INFINITY,
    trouble: health === "ready" ? null : NOT_READY,
  };
}

const NOT_READY = "Its /ping is not answered by 200.";
