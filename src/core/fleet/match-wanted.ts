// Makes of the records of a fleet as many live ones as are wanted, without a call: what is to be asked for has a record first.
import type { RateKind } from "../job/pricing.ts";
import { isAffordable } from "./candidates.ts";
import { mayCall, patientUntilMs } from "./due.ts";
import type { FleetFacts } from "./fleet-facts.ts";
import { type FleetState, putInstance, putInstances } from "./fleet-state.ts";
import {
  costOfStaying,
  enterPhase,
  type Instance,
  isLive,
  isYetToStart,
  stoppedSinceMs,
  wantInstance,
} from "./instance.ts";
import { INSTANCES_MAX } from "./limits.ts";
import { retire } from "./retire.ts";
import { payableKind, whyItLeaves } from "./staying.ts";
import { toBeGone } from "./take-answer.ts";

/**
 * As many live records as are wanted: first those that are there already, then stopped ones, then new ones. A record for which nothing was
 * asked yet costs nothing, and stands back behind a machine that turns up meanwhile.
 */
export function matchWanted(before: FleetState, facts: FleetFacts): FleetState {
  let state = facts.isOpen ? before : dropUnused(before, facts);
  state = takeBack(state, facts);
  if (facts.isOpen) state = startStopped(state, facts);
  const live = [...state.instances.values()].filter(isLive);
  const missing = facts.wanted - live.length;
  if (missing < 0) return giveUp(state, live, -missing, facts);
  return facts.isOpen ? addNew(state, missing, facts) : state;
}

/** What a closed endpoint has not asked for yet is not asked for any more, and a machine that runs nothing ends. */
function dropUnused(before: FleetState, facts: FleetFacts): FleetState {
  let state = before;
  for (const instance of before.instances.values()) {
    const { id, phase, call } = instance;
    if (phase === "wanted") state = putInstances(state, new Map([[id, null]]));
    if (isYetToStart(instance) && call === null) state = putInstance(state, toBeGone(instance, null, facts.nowMs));
    if (phase === "ready" && facts.workers.get(id)?.running === 0) state = putInstance(state, retire(instance, facts));
  }
  return state;
}

/** The live ones that were asked for. */
function askedOf({ instances }: FleetState): readonly Instance[] {
  return [...instances.values()].filter((instance) => isLive(instance) && instance.phase !== "wanted");
}

function missingOf(state: FleetState, { wanted }: FleetFacts): number {
  return wanted - askedOf(state).length;
}

/** Machines that drain get jobs again where they are needed, and why they drained is over. */
function takeBack(before: FleetState, facts: FleetFacts): FleetState {
  let state = before;
  for (const instance of before.instances.values()) {
    if (missingOf(state, facts) <= 0) break;
    if (!mayReturn(state, instance, facts)) continue;
    state = putInstance(state, enterPhase(instance, "ready", facts.nowMs, { lastError: null }));
  }
  return state;
}

/** Stopped machines are started again, the one that stopped last first, as it is the warmest. Their calls are made by nextCall. */
function startStopped(before: FleetState, facts: FleetFacts): FleetState {
  let state = before;
  const stopped = [...state.instances.values()].filter(({ phase }) => phase === "stopped");
  for (const instance of stopped.toSorted((one, other) => stoppedSinceMs(other) - stoppedSinceMs(one))) {
    if (missingOf(state, facts) <= 0) break;
    if (!mayStart(state, instance, facts)) continue;
    const rateKind = payableKind(kindOfNext(askedOf(state), facts), instance.candidate, facts);
    const times = { startedAtMs: facts.nowMs, answeredAtMs: null, readyAtMs: null };
    const from = { ...times, rateKind, isResumed: true, url: null, failures: instance.failures };
    state = putInstance(state, enterPhase(instance, "starting", facts.nowMs, { goal: "running", ...from }));
  }
  return state;
}

/** A machine whose provider starts none at the moment keeps no other one from being asked for. */
function mayStart(state: FleetState, instance: Instance, facts: FleetFacts): boolean {
  const { providerId, notBeforeMs, priceNanodollarsPerHour } = instance;
  if (providerId === null || facts.nowMs < notBeforeMs) return false;
  return mayCall(state, providerId, true, facts.nowMs) && isAffordable(state, priceNanodollarsPerHour, facts);
}

function addNew(before: FleetState, missing: number, facts: FleetFacts): FleetState {
  let state = before;
  const room = Math.min(missing, INSTANCES_MAX - state.instances.size);
  for (let made = 0; made < room; made += 1) {
    const id = facts.newId();
    const kind = kindOfNext([...state.instances.values()].filter(isLive), facts);
    state = putInstance(state, wantInstance(id, kind, facts.release, facts.nowMs));
  }
  return state;
}

/** What the next one is to be beside these. */
function kindOfNext(there: readonly Instance[], { active }: FleetFacts): RateKind {
  return there.filter(({ rateKind }) => rateKind === "active").length < active ? "active" : "flex";
}

/** A worker that drains, and may go on: it still calls, and the ceiling has room for it among the machines that stay. */
function mayReturn(state: FleetState, instance: Instance, facts: FleetFacts): boolean {
  const { nowMs, workers, ceilingNanodollarsPerHour: ceiling } = facts;
  if (instance.phase !== "draining" || whyItLeaves(instance, facts) !== null) return false;
  const isCalling = (workers.get(instance.id)?.goneAtMs ?? 0) > nowMs;
  return (
    isCalling &&
    (ceiling === null || costOfStaying(state.instances.values()) + instance.priceNanodollarsPerHour <= ceiling)
  );
}

/**
 * Gives up so many live records: first those that have cost nothing, then those that have done least. Active workers are kept up to
 * their number; beyond it they go first among those that are as idle.
 */
function giveUp(before: FleetState, live: readonly Instance[], surplus: number, facts: FleetFacts): FleetState {
  let state = before;
  const { nowMs, workers } = facts;
  const running = ({ id }: Instance) => workers.get(id)?.running ?? 0;
  const idleSince = ({ id, sinceMs }: Instance) => workers.get(id)?.idleSinceMs ?? sinceMs;
  const order = (instance: Instance) => ["wanted", "creating", "starting", "ready"].indexOf(instance.phase);
  const flex = ({ rateKind }: Instance) => Number(rateKind === "flex");
  const byUse = live.toSorted(
    (one, other) =>
      order(one) - order(other) ||
      Number(running(one) > 0) - Number(running(other) > 0) ||
      flex(one) - flex(other) ||
      running(one) - running(other) ||
      idleSince(one) - idleSince(other),
  );
  // One that was not asked for yet costs nothing, whatever it was to be.
  const active = byUse.filter(({ phase, rateKind }) => phase !== "wanted" && rateKind === "active");
  const kept = new Set(active.slice(Math.max(active.length - facts.active, 0)));
  // What is on its way is kept for the next job, and is given up when its worker has been there in vain.
  let spare = Math.max(facts.patience.most - facts.wanted, 0);
  let left = surplus;
  const others = byUse.filter((instance) => {
    const isSpared = left > 0 && spare > 0 && isOnItsWay(instance, facts);
    if (isSpared) {
      left -= 1;
      spare -= 1;
    }
    return !isSpared;
  });
  for (const instance of others.toSorted((one, other) => Number(kept.has(one)) - Number(kept.has(other)))) {
    if (left === 0) break;
    left -= 1;
    // A create that is under way may still make something, and is ended once that is clear.
    if (instance.phase === "creating") continue;
    if (instance.phase === "wanted") state = putInstances(state, new Map([[instance.id, null]]));
    else if (instance.phase === "starting") {
      // One whose start is under way is given up once that is answered, and no other one is in its place.
      if (instance.call === null) state = putInstance(state, toBeGone(instance, null, nowMs));
    } else if (spare > 0 && running(instance) === 0 && nowMs < patientUntilMs(instance, facts)) spare -= 1;
    else state = putInstance(state, retire(instance, facts));
  }
  return state;
}

/** Was it asked for, and is its worker not there yet? */
function isOnItsWay(instance: Instance, { patience }: FleetFacts): boolean {
  if (patience.readyMs === null) return false;
  const { phase, call } = instance;
  return phase === "creating" || (phase === "starting" && (!isYetToStart(instance) || call !== null));
}
