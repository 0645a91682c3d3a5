// All that is remembered of a fleet: the records, which the broker stores, and what a start of the broker begins anew: troubles of
// providers, lists under way, and the count of failed starts.
import { backoffMs } from "../job/backoff.ts";
import type { Candidate, Instance } from "./instance.ts";
import {
  CRASH_BASE_MS,
  CRASH_MAX_MS,
  CRASHES_FORGOTTEN_MS,
  ENDS_PAUSE_MAX_MS,
  ENDS_PAUSE_SHARE,
  ENDS_WAIT_MAX_MS,
  NO_CAPACITY_MS,
  PROVIDER_WAIT_MAX_MS,
  REFUSED_MS,
  RETRY_BASE_MS,
  RETRY_MAX_MS,
} from "./limits.ts";
import type { Refusal } from "./provider.ts";

export interface Trouble {
  readonly kind: Refusal["kind"];
  readonly detail: string;
  readonly untilMs: number;
}

/** What calls of one sort have failed of, for a reason of the provider's. */
interface Failing {
  /** How many of them in a row. */
  readonly failures: number;
  /** Why the provider is not asked for new machines at the moment. */
  readonly trouble: Trouble | null;
}

/** `asking`: creates, and starts of stopped machines. `tending`: lists, stops and ends, which a provider may answer well meanwhile. */
export type CallSort = "asking" | "tending";

export interface ProviderState extends Readonly<Record<CallSort, Failing>> {
  /** It has asked for a pause: until then no machine is stopped or ended either, epoch ms. */
  readonly restsUntilMs: number;
  /** The list under way. */
  readonly listing: { readonly no: number; readonly atMs: number } | null;
  /** How many lists were asked for. */
  readonly lists: number;
  /** When the newest list that was answered had been asked for, epoch ms; 0: none was. */
  readonly listedAtMs: number;
  readonly listNotBeforeMs: number;
}

export interface FleetState {
  readonly instances: ReadonlyMap<string, Instance>;
  readonly providers: ReadonlyMap<string, ProviderState>;
  /** By `candidateKey`: why that machine is not asked for at the moment. */
  readonly candidates: ReadonlyMap<string, Trouble>;
  /** Workers that failed their start since one has begun well, what the last one failed of, when the next may begin, and when the first failed. */
  readonly crashes: {
    readonly inARow: number;
    readonly detail: string;
    readonly notBeforeMs: number;
    readonly sinceMs: number;
  };
}

const FINE: Failing = { failures: 0, trouble: null };
const NEW_PROVIDER: ProviderState = {
  asking: FINE,
  tending: FINE,
  restsUntilMs: 0,
  listing: null,
  lists: 0,
  listedAtMs: 0,
  listNotBeforeMs: 0,
};
const NO_CRASHES: FleetState["crashes"] = { inARow: 0, detail: "", notBeforeMs: 0, sinceMs: 0 };

/** The state at a start of the broker. A call that was under way then counts as one whose answer is lost (reconcile.ts). */
export function beginFleet(instances: readonly Instance[]): FleetState {
  return {
    instances: new Map(instances.map((instance) => [instance.id, instance])),
    providers: new Map(),
    candidates: new Map(),
    crashes: NO_CRASHES,
  };
}

export function candidateKey({ providerId, gpuTypeId }: Pick<Candidate, "providerId" | "gpuTypeId">): string {
  return `${providerId} ${gpuTypeId}`;
}

export function providerOf(state: FleetState, providerId: string): ProviderState {
  return state.providers.get(providerId) ?? NEW_PROVIDER;
}

/** The state with these records changed or new, and those that are null away: the very same one if none of them is new. */
export function putInstances(state: FleetState, changed: ReadonlyMap<string, Instance | null>): FleetState {
  const isSame = [...changed].every(([id, instance]) => (state.instances.get(id) ?? null) === instance);
  if (isSame) return state;
  const instances = new Map(state.instances);
  for (const [id, instance] of changed) {
    if (instance === null) instances.delete(id);
    else instances.set(id, instance);
  }
  return { ...state, instances };
}

export function putInstance(state: FleetState, instance: Instance): FleetState {
  return putInstances(state, new Map([[instance.id, instance]]));
}

export function putProvider(state: FleetState, providerId: string, change: Partial<ProviderState>): FleetState {
  const providers = new Map(state.providers);
  providers.set(providerId, { ...providerOf(state, providerId), ...change });
  return { ...state, providers };
}

/** Why a provider is not asked for new machines: of two reasons the one that lasts for longer. Null: there is none. */
export function troubleOf(state: FleetState, providerId: string): Trouble | null {
  const { asking, tending } = providerOf(state, providerId);
  const isAsking = (asking.trouble?.untilMs ?? 0) > (tending.trouble?.untilMs ?? 0);
  return isAsking ? asking.trouble : tending.trouble;
}

/**
 * A call that a provider has answered with what was asked for: that ends the trouble of calls of its sort alone. A pause that was asked
 * for while another machine was being created is kept.
 */
export function noteDone(state: FleetState, providerId: string, sort: CallSort): FleetState {
  const { failures, trouble } = providerOf(state, providerId)[sort];
  const kept = sort === "asking" && trouble?.kind === "wait" ? trouble : null;
  if (failures === 0 && trouble === kept) return state;
  // It answers again: what it has is asked for without the pause that it was left.
  const list = sort === "tending" && failures > 0 ? { listNotBeforeMs: 0 } : {};
  return putProvider(state, providerId, { [sort]: { failures: 0, trouble: kept }, ...list });
}

/**
 * A call that a provider has refused, or left without a clear answer. What is wrong with one kind of machine keeps no other from
 * being asked for; all else does. `jitter`: 0 ≤ j < 1.
 */
export function noteRefusal(
  state: FleetState,
  providerId: string,
  candidate: Candidate | null,
  refusal: Refusal,
  nowMs: number,
  jitter: number,
  sort: CallSort = "asking",
): FleetState {
  const { kind, detail } = refusal;
  const before = providerOf(state, providerId);
  const failures = before[sort].failures + 1;
  if (kind === "no_capacity" || kind === "bad_config") {
    // A list, a stop or an end: what is wrong with it says nothing of a create, and it is not to be repeated at once all the same.
    if (sort === "tending") return putProvider(state, providerId, { tending: { ...before.tending, failures } });
    if (candidate === null) return state;
    const untilMs = nowMs + (kind === "no_capacity" ? NO_CAPACITY_MS : REFUSED_MS);
    return putTrouble(state, candidate, { kind, detail, untilMs });
  }
  const untilMs = nowMs + pauseMs(refusal, failures, jitter);
  const restsMs = kind === "wait" ? Math.min(untilMs, nowMs + ENDS_WAIT_MAX_MS) : 0;
  const trouble = longerOf(before[sort].trouble, { kind, detail, untilMs });
  return putProvider(state, providerId, {
    [sort]: { failures, trouble },
    restsUntilMs: Math.max(before.restsUntilMs, restsMs),
  });
}

/**
 * A machine of this kind costs more than was said, `price` nano-dollars an hour, and is ended for that: the next one would cost as much, and
 * would be paid until its end, too. Its price may be another one later, so that it is asked for again after a while.
 */
export function noteDearer(state: FleetState, candidate: Candidate, price: number, nowMs: number): FleetState {
  const costs = `$${price / 1e9} an hour instead of $${candidate.priceNanodollarsPerHour / 1e9}`;
  const detail = `One has cost ${costs}, and all machines together would have cost more than the endpoint may.`;
  return putTrouble(state, candidate, { kind: "no_capacity", detail, untilMs: nowMs + REFUSED_MS });
}

function putTrouble(state: FleetState, candidate: Candidate, trouble: Trouble): FleetState {
  const key = candidateKey(candidate);
  const longer = longerOf(state.candidates.get(key) ?? null, trouble);
  return { ...state, candidates: new Map(state.candidates).set(key, longer) };
}

/** A call that was under way beside the one that was refused does not end the pause, whatever it is answered. */
function longerOf(before: Trouble | null, now: Trouble): Trouble {
  return before !== null && before.untilMs > now.untilMs ? before : now;
}

function pauseMs(refusal: Refusal, failures: number, jitter: number): number {
  if (refusal.kind === "unpaid" || refusal.kind === "denied") return REFUSED_MS;
  const own = backoffMs(failures, RETRY_BASE_MS, RETRY_MAX_MS, jitter);
  return refusal.kind === "wait"
    ? Math.min(Math.max(refusal.retryAfterMs ?? own, RETRY_BASE_MS), PROVIDER_WAIT_MAX_MS)
    : own;
}

/**
 * How long a provider is left alone that does not end a machine, or does not tell whether it has: for longer the longer ago it was to, ms.
 * What stands in the record decides, since a pause of minutes outlasts the broker's memory.
 */
export function endsPauseMs({ phase, goal, sinceMs }: Instance, nowMs: number): number {
  const forMs = phase === "stopping" && goal === "gone" ? nowMs - sinceMs : 0;
  return Math.min(Math.max(forMs, 0) / ENDS_PAUSE_SHARE, ENDS_PAUSE_MAX_MS);
}

/** The failed starts in a row that still say something of the next one. */
export function crashesAt({ crashes, instances }: FleetState, nowMs: number): FleetState["crashes"] {
  const untilMs = crashes.notBeforeMs + CRASHES_FORGOTTEN_MS;
  // A start that was begun before then may take longer than that, and ends the row or goes on with it.
  const isTried = ({ phase, startedAtMs }: Instance) =>
    phase !== "wanted" && startedAtMs >= crashes.sinceMs && startedAtMs < untilMs;
  return nowMs < untilMs || [...instances.values()].some(isTried) ? crashes : NO_CRASHES;
}

/** A worker has failed its start. */
export function noteCrash(state: FleetState, detail: string, nowMs: number, jitter: number): FleetState {
  const before = crashesAt(state, nowMs);
  const inARow = before.inARow + 1;
  const notBeforeMs = nowMs + backoffMs(inARow, CRASH_BASE_MS, CRASH_MAX_MS, jitter);
  const sinceMs = before.inARow === 0 ? nowMs : before.sinceMs;
  return { ...state, crashes: { inARow, detail, notBeforeMs, sinceMs } };
}

/** The worker of this machine has run something. That ends a row of failed starts only if it was ready after the row had begun. */
export function noteGoodStart(state: FleetState, { readyAtMs }: Instance): FleetState {
  const { inARow, sinceMs } = state.crashes;
  return inARow === 0 || readyAtMs === null || readyAtMs <= sinceMs ? state : { ...state, crashes: NO_CRASHES };
}
