// What a provider's list of machines changes in a fleet. Names decide: a machine that is not in the list is gone only if the list is
// surely newer than what was done last, and one with a name of this endpoint that no record owns gets a record, by which it is ended.
import { backoffMs } from "../job/backoff.ts";
import {
  endsPauseMs,
  type FleetState,
  noteDone,
  noteRefusal,
  providerOf,
  putInstance,
  putInstances,
  putProvider,
} from "./fleet-state.ts";
import { enterPhase, type Instance, isYetToStart, stayStopped, wantInstance } from "./instance.ts";
import { INSTANCES_MAX, LIST_AGAIN_MS, LIST_LAG_MS, RETRY_BASE_MS, RETRY_MAX_MS, STRAYS_MAX } from "./limits.ts";
import { instanceName, type Listed, namePrefix, type ProviderAnswer, type Refusal } from "./provider.ts";
import { failStart, type Moment, toBeGone, withListed } from "./take-answer.ts";

interface ListAnswer {
  readonly providerId: string;
  readonly no: number;
  readonly endpointId: string;
  /** Ids of machines whose workers are known, and have run nothing since they became ready a short while ago. */
  readonly unproven: ReadonlySet<string>;
  /** Ids of machines whose workers are called, and did not answer when this list lacked them; absent: the workers call by themselves. */
  readonly unreachable?: ReadonlySet<string>;
  /** Ids of machines whose workers have shown that they are there, whatever this list shows of them; absent: none has. */
  readonly there?: ReadonlySet<string>;
}

/** The answer to a list. One that is not the answer to the list under way changes nothing. */
export function takeList(state: FleetState, asked: ListAnswer, answer: ProviderAnswer, moment: Moment): FleetState {
  const { providerId } = asked;
  const provider = providerOf(state, providerId);
  const { nowMs, jitter } = moment;
  if (provider.listing?.no !== asked.no) return state;
  if (answer.kind !== "listed") {
    const refusal: Refusal = isRefusal(answer) ? answer : { kind: "unclear", detail: "The provider gave no list." };
    const refused = noteRefusal(state, providerId, null, refusal, nowMs, jitter, "tending");
    const { failures } = providerOf(refused, providerId).tending;
    const pauseMs = backoffMs(failures, LIST_AGAIN_MS, RETRY_MAX_MS, jitter);
    const own = [...state.instances.values()].filter((instance) => instance.providerId === providerId);
    // One that is not about to end may need the list sooner.
    const endsMs = own.length === 0 ? 0 : Math.min(...own.map((instance) => endsPauseMs(instance, nowMs)));
    const listNotBeforeMs = nowMs + Math.max(pauseMs, endsMs);
    const unlisted = putProvider(refused, providerId, { listing: null, listNotBeforeMs });
    return giveUpUnclear(unlisted, providerId, provider.listing.atMs, nowMs);
  }
  const { atMs } = provider.listing;
  const byName = new Map(answer.instances.map((listed) => [listed.name, listed]));
  let next = putProvider(noteDone(state, providerId, "tending"), providerId, {
    listing: null,
    listedAtMs: atMs,
    listNotBeforeMs: nowMs + LIST_AGAIN_MS,
  });
  for (const instance of state.instances.values()) {
    if (instance.providerId !== providerId) continue;
    const name = instanceName(asked.endpointId, instance.id);
    const listed = byName.get(name);
    byName.delete(name);
    const isUnproven = asked.unproven.has(instance.id);
    const isUnreachable = asked.unreachable?.has(instance.id) === true;
    const isThere = asked.there?.has(instance.id) === true;
    const seen = { ...moment, atMs, isUnproven, isUnreachable, isThere };
    next = listed === undefined ? missing(next, instance, seen) : found(next, instance, listed, seen);
  }
  const prefix = namePrefix(asked.endpointId);
  // Another provider may be of the same account, and its machines have records by which they are kept.
  const orphans = [...byName.values()].filter(
    ({ name, status }) =>
      name.startsWith(prefix) && status !== "ended" && !state.instances.has(name.slice(prefix.length)),
  );
  const there = [...next.instances.values()];
  const room = Math.min(STRAYS_MAX - there.filter(isStray).length, INSTANCES_MAX - there.length);
  const adopted = orphans.slice(0, Math.max(room, 0));
  return putInstances(next, new Map(adopted.map((listed) => adopt(listed, providerId, prefix, nowMs))));
}

/** The provider was asked what an unclear create or start has done, and does not say: another machine may have to do. */
function giveUpUnclear(state: FleetState, providerId: string, atMs: number, nowMs: number): FleetState {
  const unclear = [...state.instances.values()].filter(
    (instance) => isUnclear(instance) && instance.providerId === providerId && isAskedFor(instance, atMs),
  );
  return putInstances(state, new Map(unclear.map((one) => [one.id, toBeGone(one, one.lastError, nowMs)])));
}

function isUnclear(instance: Instance): boolean {
  return instance.phase === "creating" || isYetToStart(instance);
}

/** Had its create or start come to an unclear end when the list was asked for? */
function isAskedFor({ call, unclearAtMs }: Instance, atMs: number): boolean {
  return call === null && unclearAtMs !== null && atMs >= unclearAtMs;
}

function isRefusal(answer: ProviderAnswer): answer is Refusal {
  return answer.kind !== "listed" && answer.kind !== "done" && answer.kind !== "gone";
}

/** A machine that no record owned: it was asked for as no kind of machine. */
function isStray({ candidate, providerId }: Instance): boolean {
  return candidate === null && providerId !== null;
}

function adopt(listed: Listed, providerId: string, prefix: string, nowMs: number): readonly [string, Instance] {
  const id = listed.name.slice(prefix.length);
  const record = { ...withListed(wantInstance(id, "flex", 0, nowMs), listed), providerId };
  return [id, toBeGone(record, "No record owned it.", nowMs)];
}

const NOT_THERE = "Its provider does not have it any more.";
const STILL_THERE =
  "Its provider has taken its end, and still shows it: it may be paid, and its end is asked for again.";

/** What of a list, and of a machine that is in it or missing, is known otherwise. `atMs`: when the list was asked for, epoch ms. */
interface Seen extends Moment {
  readonly atMs: number;
  readonly isUnproven: boolean;
  readonly isUnreachable: boolean;
  readonly isThere: boolean;
}

function found(state: FleetState, before: Instance, listed: Listed, seen: Seen): FleetState {
  const { nowMs, jitter, atMs } = seen;
  const instance = withListed(before, isOfFormerStart(before, listed, atMs) ? { ...listed, url: null } : listed);
  const isOver = listed.status === "ended" || listed.status === "failed";
  switch (instance.phase) {
    case "wanted":
      return putInstance(state, instance);
    case "creating":
      // The create's answer is still to come, or was lost.
      if (instance.call !== null) return state;
      if (!isOver) return putInstance(state, enterPhase(instance, "starting", nowMs, { unclearAtMs: null }));
      return failStart(state, instance, listed.detail ?? "It ended before its worker asked for a job.", seen);
    case "starting":
      if (instance.call !== null || !isDown(instance, listed, atMs)) return putInstance(state, instance);
      if (isYetToStart(instance)) {
        const { unclearAtMs } = instance;
        // What was asked has done nothing. Another machine may take its place while this one has its pause.
        if (listed.status === "stopped" && unclearAtMs !== null && atMs >= unclearAtMs + LIST_LAG_MS)
          return putInstance(state, stayStopped(instance, nowMs));
        // Stopped is what it is to be until its start is asked for, and it may have failed in the run before.
        if (listed.status !== "ended") return putInstance(state, instance);
        return putInstance(state, toBeGone(instance, listed.detail ?? "Its provider has ended it.", nowMs));
      }
      return failStart(state, instance, listed.detail ?? "It ended before its worker asked for a job.", seen);
    case "ready":
    case "draining":
      if (!isDown(instance, listed, atMs)) return putInstance(state, instance);
      // A worker that works is there, whatever its provider says. Once it is silent, that ends it.
      if (seen.isThere) return putInstance(state, instance);
      if (seen.isUnproven)
        return failStart(state, instance, listed.detail ?? "It ended before its worker had finished a job.", seen);
      return putInstance(state, toBeGone(instance, listed.detail ?? "Its provider has ended it.", nowMs));
    case "stopping":
      // A list that is behind may show it as it was before its last start.
      if (instance.goal === "stopped" && isStopped(listed, instance.sinceMs, atMs) && instance.call === null) {
        return putInstance(state, enterPhase(instance, "stopped", nowMs, { stoppedAtMs: nowMs }));
      }
      if (listed.status === "ended" && instance.call === null)
        return putInstances(state, new Map([[instance.id, null]]));
      // The end was taken and did nothing, or the list is older than it.
      if (instance.endedAtMs !== null && atMs >= instance.endedAtMs + LIST_LAG_MS) {
        const failures = instance.failures + 1;
        const notBeforeMs = nowMs + backoffMs(failures, RETRY_BASE_MS, RETRY_MAX_MS, jitter);
        return putInstance(state, { ...instance, endedAtMs: null, failures, notBeforeMs, lastError: STILL_THERE });
      }
      return putInstance(state, instance);
    case "stopped":
      if (listed.status === "stopped" || atMs < instance.sinceMs + LIST_LAG_MS) return putInstance(state, instance);
      return putInstance(state, toBeGone(instance, listed.detail ?? "It did not stay stopped.", nowMs));
  }
}

/** Does it show a machine as it was before it was started again, so that somebody else may be at its address by now? */
function isOfFormerStart({ isResumed, answeredAtMs }: Instance, { status }: Listed, atMs: number): boolean {
  return isResumed && (status === "stopped" || answeredAtMs === null || atMs < answeredAtMs);
}

/**
 * Does a list that was asked for at `atMs` show of a machine which starts, or has started, that it does not run any more? One that is
 * behind may still show as stopped what was started since; it shows nothing as ended that was not.
 */
export function isDown({ phase, sinceMs, readyAtMs, startedAtMs }: Instance, listed: Listed, atMs: number): boolean {
  if (listed.status === "ended" || listed.status === "failed") return true;
  // It has surely run when its worker asked for a job.
  return isStopped(listed, phase === "starting" ? sinceMs : (readyAtMs ?? startedAtMs), atMs);
}

/** Is it stopped, by a list that is surely newer than that time? */
function isStopped({ status }: Listed, sinceMs: number, atMs: number): boolean {
  return status === "stopped" && atMs >= sinceMs + LIST_LAG_MS;
}

function missing(state: FleetState, instance: Instance, seen: Seen): FleetState {
  const { nowMs, atMs, isUnproven, isUnreachable } = seen;
  const isNewer = (sinceMs: number) => atMs >= sinceMs + LIST_LAG_MS;
  switch (instance.phase) {
    case "creating":
      if (!isAskedFor(instance, atMs)) return state;
      // Another one may be created. If this one turns up later all the same, as lists may be behind, its record ends it.
      return putInstance(state, toBeGone(instance, instance.lastError, nowMs));
    case "starting":
      if (instance.call !== null || !isNewer(instance.sinceMs)) return state;
      if (isYetToStart(instance)) return putInstance(state, toBeGone(instance, NOT_THERE, nowMs));
      return failStart(state, instance, NOT_THERE, seen);
    case "stopped":
      return isNewer(instance.sinceMs)
        ? putInstance(state, toBeGone(instance, "Its provider has ended it.", nowMs))
        : state;
    case "stopping": {
      if (instance.call !== null) return state;
      // It was to stop. Whether it is gone is for lists to show that are surely newer than its record.
      if (instance.goal === "stopped") {
        return isNewer(instance.sinceMs)
          ? putInstance(state, toBeGone(instance, "Its provider has ended it.", nowMs))
          : state;
      }
      const isGone = instance.endedAtMs === null ? atMs >= instance.lookUntilMs : isNewer(instance.endedAtMs);
      return isGone ? putInstances(state, new Map([[instance.id, null]])) : state;
    }
    case "ready":
      if (!isUnreachable || !isNewer(instance.readyAtMs ?? instance.startedAtMs)) return state;
      if (isUnproven) return failStart(state, instance, NOT_THERE, seen);
      return putInstance(state, toBeGone(instance, NOT_THERE, nowMs));
    // A worker that asks for jobs is there, whatever its provider says; one that does not is looked at by its silence (reconcile.ts).
    default:
      return state;
  }
}
