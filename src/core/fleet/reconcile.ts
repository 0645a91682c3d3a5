// Brings the machines of a fleet to what is wanted: decides which calls to make to providers, and what becomes of records by time
// alone. The caller stores the changed records before it makes any of the calls.
import type { RateKind } from "../job/pricing.ts";
import { chooseCandidate, isAffordable } from "./candidates.ts";
import { listDueAtMs, mayCall, nextAtMs, patientUntilMs, providersOf } from "./due.ts";
import {
  type FleetState,
  noteDearer,
  noteGoodStart,
  providerOf,
  putInstance,
  putInstances,
  putProvider,
} from "./fleet-state.ts";
import {
  type Candidate,
  costOf,
  enterPhase,
  type Instance,
  isLive,
  isNewlyReady,
  keptUntilMs,
  wantInstance,
} from "./instance.ts";
import { CALL_LOST_AFTER_MS, INSTANCES_MAX } from "./limits.ts";
import type { Patience } from "./scaler.ts";
import { isPriced, NO_PRICE, payableKind, type StayFacts, whyItLeaves } from "./staying.ts";
import { failStart, type Moment, toBeGone } from "./take-answer.ts";

/** What the broker has seen of the worker of an instance. */
export interface WorkerFacts {
  /** It has asked for a job since the instance was last started. */
  readonly hasAsked: boolean;
  /** It has run a handler since then. */
  readonly hasRun: boolean;
  /** It has reported that it cannot start, as its last word before it ends. */
  readonly hasFailed: boolean;
  /** Jobs or requests that it holds. */
  readonly running: number;
  /** Since when it has held none, epoch ms. */
  readonly idleSinceMs: number;
  /** When it counts as gone if it does not call until then, epoch ms; Infinity: one of its calls is open. */
  readonly goneAtMs: number;
  /** It has lost a job by its silence. */
  readonly isSilent: boolean;
  /** Why it does not work, in its own words; null: it has said nothing. */
  readonly trouble: string | null;
}

export interface FleetFacts extends Moment, StayFacts {
  /** A paused or deleted endpoint starts no job: it has no machine made or started, and keeps those that still run one. */
  readonly isOpen: boolean;
  readonly wanted: number;
  readonly patience: Patience;
  /** So many of the workers are active ones, which are paid for as long as they are held. */
  readonly active: number;
  readonly release: number;
  readonly candidates: readonly Candidate[];
  /** The most that all machines may cost together, nano-dollars an hour; null: no bound. */
  readonly ceilingNanodollarsPerHour: number | null;
  readonly initTimeoutMs: number;
  /** How long a machine that is created now may live. */
  readonly lifetimeMs: number;
  /** How long a stopped machine is kept; 0: workers are ended, not stopped. */
  readonly stoppedKeptMs: number;
  /** By the id of the instance; absent: its worker has not called since the broker's start. */
  readonly workers: ReadonlyMap<string, WorkerFacts>;
  /** Are the workers called, each where its provider shows it? Absent: they call by themselves. */
  readonly areCalled?: boolean;
  /** From when on every worker that lives has called since the broker's start, epoch ms. */
  readonly allSeenAtMs: number;
  /** Providers that are asked what they have though no record names them: there may be a machine that no record owns. */
  readonly swept: readonly string[];
  /** Ids for new records, as many as are wanted at most. */
  readonly newId: () => string;
}

/** A call to make. The machine's record is in the state that comes with it. */
export type FleetCall =
  | {
      readonly operation: "create" | "start" | "stop" | "end";
      readonly providerId: string;
      readonly instanceId: string;
      readonly no: number;
    }
  | { readonly operation: "list"; readonly providerId: string; readonly no: number };

export interface Plan {
  readonly state: FleetState;
  readonly calls: readonly FleetCall[];
  /** When this has to be looked at again by time alone, epoch ms. */
  readonly nextAtMs: number;
}

export function reconcile(before: FleetState, facts: FleetFacts): Plan {
  let state = before;
  for (const instance of before.instances.values()) state = age(state, instance, facts);
  state = keepCeiling(matchWanted(state, facts), facts);
  const calls: FleetCall[] = [];
  for (const instance of [...state.instances.values()]) {
    const call = nextCall(state, instance, facts);
    if (call === null) continue;
    state = call.state;
    calls.push(call.call);
  }
  for (const providerId of new Set([...providersOf(state), ...facts.swept])) {
    const isSwept = facts.swept.includes(providerId) && providerOf(state, providerId).listing === null;
    if (!isSwept && listDueAtMs(state, providerId, facts) > facts.nowMs) continue;
    const provider = providerOf(state, providerId);
    const no = provider.lists + 1;
    state = putProvider(state, providerId, { lists: no, listing: { no, atMs: facts.nowMs } });
    calls.push({ operation: "list", providerId, no });
  }
  return { state, calls, nextAtMs: nextAtMs(state, facts) };
}

/** What time, and the worker's own calls, make of one record. */
function age(state: FleetState, instance: Instance, facts: FleetFacts): FleetState {
  const { nowMs } = facts;
  const worker = facts.workers.get(instance.id);
  if (instance.call !== null && nowMs >= instance.call.atMs + CALL_LOST_AFTER_MS) {
    const unclearAtMs = instance.call.operation === "create" ? nowMs : instance.unclearAtMs;
    return age(
      putInstance(state, { ...instance, call: null, unclearAtMs }),
      { ...instance, call: null, unclearAtMs },
      facts,
    );
  }
  switch (instance.phase) {
    case "creating":
    case "starting": {
      if (instance.call === null && !isPriced(instance, facts))
        return putInstance(state, toBeGone(instance, NO_PRICE, nowMs));
      if (worker?.hasFailed === true && instance.call === null) return failOf(state, instance, worker, facts);
      // The worker itself is the surest sign that its machine is there.
      if (worker?.hasAsked === true) {
        return putInstance(state, enterPhase(instance, "ready", nowMs, { readyAtMs: nowMs, unclearAtMs: null }));
      }
      if (instance.call !== null) return state;
      if (nowMs >= instance.endsAtMs)
        return failStart(state, instance, "Its lifetime is shorter than its start.", facts);
      if (nowMs < instance.startedAtMs + facts.initTimeoutMs) return state;
      const seconds = Math.round(facts.initTimeoutMs / 1_000);
      const words = worker?.trouble ?? `It did not ask for a job within ${seconds} s of its start.`;
      return failStart(state, instance, words, facts);
    }
    case "ready":
    case "draining": {
      if (worker?.hasFailed === true) return failOf(state, instance, worker, facts);
      const good = worker?.hasRun === true ? noteGoodStart(state, instance) : state;
      // Whatever runs on it: a job that never ends must not keep a machine that is paid.
      if (nowMs >= instance.endsAtMs) return putInstance(good, toBeGone(instance, "Its lifetime is over.", nowMs));
      if (worker === undefined || worker.goneAtMs <= nowMs) return loseWorker(good, instance, worker, facts);
      if (instance.phase === "draining") {
        if (worker.running > 0) return good;
        return putInstance(good, endOrStop(instance, facts));
      }
      const lastError = whyItLeaves(instance, facts);
      return lastError === null ? good : putInstance(good, retire({ ...instance, lastError }, facts));
    }
    case "stopping":
      if (instance.goal !== "stopped" || nowMs < instance.endsAtMs || instance.call !== null) return state;
      return putInstance(state, toBeGone(instance, "Its lifetime is over.", nowMs));
    case "stopped":
      if (isPriced(instance, facts) && nowMs < Math.min(instance.sinceMs + facts.stoppedKeptMs, keptUntilMs(instance)))
        return state;
      return putInstance(state, toBeGone(instance, null, nowMs));
    default:
      return state;
  }
}

/** A worker that has reported that it cannot start: its machine would only be paid. */
function failOf(state: FleetState, instance: Instance, { trouble }: WorkerFacts, facts: FleetFacts): FleetState {
  return failStart(state, instance, trouble ?? "It reported that it cannot start.", facts);
}

/** A worker that does not call any more. One that has run nothing since it became ready has failed its start. */
function loseWorker(
  state: FleetState,
  instance: Instance,
  worker: WorkerFacts | undefined,
  facts: FleetFacts,
): FleetState {
  // After a start of the broker nobody has called yet.
  if (worker === undefined && facts.nowMs < facts.allSeenAtMs) return state;
  const words = worker?.trouble ?? "It does not call any more.";
  if (worker?.hasRun === false && isNewlyReady(instance, facts.nowMs)) return failStart(state, instance, words, facts);
  return putInstance(state, toBeGone(instance, words, facts.nowMs));
}

/** A worker that is there and is not to stay: it finishes its jobs first. */
function retire(instance: Instance, facts: FleetFacts): Instance {
  const worker = facts.workers.get(instance.id);
  // After a start of the broker a worker may run a job, and has not called yet.
  const isBusy = worker === undefined ? facts.nowMs < facts.allSeenAtMs : worker.running > 0;
  return isBusy ? enterPhase(instance, "draining", facts.nowMs) : endOrStop(instance, facts);
}

/** A worker that is not needed: its machine is stopped where that is wanted and can be done. */
function endOrStop(instance: Instance, facts: FleetFacts): Instance {
  const { nowMs, stoppedKeptMs } = facts;
  const isOld = nowMs + stoppedKeptMs >= instance.endsAtMs || whyItLeaves(instance, facts) !== null;
  const canStop = stoppedKeptMs > 0 && instance.candidate?.canStop === true && !isOld && instance.ref !== null;
  if (!canStop) return toBeGone(instance, null, nowMs);
  return enterPhase(instance, "stopping", nowMs, { goal: "stopped" });
}

/** As many live records as are wanted: first those that are there already, then stopped ones, then new ones. */
function matchWanted(before: FleetState, facts: FleetFacts): FleetState {
  let state = facts.isOpen ? before : dropUnasked(before, facts);
  const live = [...state.instances.values()].filter(isLive);
  let missing = facts.wanted - live.length;
  for (const instance of state.instances.values()) {
    if (missing <= 0) break;
    if (!mayReturn(state, instance, facts)) continue;
    state = putInstance(state, enterPhase(instance, "ready", facts.nowMs));
    missing -= 1;
  }
  if (missing < 0) return giveUp(state, live, -missing, facts);
  return facts.isOpen ? addMissing(state, missing, facts) : state;
}

/** What a closed endpoint has not asked for yet is not asked for any more. */
function dropUnasked(before: FleetState, { nowMs }: FleetFacts): FleetState {
  let state = before;
  for (const instance of before.instances.values()) {
    const { id, phase, goal, call } = instance;
    if (phase === "wanted") state = putInstances(state, new Map([[id, null]]));
    if (phase === "starting" && goal === "running" && call === null)
      state = putInstance(state, toBeGone(instance, null, nowMs));
  }
  return state;
}

/** Has stopped machines started again, the one that stopped last first, as it is the warmest, and then others made. */
function addMissing(before: FleetState, count: number, facts: FleetFacts): FleetState {
  let state = before;
  let missing = count;
  const stopped = [...state.instances.values()].filter(({ phase }) => phase === "stopped");
  for (const instance of stopped.sort((one, other) => other.sinceMs - one.sinceMs)) {
    if (missing <= 0) break;
    if (!isAffordable(state, instance.priceNanodollarsPerHour, facts)) continue;
    // The call to start it is made by nextCall.
    const rateKind = payableKind(kindOfNext(state, facts), instance.candidate, facts);
    const times = { startedAtMs: facts.nowMs, answeredAtMs: null, readyAtMs: null };
    const from = { ...times, rateKind, isResumed: true, url: null };
    state = putInstance(state, enterPhase(instance, "starting", facts.nowMs, { goal: "running", ...from }));
    missing -= 1;
  }
  const room = Math.min(missing, INSTANCES_MAX - state.instances.size);
  for (let made = 0; made < room; made += 1) {
    const id = facts.newId();
    state = putInstance(state, wantInstance(id, kindOfNext(state, facts), facts.release, facts.nowMs));
  }
  return state;
}

function kindOfNext({ instances }: FleetState, { active }: FleetFacts): RateKind {
  const there = [...instances.values()].filter((instance) => isLive(instance) && instance.rateKind === "active");
  return there.length < active ? "active" : "flex";
}

/** A worker that drains, and may go on: it still calls, and the ceiling has room for it among the machines that stay. */
function mayReturn(state: FleetState, instance: Instance, facts: FleetFacts): boolean {
  const { nowMs, workers, ceilingNanodollarsPerHour: ceiling } = facts;
  if (instance.phase !== "draining" || whyItLeaves(instance, facts) !== null) return false;
  const isCalling = (workers.get(instance.id)?.goneAtMs ?? 0) > nowMs;
  return isCalling && (ceiling === null || costOfStaying(state) + instance.priceNanodollarsPerHour <= ceiling);
}

/** What the machines cost, nano-dollars an hour, without those that are on their way out. */
function costOfStaying({ instances }: FleetState): number {
  return costOf([...instances.values()].filter(({ phase }) => phase !== "draining" && phase !== "stopping"));
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
function isOnItsWay({ phase, goal, call }: Instance, { patience }: FleetFacts): boolean {
  if (patience.readyMs === null) return false;
  return phase === "creating" || (phase === "starting" && (goal === null || call !== null));
}

/** Machines that turn out to be dearer than was said, or a ceiling that was lowered: the newest ones go first. */
function keepCeiling(before: FleetState, facts: FleetFacts): FleetState {
  const { ceilingNanodollarsPerHour: ceiling, nowMs } = facts;
  if (ceiling === null) return before;
  let state = before;
  let over = costOfStaying(state) - ceiling;
  const running = [...state.instances.values()].filter(({ phase }) => phase === "starting" || phase === "ready");
  for (const instance of running.toSorted((one, other) => other.createdAtMs - one.createdAtMs)) {
    if (over <= 0) break;
    const { candidate, priceNanodollarsPerHour: price } = instance;
    if (instance.call !== null || price === 0) continue;
    over -= price;
    if (candidate !== null && price > candidate.priceNanodollarsPerHour)
      state = noteDearer(state, candidate, price, nowMs);
    const why = "All machines together would cost more than the endpoint may.";
    const leaving =
      instance.phase === "starting" ? toBeGone(instance, why, nowMs) : retire({ ...instance, lastError: why }, facts);
    state = putInstance(state, leaving);
  }
  return state;
}

/** The call that one record needs now, and the state in which it is under way. Null: none. */
function nextCall(
  state: FleetState,
  instance: Instance,
  facts: FleetFacts,
): { readonly state: FleetState; readonly call: FleetCall } | null {
  const { nowMs } = facts;
  if (instance.call !== null || nowMs < instance.notBeforeMs) return null;
  if (instance.phase === "wanted") {
    if (nowMs < state.crashes.notBeforeMs) return null;
    const candidate = chooseCandidate(state, facts);
    if (candidate === null) return null;
    const creating = enterPhase(instance, "creating", nowMs, {
      candidate,
      rateKind: payableKind(instance.rateKind, candidate, facts),
      providerId: candidate.providerId,
      priceNanodollarsPerHour: candidate.priceNanodollarsPerHour,
      startedAtMs: nowMs,
      endsAtMs: nowMs + facts.lifetimeMs,
      failures: instance.failures,
    });
    return begin(state, creating, candidate.providerId, "create", nowMs);
  }
  const { providerId, ref } = instance;
  const isStart = instance.phase === "starting" && instance.goal === "running";
  if (providerId === null || !mayCall(state, providerId, isStart, nowMs)) return null;
  // It was stopped, and its start has not been answered. Its own price is in the sum already; the ceiling may be lower by now.
  if (isStart) {
    return isAffordable(state, 0, facts) ? begin(state, instance, providerId, "start", nowMs) : null;
  }
  if (instance.phase !== "stopping" || ref === null || instance.endedAtMs !== null) return null;
  return begin(state, instance, providerId, instance.goal === "stopped" ? "stop" : "end", nowMs);
}

function begin(
  state: FleetState,
  instance: Instance,
  providerId: string,
  operation: NonNullable<Instance["call"]>["operation"],
  nowMs: number,
): { readonly state: FleetState; readonly call: FleetCall } {
  const no = instance.calls + 1;
  const asked = { ...instance, calls: no, call: { operation, no, atMs: nowMs } };
  return { state: putInstance(state, asked), call: { operation, providerId, instanceId: instance.id, no } };
}
