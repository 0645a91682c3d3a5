// When a fleet has to be looked at again by time alone, and when a provider is asked what it has.
import { candidateKey, type FleetState, providerOf, troubleOf } from "./fleet-state.ts";
import { type Candidate, type Instance, isYetToStart, keptUntilMs, retiresAtMs } from "./instance.ts";
import {
  CALL_LOST_AFTER_MS,
  CALL_SLOW_AFTER_MS,
  CALLS_MAX,
  FLEET_SWEEP_EVERY_MS,
  LIST_AGAIN_MS,
  LIST_STARTING_MS,
  LIST_UNSHOWN_MS,
} from "./limits.ts";
import type { Patience } from "./scaler.ts";

const NEVER = Number.POSITIVE_INFINITY;

/** The providers that have, or may have, a machine of the fleet. */
export function providersOf({ instances }: FleetState): ReadonlySet<string> {
  return new Set([...instances.values()].flatMap(({ providerId }) => providerId ?? []));
}

/** Until when a provider that has as many calls as it may is waited for, epoch ms; 0: it may be called at once. */
export function busyUntilMs(state: FleetState, providerId: string): number {
  const calls = [...state.instances.values()].filter((one) => one.call !== null && one.providerId === providerId);
  if (calls.length < CALLS_MAX) return 0;
  return Math.min(...calls.map(({ call }) => call?.atMs ?? 0)) + CALL_SLOW_AFTER_MS;
}

/** May the provider be called about a machine that it has? `isStart`: to start it, or else to stop or end it. */
export function mayCall(state: FleetState, providerId: string, isStart: boolean, nowMs: number): boolean {
  return busyUntilMs(state, providerId) === 0 && restsUntilMs(state, providerId, isStart) <= nowMs;
}

/** A provider that gives nothing, such as one that wants money, ends its machines all the same: they are paid until then. */
function restsUntilMs(state: FleetState, providerId: string, isStart: boolean): number {
  return isStart ? troubleEndsAtMs(state, providerId) : providerOf(state, providerId).restsUntilMs;
}

function troubleEndsAtMs(state: FleetState, providerId: string): number {
  return troubleOf(state, providerId)?.untilMs ?? 0;
}

/** When the provider is to be asked what it has, epoch ms. It is asked for one list at a time. */
export function listDueAtMs(
  state: FleetState,
  providerId: string,
  { workers, areCalled }: Pick<DueFacts, "workers" | "areCalled">,
): number {
  const { listing, listedAtMs, listNotBeforeMs } = providerOf(state, providerId);
  if (listing !== null) return listing.atMs + CALL_LOST_AFTER_MS;
  let atMs = NEVER;
  for (const instance of state.instances.values()) {
    if (instance.providerId !== providerId) continue;
    // What has just been created needs no list yet.
    const isSilent = workers.get(instance.id)?.isSilent === true;
    const needsUrl = areCalled === true && lacksUrl(instance);
    // Of a machine that was started again only a list that is newer than the answer to its start shows where it is.
    const fromMs = needsUrl ? (instance.answeredAtMs ?? instance.startedAtMs) : instance.startedAtMs;
    const sinceMs = Math.max(listedAtMs, fromMs);
    atMs = Math.min(atMs, sinceMs + listEveryMs(instance, { isSilent, needsUrl, forMs: sinceMs - fromMs }));
  }
  return Math.max(atMs, listNotBeforeMs);
}

/** Was it started again, and did the answer not tell where it is called from now on? */
function lacksUrl({ phase, isResumed, answeredAtMs, url }: Instance): boolean {
  return phase === "starting" && isResumed && answeredAtMs !== null && url === null;
}

interface Sought {
  readonly isSilent: boolean;
  /** It is to be called, and nobody has told where. */
  readonly needsUrl: boolean;
  /** How long after the machine's start the newest list was asked for. */
  readonly forMs: number;
}

function listEveryMs(instance: Instance, { isSilent, needsUrl, forMs }: Sought): number {
  const { phase, call, unclearAtMs, ref, failures } = instance;
  if (phase === "wanted") return NEVER;
  if (call !== null) return FLEET_SWEEP_EVERY_MS;
  if (phase === "creating" && unclearAtMs !== null) return 0;
  if (phase === "stopping") {
    // The more ends have failed, or done nothing, the later it goes.
    const againMs = isExpectedToGo(instance) ? LIST_AGAIN_MS * 2 ** failures : FLEET_SWEEP_EVERY_MS;
    return Math.min(againMs, FLEET_SWEEP_EVERY_MS);
  }
  // The create or start was taken without showing the machine, as where a newer one has overtaken it. Until a list shows it, it can neither
  // be called nor, without its id, be ended, so it is looked for at once, and then after twice as long each time, as far as the pause that
  // follows every list lets it (listNotBeforeMs).
  const isUnshown = needsUrl || (ref === null && phase === "starting");
  if (isUnshown) return Math.min(Math.max(forMs, LIST_UNSHOWN_MS), LIST_STARTING_MS);
  if (phase === "starting" || ref === null) return LIST_STARTING_MS;
  // Its machine may have died: the provider tells that sooner than a silence which is long enough for any worker.
  if (phase === "ready" && isSilent) return LIST_STARTING_MS;
  return FLEET_SWEEP_EVERY_MS;
}

/** Will the next lists show what has become of it? What an unclear create has made may turn up much later. */
function isExpectedToGo({ endedAtMs, unclearAtMs, ref, answeredAtMs }: Instance): boolean {
  return endedAtMs !== null || (unclearAtMs === null && (ref !== null || answeredAtMs !== null));
}

interface DueFacts {
  readonly nowMs: number;
  readonly candidates: readonly Candidate[];
  readonly initTimeoutMs: number;
  readonly stoppedKeptMs: number;
  readonly allSeenAtMs: number;
  readonly patience: Patience;
  readonly workers: ReadonlyMap<string, { readonly goneAtMs: number; readonly isSilent: boolean }>;
  /** Are the workers called, each where its provider shows it? Absent: they call by themselves. */
  readonly areCalled?: boolean;
}

/** The next moment at which time alone changes something, epoch ms; Infinity: an empty fleet waits for nothing. */
export function nextAtMs(state: FleetState, facts: DueFacts): number {
  let atMs = NEVER;
  for (const instance of state.instances.values()) atMs = Math.min(atMs, instanceDueAtMs(state, instance, facts));
  for (const providerId of providersOf(state)) atMs = Math.min(atMs, listDueAtMs(state, providerId, facts));
  return atMs;
}

function instanceDueAtMs(state: FleetState, instance: Instance, facts: DueFacts): number {
  const { phase, call, providerId, notBeforeMs } = instance;
  if (call !== null) return call.atMs + CALL_LOST_AFTER_MS;
  switch (phase) {
    case "wanted":
      return wantedDueAtMs(state, notBeforeMs, facts);
    case "creating":
    case "starting": {
      const initAtMs = Math.min(instance.startedAtMs + facts.initTimeoutMs, instance.endsAtMs);
      if (!isYetToStart(instance) || providerId === null) return initAtMs;
      const callableMs = callableAtMs(state, providerId, true, notBeforeMs);
      // One that could be started now waits for another machine to go, which an answer tells.
      return callableMs > facts.nowMs ? Math.min(initAtMs, callableMs) : initAtMs;
    }
    case "ready":
    case "draining": {
      const goneAtMs = facts.workers.get(instance.id)?.goneAtMs ?? facts.allSeenAtMs;
      if (phase === "draining") return Math.min(goneAtMs, instance.endsAtMs);
      const untilMs = patientUntilMs(instance, facts);
      return Math.min(goneAtMs, retiresAtMs(instance), untilMs > facts.nowMs ? untilMs : NEVER);
    }
    case "stopping": {
      if (providerId === null || instance.endedAtMs !== null || instance.ref === null) return NEVER;
      return callableAtMs(state, providerId, false, notBeforeMs);
    }
    case "stopped": {
      const endMs = keptUntilMs(instance, facts.stoppedKeptMs);
      const isNeeded = providerId !== null && [...state.instances.values()].some((one) => one.phase === "wanted");
      const callableMs = isNeeded ? callableAtMs(state, providerId, true, notBeforeMs) : NEVER;
      return callableMs > facts.nowMs ? Math.min(endMs, callableMs) : endMs;
    }
  }
}

/** Until when a worker that has just become ready is kept though no job needs it any more, epoch ms. */
export function patientUntilMs({ readyAtMs }: Instance, { patience }: Pick<DueFacts, "patience">): number {
  return readyAtMs === null || patience.readyMs === null ? 0 : readyAtMs + patience.readyMs;
}

/** When the provider may be called about a machine, epoch ms. Where it is busy with our calls, an answer comes first. */
function callableAtMs(state: FleetState, providerId: string, isStart: boolean, notBeforeMs: number): number {
  if (busyUntilMs(state, providerId) !== 0) return NEVER;
  return Math.max(notBeforeMs, restsUntilMs(state, providerId, isStart));
}

function wantedDueAtMs(state: FleetState, notBeforeMs: number, facts: DueFacts): number {
  const heldUntilMs = Math.max(notBeforeMs, state.crashes.notBeforeMs);
  return heldUntilMs > facts.nowMs ? heldUntilMs : freeAtMs(state, facts);
}

/** When the first of the candidates may be asked for, epoch ms. One that may be asked for already waits for money or for calls. */
function freeAtMs(state: FleetState, { candidates, nowMs }: DueFacts): number {
  let atMs = NEVER;
  for (const candidate of candidates) {
    const own = state.candidates.get(candidateKey(candidate))?.untilMs ?? 0;
    const untilMs = Math.max(
      own,
      troubleEndsAtMs(state, candidate.providerId),
      busyUntilMs(state, candidate.providerId),
    );
    if (untilMs > nowMs) atMs = Math.min(atMs, untilMs);
  }
  return atMs;
}
