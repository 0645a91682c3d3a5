// What a provider's answer to a call about one machine changes in a fleet.
import { backoffMs } from "../job/backoff.ts";
import { endsPauseMs, type FleetState, noteCrash, noteDone, noteRefusal, putInstance } from "./fleet-state.ts";
import { enterPhase, type Instance, stayStopped } from "./instance.ts";
import { LIST_LAG_MS, RETRY_BASE_MS, RETRY_MAX_MS, UNCLEAR_KEPT_MS } from "./limits.ts";
import type { Listed, ProviderAnswer, Refusal } from "./provider.ts";

/** A moment, and chance: `jitter` is 0 ≤ j < 1. */
export interface Moment {
  readonly nowMs: number;
  readonly jitter: number;
}

/** The answer to a call about one machine. One that is not the answer to the call under way changes nothing. */
export function takeAnswer(
  state: FleetState,
  { instanceId, no }: { readonly instanceId: string; readonly no: number },
  answer: ProviderAnswer,
  moment: Moment,
): FleetState {
  const instance = state.instances.get(instanceId);
  if (instance === undefined || instance.providerId === null || instance.call?.no !== no) return state;
  const { operation } = instance.call;
  const answered = { ...instance, call: null };
  const { providerId } = instance;
  const sort = operation === "create" || operation === "start" ? "asking" : "tending";
  if (answer.kind === "done")
    return putInstance(noteDone(state, providerId, sort), done(answered, operation, answer.instance, moment));
  if (answer.kind === "gone") return goneAnswer(noteDone(state, providerId, sort), answered, operation, moment);
  if (answer.kind === "listed") throw new Error("a list answers no call about one machine");
  const refused = noteRefusal(
    state,
    providerId,
    operation === "create" ? instance.candidate : null,
    answer,
    moment.nowMs,
    moment.jitter,
    sort,
  );
  return putInstance(refused, refusedOf(answered, operation, answer, moment));
}

type Operation = NonNullable<Instance["call"]>["operation"];

function done(instance: Instance, operation: Operation, listed: Listed | null, { nowMs }: Moment): Instance {
  const seen = listed === null ? instance : withListed(instance, listed);
  if (operation === "create" || operation === "start") {
    const answered = { ...seen, answeredAtMs: nowMs, unclearAtMs: null, lastError: null };
    // Its worker may have asked for a job before the provider had answered, or its end may have come.
    const isAwaited = instance.phase === "creating" || instance.phase === "starting";
    return isAwaited ? enterPhase(answered, "starting", nowMs) : answered;
  }
  if (operation === "stop" && instance.goal === "stopped")
    return enterPhase(seen, "stopped", nowMs, { stoppedAtMs: nowMs });
  // Whether an end that was taken has done anything is for lists to show.
  return operation === "end" ? { ...seen, endedAtMs: nowMs } : { ...seen, failures: 0 };
}

/** The provider does not have the machine. Only an end was meant to come to that. */
function goneAnswer(state: FleetState, instance: Instance, operation: Operation, { nowMs }: Moment): FleetState {
  if (operation === "end") return putInstance(state, { ...instance, endedAtMs: nowMs });
  return putInstance(state, toBeGone(instance, "Its provider does not have it any more.", nowMs));
}

function refusedOf(instance: Instance, operation: Operation, refusal: Refusal, { nowMs, jitter }: Moment): Instance {
  const failures = instance.failures + 1;
  const pauseMs = backoffMs(failures, RETRY_BASE_MS, RETRY_MAX_MS, jitter);
  const notBeforeMs = nowMs + Math.max(pauseMs, endsPauseMs(instance, nowMs));
  const failed = { ...instance, failures, notBeforeMs, lastError: refusal.detail };
  if (operation === "create") {
    if (instance.phase !== "creating") return failed;
    if (refusal.kind === "unclear") return { ...failed, unclearAtMs: nowMs };
    // Surely nothing was made, so that the name is free for another provider.
    return enterPhase(failed, "wanted", nowMs, {
      candidate: null,
      providerId: null,
      priceNanodollarsPerHour: 0,
      lastError: refusal.detail,
    });
  }
  // Its worker has asked for a job meanwhile, so that an earlier start has done what this one was for.
  if (instance.phase === "ready") return { ...failed, failures: 0 };
  const isUseless = refusal.kind === "no_capacity" || refusal.kind === "bad_config";
  // The host of a stopped machine has given its GPU away, or the machine cannot be stopped: it is ended instead.
  if (isUseless && operation !== "end") return toBeGone(failed, refusal.detail, nowMs);
  if (operation !== "start" || instance.phase !== "starting") return failed;
  if (refusal.kind === "unclear") return { ...failed, unclearAtMs: nowMs };
  // Unless an earlier start was unclear, it surely stays as it is: while its provider rests another one may start.
  return failed.unclearAtMs === null ? stayStopped(failed, nowMs) : failed;
}

/** It is to end, whatever it is now. */
export function toBeGone(instance: Instance, lastError: string | null, nowMs: number): Instance {
  if (instance.phase === "stopping" && instance.goal === "gone") return instance;
  // A machine whose create or start was answered is in the lists by then; what else was made may turn up much later.
  const keptMs = instance.answeredAtMs === null ? UNCLEAR_KEPT_MS : LIST_LAG_MS;
  return enterPhase(instance, "stopping", nowMs, {
    goal: "gone",
    endedAtMs: null,
    lookUntilMs: nowMs + keptMs,
    lastError: lastError ?? instance.lastError,
  });
}

/** The record with what its provider shows of the machine: the very same one if it shows nothing new, so that no row is written. */
export function withListed(instance: Instance, listed: Listed): Instance {
  const { ref } = listed;
  const url = listed.url ?? instance.url;
  // A machine that is dearer than was said counts by what it costs.
  const price = Math.max(instance.priceNanodollarsPerHour, listed.priceNanodollarsPerHour ?? 0);
  const isKnown = instance.ref === ref && instance.url === url && instance.priceNanodollarsPerHour === price;
  return isKnown ? instance : { ...instance, ref, url, priceNanodollarsPerHour: price };
}

/** Its worker will not come: the machine is ended, and the next one waits for longer each time. */
export function failStart(
  state: FleetState,
  instance: Instance,
  detail: string,
  { nowMs, jitter }: Moment,
): FleetState {
  return putInstance(noteCrash(state, detail, nowMs, jitter), toBeGone(instance, detail, nowMs));
}
