// The slots of an endpoint's upstreams and pulling workers as its broker sees them now: their use, pauses and health,
// and which is next. A pulling worker has room only while it asks. The owner stores upstreams' troubles, nothing else.
import { backoffMs } from "../job/backoff.ts";
import type { Job } from "../job/job.ts";
import type { RateKind } from "../job/pricing.ts";
import { isWorkerHolder } from "../job/worker-id.ts";
import {
  RETRY_AFTER_MAX_MS,
  RETRY_AFTER_MIN_MS,
  UNHEALTHY_PROBE_MS,
  UPSTREAM_PAUSE_BASE_MS,
  UPSTREAM_PAUSE_MAX_MS,
} from "../limits.ts";

/** The settings of an upstream that the pool needs; contract/settings.ts has all of them. */
export interface PoolMember {
  readonly id: string;
  readonly slots: number;
  readonly rateKind: RateKind;
}

type Condition = "ok" | "paused" | "unhealthy";

export interface Entry {
  member: PoolMember;
  running: number;
  /** How many jobs a pulling worker asks for now; null for an upstream, which takes jobs that are pushed. */
  asks: number | null;
  /** The number of its newest start among all: among equals the one that was served longest ago is next. */
  startedAt: number;
  condition: Condition;
  detail: string;
  sinceMs: number;
  /** From when on a paused or unhealthy upstream is tried with one job, epoch ms. */
  tryAtMs: number;
  /** The token of the lease of the job that is the present trial of a troubled upstream. */
  trialToken: string | null;
  /** The upstream asked for the pause by Retry-After: a success of a job from before it does not end it. */
  asked: boolean;
  failures: number;
  /** A trial since the newest pause has ended because its job never reached the worker, so another one came at once. */
  retried: boolean;
  /** Ended leases whose carriers may still be calling: each holds its slot until this time, epoch ms, at most. */
  readonly lingering: Map<string, number>;
}

/** A carrier's sign of life from an upstream: it answered a job, or a job that it runs is still alive. */
export type UpstreamSign = "answer" | "heartbeat";

/** Why a job cannot start now: a value of `queue.reason`, and one plain sentence. */
export interface PoolState {
  readonly reason: "NO_WORKERS" | "ALL_BUSY" | "STARTING" | "UPSTREAM_PAUSED" | "UPSTREAM_UNHEALTHY" | "CRASH_LOOP";
  readonly detail: string;
  readonly sinceMs: number;
}

/** What limits the choice for one job. */
export interface Choice {
  /** Where the job has failed: used only if no other one is sound, or one that fails fast would fail every job. */
  readonly avoidId: string | null;
  /** Whether the job may go to this upstream or worker at all. */
  readonly mayTake: (id: string) => boolean;
}

const NO_WORKERS_DETAIL = "The endpoint has no worker and no upstream with a price.";
const ANYWHERE: Choice = { avoidId: null, mayTake: () => true };

export class UpstreamPool {
  readonly #entries = new Map<string, Entry>();
  #starts = 0;

  /** Takes new settings; running jobs are still counted, and an upstream that stays keeps its condition. */
  configure(members: readonly PoolMember[], nowMs: number): void {
    const wanted = new Set(members.map((member) => member.id));
    for (const [id, entry] of this.#entries) {
      if (entry.asks !== null) continue;
      if (!wanted.has(id)) entry.member = { ...entry.member, slots: 0 };
      if (!wanted.has(id) && entry.running === 0) this.#entries.delete(id);
    }
    for (const member of members) {
      const entry = this.#entries.get(member.id);
      if (entry !== undefined) entry.member = member;
      else this.#entries.set(member.id, freshEntry(member, nowMs));
    }
  }

  /** A pulling worker asks for this many jobs from now on; 0: it is there, but does not ask. */
  ask(member: PoolMember, jobs: number, nowMs: number): void {
    const entry = this.#entries.get(member.id) ?? freshEntry(member, nowMs);
    this.#entries.set(member.id, entry);
    entry.member = member;
    entry.asks = jobs;
  }

  /** A pulling worker takes no jobs for now; its jobs keep their slots until their leases end, and a pause goes on. */
  leave(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.asks = 0;
    entry.member = { ...entry.member, slots: 0 };
    this.#dropEmpty(id, entry);
  }

  /** A pulling worker is gone. */
  forget(id: string): void {
    this.leave(id);
    if (this.#entries.get(id)?.running === 0) this.#entries.delete(id);
  }

  #dropEmpty(id: string, { running, member, asks, condition }: Entry): void {
    const isPausedWorker = asks !== null && condition !== "ok";
    if (running === 0 && member.slots === 0 && !isPausedWorker) this.#entries.delete(id);
  }

  /** A job takes a slot; also used for a job that a start of the object finds running. */
  occupy(id: string, token: string, nowMs: number): void {
    const entry = this.#entries.get(id) ?? freshEntry({ id, slots: 0, rateKind: "flex" }, nowMs);
    this.#entries.set(id, entry);
    entry.running += 1;
    this.#starts += 1;
    entry.startedAt = this.#starts;
    if (entry.asks !== null && entry.asks > 0) entry.asks -= 1;
    // This job is the trial of a troubled upstream; the next job waits for its outcome or for another period.
    if (entry.condition === "ok") return;
    entry.tryAtMs = nowMs + UNHEALTHY_PROBE_MS;
    entry.trialToken = token;
  }

  release(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.running -= 1;
    this.#dropEmpty(id, entry);
  }

  /** As `release`, but the slot stays taken until `letGo`: a cancelled call still occupies the worker. */
  linger(id: string, token: string, untilMs: number): void {
    this.#entries.get(id)?.lingering.set(token, untilMs);
  }

  /** A worker reports that it runs nothing: the slots that its ended leases still hold are free. */
  letGoAll(id: string): void {
    const tokens = [...(this.#entries.get(id)?.lingering.keys() ?? [])];
    for (const token of tokens) this.letGo(token);
  }

  /** The carrier of an ended lease has ended its call, so that the slot is free. False: the lease holds no slot. */
  letGo(token: string): boolean {
    for (const [id, entry] of this.#entries) {
      if (!entry.lingering.delete(token)) continue;
      this.release(id);
      return true;
    }
    return false;
  }

  /**
   * The upstream or worker whose slot the next job gets: active before flex, then the least loaded, then the one that
   * was served longest ago; null when none has room now.
   */
  choose(nowMs: number, { avoidId, mayTake }: Choice = ANYWHERE): string | null {
    this.#endLingering(nowMs);
    const others = this.hasSound((id) => id !== avoidId && mayTake(id));
    let best: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if ((others && entry.member.id === avoidId) || !mayTake(entry.member.id)) continue;
      if (hasRoom(entry, nowMs) && (best === undefined || isBetter(entry, best))) best = entry;
    }
    return best?.member.id ?? null;
  }

  hasRoomOn(id: string, nowMs: number): boolean {
    this.#endLingering(nowMs);
    const entry = this.#entries.get(id);
    return entry !== undefined && hasRoom(entry, nowMs);
  }

  /** Is any entry that `isOne` accepts worth waiting for? */
  hasSound(isOne: (id: string) => boolean): boolean {
    return [...this.#entries.values()].some((entry) => isSound(entry) && isOne(entry.member.id));
  }

  has(id: string): boolean {
    return (this.#entries.get(id)?.member.slots ?? 0) > 0;
  }

  /** The upstream that may still run the job: any other one would run it a second time. Null: the job is not bound. */
  boundTo({ upstreamJob }: Pick<Job, "upstreamJob">): string | null {
    return upstreamJob !== null && this.has(upstreamJob.upstreamId) ? upstreamJob.upstreamId : null;
  }

  upstreams(): readonly Entry[] {
    return [...this.#entries.values()].filter(({ asks }) => asks === null);
  }

  /** How many jobs could start now on any slot, or on those of the upstreams and workers that `counts` accepts. */
  freeSlots(nowMs: number, counts: (id: string) => boolean = () => true): number {
    return this.#free(nowMs, ({ member }) => counts(member.id));
  }

  /** How many jobs could be pushed now. */
  freePushSlots(nowMs: number): number {
    return this.#free(nowMs, ({ asks }) => asks === null);
  }

  /** How many jobs pulling workers with room ask for now. */
  freePullSlots(nowMs: number): number {
    return this.#free(nowMs, ({ asks }) => asks !== null);
  }

  #free(nowMs: number, counts: (entry: Entry) => boolean): number {
    this.#endLingering(nowMs);
    let free = 0;
    for (const entry of this.#entries.values()) {
      if (!counts(entry) || !hasRoom(entry, nowMs)) continue;
      const room = entry.condition === "ok" ? entry.member.slots - entry.running : 1;
      free += Math.min(room, entry.asks ?? room);
    }
    return free;
  }

  /** A sign of life under a lease. It clears a trouble if it is from the trial, or an answer during a plain pause. */
  markOk(id: string, token: string, sign: UpstreamSign, nowMs: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.condition === "ok") return;
    const answered = sign === "answer" && entry.condition === "paused" && !entry.asked;
    if (entry.trialToken !== token && !answered) return;
    const { running, lingering, asks, startedAt } = entry;
    Object.assign(entry, freshEntry(entry.member, nowMs), { running, lingering, asks, startedAt });
  }

  /** The upstream could not take a job. `retryAfterMs`: the pause that it asked for, honoured within bounds. */
  pause(id: string, detail: string, retryAfterMs: number | null, nowMs: number, jitter: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    // Jobs that started together and were refused together count as one failure, not as many.
    if (entry.condition === "paused" && entry.trialToken === null && !entry.retried) return;
    const failures = entry.failures + 1;
    const waitMs =
      retryAfterMs === null
        ? backoffMs(failures, UPSTREAM_PAUSE_BASE_MS, UPSTREAM_PAUSE_MAX_MS, jitter)
        : Math.min(Math.max(retryAfterMs, RETRY_AFTER_MIN_MS), RETRY_AFTER_MAX_MS);
    const asked = retryAfterMs !== null;
    this.#worsen(entry, { condition: "paused", detail, tryAtMs: nowMs + waitMs, failures, asked }, nowMs);
  }

  markUnhealthy(id: string, detail: string, nowMs: number): void {
    const entry = this.#entries.get(id);
    const tryAtMs = nowMs + UNHEALTHY_PROBE_MS;
    if (entry !== undefined)
      this.#worsen(entry, { condition: "unhealthy", detail, tryAtMs, failures: 0, asked: false }, nowMs);
  }

  /**
   * A trial is over. If it has shown nothing, another job may try at once; one that has shown something is no trial any
   * more, as `pause`, `markUnhealthy` and `markOk` have cleared its token. A pulling worker's lease that ends without a
   * report may have ended with the worker's process, except where the worker never saw the job (`isUnseen`). That may be
   * a guess, so it brings one trial at once in a pause, and the next one waits.
   */
  endTrial(id: string, token: string, isUnseen: boolean, nowMs: number): void {
    const entry = this.#entries.get(id);
    if (entry?.trialToken !== token) return;
    if (entry.asks !== null) {
      if (!isUnseen || entry.retried) return;
      entry.retried = true;
    }
    entry.trialToken = null;
    entry.tryAtMs = nowMs;
  }

  isTroubled(id: string): boolean {
    return (this.#entries.get(id)?.condition ?? "ok") !== "ok";
  }

  /** When a job is tried next after a refusal, epoch ms: at once while any upstream has no trouble. */
  triedAgainAtMs(nowMs: number): number {
    const entries = [...this.#entries.values()].filter((entry) => entry.member.slots > 0);
    if (entries.some((entry) => entry.condition === "ok")) return nowMs;
    return entries.reduce((earliest, entry) => Math.min(earliest, entry.tryAtMs), Number.POSITIVE_INFINITY);
  }

  /** When time alone next makes room, epoch ms: at the end of a pause, or when a lost carrier's slot is free. */
  nextTryAtMs(nowMs: number): number {
    this.#endLingering(nowMs);
    let earliest = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      if (entry.condition !== "ok" && entry.tryAtMs > nowMs) earliest = Math.min(earliest, entry.tryAtMs);
      for (const untilMs of entry.lingering.values()) earliest = Math.min(earliest, Math.max(untilMs, nowMs));
    }
    return earliest;
  }

  /** Why the next job does not start at this moment. `onlyId`: the only place where it may start. */
  describe(nowMs: number, onlyId: string | null = null): PoolState {
    const counts = ({ member }: Entry) => member.slots > 0 && (onlyId === null || member.id === onlyId);
    const entries = [...this.#entries.values()].filter(counts);
    const first = entries[0];
    if (first === undefined) return { reason: "NO_WORKERS", detail: NO_WORKERS_DETAIL, sinceMs: nowMs };
    if (entries.some((entry) => entry.condition === "ok")) {
      const free = this.#free(nowMs, counts) > 0;
      if (free) return { reason: "STARTING", detail: "A slot is free; the job is about to start.", sinceMs: nowMs };
      return { reason: "ALL_BUSY", detail: "All slots of all workers and upstreams are busy.", sinceMs: nowMs };
    }
    const paused = entries.find((entry) => entry.condition === "paused");
    const shown = paused ?? first;
    const reason =
      paused === undefined ? "UPSTREAM_UNHEALTHY" : paused.asks === null ? "UPSTREAM_PAUSED" : "CRASH_LOOP";
    return { reason, detail: shown.detail, sinceMs: shown.sinceMs };
  }

  /** The state of an upstream or worker for the list of workers; null: it is not in the pool. */
  look(id: string): Pick<Entry, "running" | "condition" | "detail" | "sinceMs"> | null {
    return this.#entries.get(id) ?? null;
  }

  #endLingering(nowMs: number): void {
    for (const entry of this.#entries.values()) {
      for (const [token, untilMs] of entry.lingering) if (untilMs <= nowMs) this.letGo(token);
    }
  }

  #worsen(
    entry: Entry,
    trouble: Pick<Entry, "condition" | "detail" | "tryAtMs" | "failures" | "asked">,
    nowMs: number,
  ): void {
    if (entry.condition !== trouble.condition) entry.sinceMs = nowMs;
    Object.assign(entry, trouble, { trialToken: null, retried: false });
  }
}

function freshEntry(member: PoolMember, nowMs: number): Entry {
  return {
    member,
    running: 0,
    asks: isWorkerHolder(member.id) ? 0 : null,
    startedAt: 0,
    condition: "ok",
    detail: "",
    sinceMs: nowMs,
    tryAtMs: 0,
    trialToken: null,
    asked: false,
    failures: 0,
    retried: false,
    lingering: new Map(),
  };
}

/** Is it worth waiting for? A pulling worker that neither asks nor works may only be sending heartbeats. */
function isSound({ condition, member, asks, running }: Entry): boolean {
  return condition === "ok" && member.slots > 0 && (asks !== 0 || running > 0);
}

/** A troubled upstream is tried with one job at a time, so that another failure hits one job, not one in each slot. */
function hasRoom(entry: Entry, nowMs: number): boolean {
  if (entry.asks === 0 || entry.running >= entry.member.slots) return false;
  return entry.condition === "ok" || entry.tryAtMs <= nowMs;
}

function isBetter(entry: Entry, best: Entry): boolean {
  // A worker that may be in a crash loop gets only jobs for which no sound one has room.
  if (isTrial(entry) !== isTrial(best)) return isTrial(best);
  if (entry.member.rateKind !== best.member.rateKind) return entry.member.rateKind === "active";
  const load = entry.running / entry.member.slots;
  const bestLoad = best.running / best.member.slots;
  return load < bestLoad || (load === bestLoad && entry.startedAt < best.startedAt);
}

function isTrial({ asks, condition }: Entry): boolean {
  return asks !== null && condition !== "ok";
}
