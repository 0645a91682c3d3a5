// The workers of a load-balanced endpoint as its broker sees them now: health, the requests that each one has, and who gets
// the next. Memory only. A request holds its slot by a token until it is released, or until its time without a renewal ends.
import { LB_GIVEN_UP_AFTER_MS, LB_HEALTH_FRESH_MS } from "../limits.ts";
import type { PoolMember } from "../scheduling/upstream-pool.ts";

/** `unknown`: not looked at within LB_HEALTH_FRESH_MS. Only a `ready` worker gets requests. */
export type LbHealth = "unknown" | ProbedHealth;
/** What `/ping` says: 200, 204, anything else. */
export type ProbedHealth = "ready" | "starting" | "unhealthy";

/** Which worker a request asks for. `soft`: another one will do; `resume`: it is waited for also while it is not ready. */
export type Affinity =
  | { readonly kind: "none" }
  | { readonly kind: "soft" | "strict" | "resume"; readonly workerId: string };

/** `gone`: the worker that must serve it is not there. `none_left`: every worker there is has failed this request. */
export type LbChoice =
  | { readonly kind: "worker"; readonly id: string }
  | { readonly kind: "wait" | "gone" | "none_left" };

export interface LbWish {
  readonly affinity: Affinity;
  /** Workers that have failed this very request. */
  readonly avoidIds: readonly string[];
}

/** What holds a slot, and for whom. */
export interface LbHold {
  readonly token: string;
  readonly tenantId: string;
}

interface Worker {
  member: PoolMember;
  health: LbHealth;
  /** When health was last confirmed, and when it last changed, epoch ms. */
  confirmedAtMs: number;
  changedAtMs: number;
  /** When the newest probe was begun, epoch ms, and whether it is still under way. */
  probedAtMs: number;
  probing: boolean;
  /** The place of its newest start among all: of equals the one that was served longest ago is next. */
  startedAt: number;
  readonly tokens: Set<string>;
}

const AFFINITY = /^(?:(strict|strict-resume) +)?([A-Za-z0-9][A-Za-z0-9_.-]{0,199})$/;

/** Reads the header X-Runpod-Worker-Id; null: it is none of RunPod's forms (docs/wire.md 6). */
export function parseAffinity(header: string | null): Affinity | null {
  const text = header?.trim() ?? "";
  if (text === "") return { kind: "none" };
  const [, mode, workerId] = AFFINITY.exec(text) ?? [];
  if (workerId === undefined || workerId === "strict" || workerId === "strict-resume") return null;
  return { kind: mode === undefined ? "soft" : mode === "strict" ? "strict" : "resume", workerId };
}

export class LbPool {
  readonly #workers = new Map<string, Worker>();
  /** Token → its worker, whose request it is, and the time until which it holds a slot without a renewal, epoch ms. */
  readonly #holds = new Map<string, { readonly worker: Worker; readonly tenantId: string; untilMs: number }>();
  readonly #runningOf = new Map<string, number>();
  /** Tenant → the place of its newest start among all, since nobody was waiting for one. */
  readonly #servedAt = new Map<string, number>();
  #starts = 0;

  /** Takes new settings; what runs keeps its slot, and a worker that stays keeps its health. */
  configure(members: readonly PoolMember[]): void {
    const wanted = new Map(members.map((member) => [member.id, member]));
    for (const [id, worker] of this.#workers) {
      if (wanted.has(id)) continue;
      worker.member = { ...worker.member, slots: 0 };
      if (worker.tokens.size === 0) this.#workers.delete(id);
    }
    for (const member of members) this.#worker(member.id).member = member;
  }

  /** Who serves a request now: of the ready ones with room active before flex, then the least loaded, then the longest unserved. */
  choose({ affinity, avoidIds }: LbWish, nowMs: number): LbChoice {
    const present = [...this.#workers.values()].filter(({ member }) => member.slots > 0);
    const others = present.filter(({ member }) => !avoidIds.includes(member.id));
    if (affinity.kind === "strict" || affinity.kind === "resume") {
      const bound = present.find(({ member }) => member.id === affinity.workerId);
      if (bound === undefined) return { kind: "gone" };
      if (affinity.kind === "strict" && healthOf(bound, nowMs) === "unhealthy") return { kind: "gone" };
      if (!others.includes(bound)) return { kind: "none_left" };
      return hasRoom(bound, nowMs) ? { kind: "worker", id: affinity.workerId } : { kind: "wait" };
    }
    if (present.length > 0 && others.length === 0) return { kind: "none_left" };
    const open = others.filter((worker) => hasRoom(worker, nowMs));
    const wished = affinity.kind === "soft" ? open.find(({ member }) => member.id === affinity.workerId) : undefined;
    const best =
      wished ?? open.reduce<Worker | undefined>((found, one) => (isBetter(one, found) ? one : found), undefined);
    return best === undefined ? { kind: "wait" } : { kind: "worker", id: best.member.id };
  }

  /** A request takes a slot, also one that an earlier start of the object has let in. */
  occupy(id: string, { token, tenantId }: LbHold, nowMs: number): void {
    this.release(token);
    const worker = this.#worker(id);
    this.#starts += 1;
    worker.startedAt = this.#starts;
    this.#servedAt.set(tenantId, this.#starts);
    worker.tokens.add(token);
    this.#holds.set(token, { worker, tenantId, untilMs: nowMs + LB_GIVEN_UP_AFTER_MS });
    this.#runningOf.set(tenantId, this.shareOf(tenantId).running + 1);
  }

  /** False: the token holds no slot. */
  renew(token: string, nowMs: number): boolean {
    const hold = this.#holds.get(token);
    if (hold === undefined) return false;
    hold.untilMs = nowMs + LB_GIVEN_UP_AFTER_MS;
    return true;
  }

  /** False: the token holds no slot. */
  release(token: string): boolean {
    const hold = this.#holds.get(token);
    if (hold === undefined) return false;
    const { worker, tenantId } = hold;
    this.#holds.delete(token);
    const left = this.shareOf(tenantId).running - 1;
    if (left > 0) this.#runningOf.set(tenantId, left);
    else this.#runningOf.delete(tenantId);
    worker.tokens.delete(token);
    if (worker.tokens.size === 0 && worker.member.slots === 0) this.#workers.delete(worker.member.id);
    return true;
  }

  /** Frees the slots of requests that nobody has renewed. Answers how many there were. */
  releaseGivenUp(nowMs: number): number {
    const over = [...this.#holds].filter(([, { untilMs }]) => untilMs <= nowMs);
    for (const [token] of over) this.release(token);
    return over.length;
  }

  /** When the next slot is free by time alone, epoch ms. */
  nextGivenUpAtMs(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#holds.values()) earliest = Math.min(earliest, untilMs);
    return earliest;
  }

  get outstanding(): number {
    return this.#holds.size;
  }

  /** What one tenant has had: requests that have a slot, and the place of its newest start among all; 0: none. */
  shareOf(tenantId: string): { readonly running: number; readonly servedAt: number } {
    return { running: this.#runningOf.get(tenantId) ?? 0, servedAt: this.#servedAt.get(tenantId) ?? 0 };
  }

  /** Nobody waits: whose turn it is does not matter any more, and is not kept for every tenant that ever came. */
  forgetTurns(): void {
    this.#servedAt.clear();
  }

  /** Has a worker that is to get requests as many as it may? */
  isFull(id: string): boolean {
    const worker = this.#workers.get(id);
    return worker !== undefined && worker.member.slots > 0 && worker.tokens.size >= worker.member.slots;
  }

  /** Could any request be given a slot now? */
  hasRoom(nowMs: number): boolean {
    for (const worker of this.#workers.values()) if (hasRoom(worker, nowMs)) return true;
    return false;
  }

  /** Slots of workers that are ready. */
  readySlots(nowMs: number): number {
    let slots = 0;
    for (const worker of this.#workers.values()) if (healthOf(worker, nowMs) === "ready") slots += worker.member.slots;
    return slots;
  }

  /** Workers that are to be asked now, and are not being asked. They count as being asked from here on. */
  takeDueProbes(everyMs: (health: LbHealth) => number, nowMs: number): string[] {
    const due = [...this.#workers.values()].filter(
      (worker) => worker.member.slots > 0 && !worker.probing && this.#dueAtMs(worker, everyMs, nowMs) <= nowMs,
    );
    for (const worker of due) Object.assign(worker, { probing: true, probedAtMs: nowMs });
    return due.map(({ member }) => member.id);
  }

  /** When the next one is to be asked, epoch ms. */
  nextProbeAtMs(everyMs: (health: LbHealth) => number, nowMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const worker of this.#workers.values()) {
      if (worker.member.slots === 0 || worker.probing) continue;
      earliest = Math.min(earliest, this.#dueAtMs(worker, everyMs, nowMs));
    }
    return earliest;
  }

  #dueAtMs(worker: Worker, everyMs: (health: LbHealth) => number, nowMs: number): number {
    return worker.probedAtMs + everyMs(healthOf(worker, nowMs));
  }

  /** The answer to a probe; null: it came to nothing, and is due again in its time. */
  probed(id: string, health: ProbedHealth | null, nowMs: number): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    worker.probing = false;
    if (health !== null) setHealth(worker, health, nowMs);
  }

  /** A request that began at `startedAtMs` was served. It says nothing against what was found out since. */
  served(id: string, startedAtMs: number, nowMs: number): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    const isOlder = worker.changedAtMs > startedAtMs && (worker.health === "starting" || worker.health === "unhealthy");
    if (!isOlder) setHealth(worker, "ready", nowMs);
  }

  /** It could not be reached: no more requests until a probe has found it ready, which is made at once. */
  unreachable(id: string, nowMs: number): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    setHealth(worker, "unhealthy", nowMs);
    worker.probedAtMs = 0;
  }

  /** How a worker stands; null: it is to get no requests. */
  look(id: string, nowMs: number): { readonly health: LbHealth; readonly running: number } | null {
    const worker = this.#workers.get(id);
    if (worker === undefined || worker.member.slots === 0) return null;
    return { health: healthOf(worker, nowMs), running: worker.tokens.size };
  }

  /** Slots by state, for `/health`. `ready`: could take a request now; an idle worker that nobody has asked is not in it. */
  counts(nowMs: number): Readonly<Record<"idle" | "initializing" | "ready" | "running" | "unhealthy", number>> {
    const counts = { idle: 0, initializing: 0, ready: 0, running: 0, unhealthy: 0 };
    for (const worker of this.#workers.values()) {
      const free = Math.max(worker.member.slots - worker.tokens.size, 0);
      counts.running += worker.tokens.size;
      const health = healthOf(worker, nowMs);
      if (health === "starting") counts.initializing += free;
      else if (health === "unhealthy") counts.unhealthy += free;
      else counts.idle += free;
      if (health === "ready") counts.ready += free;
    }
    return counts;
  }

  #worker(id: string): Worker {
    const known = this.#workers.get(id);
    if (known !== undefined) return known;
    const worker: Worker = {
      member: { id, slots: 0, rateKind: "flex" },
      health: "unknown",
      confirmedAtMs: 0,
      changedAtMs: 0,
      probedAtMs: 0,
      probing: false,
      startedAt: 0,
      tokens: new Set(),
    };
    this.#workers.set(id, worker);
    return worker;
  }
}

function setHealth(worker: Worker, health: ProbedHealth, nowMs: number): void {
  if (worker.health !== health) worker.changedAtMs = nowMs;
  worker.health = health;
  worker.confirmedAtMs = nowMs;
}

/** Nothing is asked while an endpoint is idle, so what was found out long ago says nothing. */
function healthOf(worker: Worker, nowMs: number): LbHealth {
  return nowMs < worker.confirmedAtMs + LB_HEALTH_FRESH_MS ? worker.health : "unknown";
}

function hasRoom(worker: Worker, nowMs: number): boolean {
  return worker.tokens.size < worker.member.slots && healthOf(worker, nowMs) === "ready";
}

function isBetter(worker: Worker, best: Worker | undefined): boolean {
  if (best === undefined) return true;
  if (worker.member.rateKind !== best.member.rateKind) return worker.member.rateKind === "active";
  const load = worker.tokens.size / worker.member.slots;
  const bestLoad = best.tokens.size / best.member.slots;
  return load < bestLoad || (load === bestLoad && worker.startedAt < best.startedAt);
}
