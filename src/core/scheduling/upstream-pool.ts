// The slots of an endpoint as its broker sees them now, of upstreams and of pulling workers: use, pauses, health, and whose
// is next. A pulling worker has room only while it asks. Memory only, but for the troubles of upstreams, which its owner keeps.
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

/** What the pool needs to know of an upstream; contract/settings.ts holds the rest. */
export interface PoolMember {
  readonly id: string;
  readonly slots: number;
  readonly rateKind: RateKind;
}

type Condition = "ok" | "paused" | "unhealthy";

export interface Entry {
  member: PoolMember;
  running: number;
  /** Jobs that a pulling worker asks for at this moment; null for an upstream, which takes what is pushed. */
  asks: number | null;
  /** The place of its newest start among all: of equals the one that was served longest ago is next. */
  startedAt: number;
  condition: Condition;
  detail: string;
  sinceMs: number;
  /** A paused or unhealthy upstream is tried with one job from here on. */
  tryAtMs: number;
  /** The lease of the job that is under way as the trial of a troubled upstream. */
  trialToken: string | null;
  /** The pause is what the upstream asked for by Retry-After: a job of before it says nothing about its end. */
  asked: boolean;
  failures: number;
  /** Leases that ended while their carriers may still be calling: each holds its slot until then, epoch ms. */
  readonly lingering: Map<string, number>;
}

/** What a carrier said of an upstream: it answered a job, or a job that it runs is still alive. */
export type UpstreamSign = "answer" | "heartbeat";

/** Why a job cannot start now, as a reason of `queue.reason` with one plain sentence. */
export interface PoolState {
  readonly reason: "NO_WORKERS" | "ALL_BUSY" | "STARTING" | "UPSTREAM_PAUSED" | "UPSTREAM_UNHEALTHY" | "CRASH_LOOP";
  readonly detail: string;
  readonly sinceMs: number;
}

/** What limits the choice for one job. */
export interface Choice {
  /** Where the job has failed: taken only while no other one is sound, or one that fails fast would eat every job. */
  readonly avoidId: string | null;
  /** Whether the job may go there at all. */
  readonly mayTake: (id: string) => boolean;
}

const NO_WORKERS_DETAIL = "The endpoint has no worker and no upstream with a price.";
const ANYWHERE: Choice = { avoidId: null, mayTake: () => true };

export class UpstreamPool {
  readonly #entries = new Map<string, Entry>();
  #starts = 0;

  /** Takes new settings; what runs keeps its count, and an upstream that stays keeps its condition. */
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

  /** A pulling worker asks for so many jobs from now on; 0: it does not ask, but is there. */
  ask(member: PoolMember, jobs: number, nowMs: number): void {
    const entry = this.#entries.get(member.id) ?? freshEntry(member, nowMs);
    this.#entries.set(member.id, entry);
    entry.member = member;
    entry.asks = jobs;
  }

  /** A pulling worker takes no jobs for now; what it was given keeps its slot until its lease ends, and a pause its time. */
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

  /** A job took a slot, also one that is found running at a start of the object. */
  occupy(id: string, token: string, nowMs: number): void {
    const entry = this.#entries.get(id) ?? freshEntry({ id, slots: 0, rateKind: "flex" }, nowMs);
    this.#entries.set(id, entry);
    entry.running += 1;
    this.#starts += 1;
    entry.startedAt = this.#starts;
    if (entry.asks !== null && entry.asks > 0) entry.asks -= 1;
    // This job is the trial of a troubled upstream; the next one waits for its news or for another period.
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

  /** As release, but the carrier has not let go yet: a cancelled call still fills the worker. */
  linger(id: string, token: string, untilMs: number): void {
    this.#entries.get(id)?.lingering.set(token, untilMs);
  }

  /** A worker says that it runs nothing: whatever its ended leases still held is free. */
  letGoAll(id: string): void {
    const tokens = [...(this.#entries.get(id)?.lingering.keys() ?? [])];
    for (const token of tokens) this.letGo(token);
  }

  /** The carrier of a lease that ended has let go of its upstream. False: that lease holds no slot. */
  letGo(token: string): boolean {
    for (const [id, entry] of this.#entries) {
      if (!entry.lingering.delete(token)) continue;
      this.release(id);
      return true;
    }
    return false;
  }

  /**
   * Whose slot the next job gets: active before flex, then the least loaded, then the one that was served longest ago; null
   * when none has room now.
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

  /** Is one of these worth waiting for? */
  hasSound(isOne: (id: string) => boolean): boolean {
    return [...this.#entries.values()].some((entry) => isSound(entry) && isOne(entry.member.id));
  }

  has(id: string): boolean {
    return (this.#entries.get(id)?.member.slots ?? 0) > 0;
  }

  /** The upstream that may still run a job, to which it is bound: any other one would run it a second time. Null: none. */
  boundTo({ upstreamJob }: Pick<Job, "upstreamJob">): string | null {
    return upstreamJob !== null && this.has(upstreamJob.upstreamId) ? upstreamJob.upstreamId : null;
  }

  upstreams(): readonly Entry[] {
    return [...this.#entries.values()].filter(({ asks }) => asks === null);
  }

  /** Jobs that could start now on any slot. */
  freeSlots(nowMs: number): number {
    return this.#free(nowMs, () => true);
  }

  /** Jobs that could be pushed now. */
  freePushSlots(nowMs: number): number {
    return this.#free(nowMs, ({ asks }) => asks === null);
  }

  /** Jobs that pulling workers ask for now. */
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

  /** A sign of life by the carrier of a lease. Only its trial clears a troubled upstream, or an answer after a plain pause. */
  markOk(id: string, token: string, sign: UpstreamSign, nowMs: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.condition === "ok") return;
    const answered = sign === "answer" && entry.condition === "paused" && !entry.asked;
    if (entry.trialToken !== token && !answered) return;
    const { running, lingering, asks, startedAt } = entry;
    Object.assign(entry, freshEntry(entry.member, nowMs), { running, lingering, asks, startedAt });
  }

  /** The upstream could not take a job. `retryAfterMs` is what it asked for, believed within bounds. */
  pause(id: string, detail: string, retryAfterMs: number | null, nowMs: number, jitter: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    // Jobs that started together and were refused together are one piece of news, not many.
    if (entry.condition === "paused" && entry.trialToken === null) return;
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

  /** The trial of a troubled upstream is over. One that brought no news of the upstream leaves its turn to another job at once. */
  endTrial(id: string, token: string, nowMs: number): void {
    const entry = this.#entries.get(id);
    if (entry?.trialToken !== token || entry.asks !== null) return;
    entry.trialToken = null;
    entry.tryAtMs = nowMs;
  }

  isTroubled(id: string): boolean {
    return (this.#entries.get(id)?.condition ?? "ok") !== "ok";
  }

  /** When the endpoint is tried next after a refusal, epoch ms: at once while any upstream is sound. */
  triedAgainAtMs(nowMs: number): number {
    const entries = [...this.#entries.values()].filter((entry) => entry.member.slots > 0);
    if (entries.some((entry) => entry.condition === "ok")) return nowMs;
    return entries.reduce((earliest, entry) => Math.min(earliest, entry.tryAtMs), Number.POSITIVE_INFINITY);
  }

  /** When an upstream may next have room by time alone, epoch ms: after a pause, or when a lost carrier's slot is free. */
  nextTryAtMs(nowMs: number): number {
    this.#endLingering(nowMs);
    let earliest = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      if (entry.condition !== "ok" && entry.tryAtMs > nowMs) earliest = Math.min(earliest, entry.tryAtMs);
      for (const untilMs of entry.lingering.values()) earliest = Math.min(earliest, Math.max(untilMs, nowMs));
    }
    return earliest;
  }

  /** Why the next job does not start at this moment. `onlyId`: it is one that may start nowhere else. */
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

  /** Counts of the upstreams' slots for `/health`; pulling workers are counted by the roster. */
  pushCounts(): Readonly<Record<"idle" | "ready" | "running" | "throttled" | "unhealthy", number>> {
    const counts = { idle: 0, ready: 0, running: 0, throttled: 0, unhealthy: 0 };
    for (const entry of this.#entries.values()) {
      if (entry.asks !== null) continue;
      const running = Math.min(entry.running, entry.member.slots);
      counts.running += running;
      const idle = entry.member.slots - running;
      if (entry.condition === "unhealthy") counts.unhealthy += idle;
      else if (entry.condition === "paused") counts.throttled += idle;
      else counts.idle += idle;
    }
    counts.ready = counts.idle;
    return counts;
  }

  /** How one stands, for the list of workers; null: it is not known. */
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
    Object.assign(entry, trouble, { trialToken: null });
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
    lingering: new Map(),
  };
}

/** Is it worth waiting for? A pulling worker that neither asks nor works may be no more than its heartbeats. */
function isSound({ condition, member, asks, running }: Entry): boolean {
  return condition === "ok" && member.slots > 0 && (asks !== 0 || running > 0);
}

/** A troubled upstream is tried with one job at a time: a second failure then costs one start, not a slotful. */
function hasRoom(entry: Entry, nowMs: number): boolean {
  if (entry.asks === 0 || entry.running >= entry.member.slots) return false;
  return entry.condition === "ok" || entry.tryAtMs <= nowMs;
}

function isBetter(entry: Entry, best: Entry): boolean {
  // A worker that may be in a crash loop gets only what no sound one has room for.
  if (isTrial(entry) !== isTrial(best)) return isTrial(best);
  if (entry.member.rateKind !== best.member.rateKind) return entry.member.rateKind === "active";
  const load = entry.running / entry.member.slots;
  const bestLoad = best.running / best.member.slots;
  return load < bestLoad || (load === bestLoad && entry.startedAt < best.startedAt);
}

function isTrial({ asks, condition }: Entry): boolean {
  return asks !== null && condition !== "ok";
}
