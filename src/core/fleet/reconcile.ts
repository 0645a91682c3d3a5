// Brings the machines of a fleet to what is wanted: decides which calls to make to providers, and what becomes of records by time
// alone. The caller stores the changed records before it makes any of the calls.
import { chooseCandidate, isAffordable } from "./candidates.ts";
import { listDueAtMs, mayCall, nextAtMs, providersOf } from "./due.ts";
import type { FleetFacts, WorkerFacts } from "./fleet-facts.ts";
import { type FleetState, noteDearer, noteGoodStart, providerOf, putInstance, putProvider } from "./fleet-state.ts";
import { costOfStaying, enterPhase, type Instance, isNewlyReady, isYetToStart, keptUntilMs } from "./instance.ts";
import { CALL_LOST_AFTER_MS } from "./limits.ts";
import { matchWanted } from "./match-wanted.ts";
import { endOrStop, retire } from "./retire.ts";
import { isPriced, LIFETIME_OVER, OVER_CEILING, payableKind, whyItLeaves } from "./staying.ts";
import { failStart, toBeGone } from "./take-answer.ts";

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
    const { operation } = instance.call;
    const unclearAtMs = operation === "create" || operation === "start" ? nowMs : instance.unclearAtMs;
    return age(
      putInstance(state, { ...instance, call: null, unclearAtMs }),
      { ...instance, call: null, unclearAtMs },
      facts,
    );
  }
  switch (instance.phase) {
    case "creating":
    case "starting": {
      const whyNot = whyItLeaves(instance, facts);
      const isIdle = instance.call === null && (worker?.running ?? 0) === 0;
      if (whyNot !== null && isIdle) return putInstance(state, toBeGone(instance, whyNot, nowMs));
      if (worker?.hasFailed === true && instance.call === null) return failOf(state, instance, worker, facts);
      // The worker itself is the surest sign that its machine is there.
      if (worker?.hasAsked === true) {
        return putInstance(
          state,
          enterPhase(instance, "ready", nowMs, { readyAtMs: nowMs, unclearAtMs: null, stoppedAtMs: null }),
        );
      }
      if (instance.call !== null) return state;
      const isOver = nowMs >= instance.endsAtMs;
      if (!isOver && nowMs < instance.startedAtMs + facts.initTimeoutMs) return state;
      // That its provider does not start it says nothing of its worker.
      if (isYetToStart(instance)) return putInstance(state, toBeGone(instance, instance.lastError, nowMs));
      if (isOver) return failStart(state, instance, "Its lifetime is shorter than its start.", facts);
      const seconds = Math.round(facts.initTimeoutMs / 1_000);
      const words = worker?.trouble ?? `It did not ask for a job within ${seconds} s of its start.`;
      return failStart(state, instance, words, facts);
    }
    case "ready":
    case "draining": {
      if (worker?.hasFailed === true) return failOf(state, instance, worker, facts);
      const good = worker?.hasRun === true ? noteGoodStart(state, instance) : state;
      // Whatever runs on it: a job that never ends must not keep a machine that is paid.
      if (nowMs >= instance.endsAtMs) return putInstance(good, toBeGone(instance, LIFETIME_OVER, nowMs));
      const lastError = instance.phase === "ready" ? whyItLeaves(instance, facts) : null;
      // After a start of the broker, too, when its worker has not called yet: its first call must not bring it a job.
      if (lastError !== null) return putInstance(good, retire({ ...instance, lastError }, facts));
      if (worker === undefined || worker.goneAtMs <= nowMs) return loseWorker(good, instance, worker, facts);
      const isDone = instance.phase === "draining" && worker.running === 0;
      return isDone ? putInstance(good, endOrStop(instance, facts)) : good;
    }
    case "stopping":
      if (instance.goal !== "stopped" || nowMs < instance.endsAtMs || instance.call !== null) return state;
      return putInstance(state, toBeGone(instance, LIFETIME_OVER, nowMs));
    case "stopped":
      if (isPriced(instance, facts) && nowMs < keptUntilMs(instance, facts.stoppedKeptMs)) return state;
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

/** Machines that turn out to be dearer than was said, or a ceiling that was lowered: the newest ones go first. */
function keepCeiling(before: FleetState, facts: FleetFacts): FleetState {
  const { ceilingNanodollarsPerHour: ceiling, nowMs } = facts;
  if (ceiling === null) return before;
  let state = before;
  let over = costOfStaying(state.instances.values()) - ceiling;
  const running = [...state.instances.values()].filter(({ phase }) => phase === "starting" || phase === "ready");
  for (const instance of running.toSorted((one, other) => other.createdAtMs - one.createdAtMs)) {
    if (over <= 0) break;
    const { candidate, priceNanodollarsPerHour: price } = instance;
    if (instance.call !== null || price === 0) continue;
    over -= price;
    if (candidate !== null && price > candidate.priceNanodollarsPerHour)
      state = noteDearer(state, candidate, price, nowMs);
    const leaving =
      instance.phase === "starting"
        ? toBeGone(instance, OVER_CEILING, nowMs)
        : retire({ ...instance, lastError: OVER_CEILING }, facts);
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
  const isStart = isYetToStart(instance);
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
