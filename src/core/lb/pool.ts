// The workers of a load-balanced endpoint as its broker sees them now: their health, their running requests, and which
// one gets the next. Memory only. A request holds a slot by a token until it is released, or not renewed in time.
import { LB_GIVEN_UP_AFTER_MS, LB_HEALTH_FRESH_MS } from "../limits.ts";
import type { PoolMember } from "../scheduling/upstream-pool.ts";

/** `unknown`: not confirmed within LB_HEALTH_FRESH_MS. Only a `ready` worker gets requests. */
export type LbHealth = "unknown" | ProbedHealth;
/** By the status that `/ping` answers: 200, 204, anything else. */
export type ProbedHealth = "ready" | "starting" | "unhealthy";

/** The worker that a request asks for. `soft`: prefers it; `strict`: needs it healthy; `resume`: waits for it. */
export type Affinity =
  | { readonly kind: "none" }
  | { readonly kind: "soft" | "strict" | "resume"; readonly workerId: string };

/** `gone`: the required worker is not there. `none_left`: every worker of the endpoint has failed this request. */
export type LbChoice =
  | { readonly kind: "worker"; readonly id: string }
  | { readonly kind: "wait" | "gone" | "none_left" };

export interface LbWish {
  readonly affinity: Affinity;
  /** Workers that have failed this very request. */
  readonly avoidIds: readonly string[];
}

/** What is known of a worker's life, also of one that gets no more requests. */
export interface LbLife {
  readonly health: LbHealth;
  /** When its health was last confirmed, and since when it is ready, or is not, epoch ms; 0: it was not asked yet. */
  readonly confirmedAtMs: number;
  readonly changedAtMs: number;
  readonly running: number;
  /** When its newest request began, and the newest one that it has served, epoch ms; 0: there was none. */
  readonly newestAtMs: number;
  readonly servedFromMs: number;
}

/** How long after a probe of a worker the next one is due, ms; Infinity: none is. */
export type ProbeEvery = (health: LbHealth, worker: { readonly id: string; readonly probedAtMs: number }) => number;

/** `url`: where it is called. */
export interface LbMember extends PoolMember {
  readonly url: string;
}

/** A request's token, by which it holds a slot, and its tenant. */
export interface LbHold {
  readonly token: string;
  readonly tenantId: string;
}

interface Worker {
  member: LbMember;
  health: LbHealth;
  /** When health was last confirmed, and since when it is ready, or is not, epoch ms. */
  confirmedAtMs: number;
  changedAtMs: number;
  /** When the newest probe was begun, epoch ms, and whether it is still under way. */
  probedAtMs: number;
  probing: boolean;
  /** The number of its newest start among all: among equals the worker that was served longest ago is next. */
  startedAt: number;
  /** When its newest request began, and the newest one that it has served where it is called now, epoch ms; 0: there was none. */
  newestAtMs: number;
  servedFromMs: number;
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
  /** Tenant → the number of its newest start among all, since the line was last empty. */
  readonly #servedAt = new Map<string, number>();
  #starts = 0;

  /**
   * Takes new settings; running requests keep their slots, and a worker that stays where it was keeps its health. What is called at
   * another address from now on is asked there first.
   */
  configure(members: readonly LbMember[]): void {
    const wanted = new Map(members.map((member) => [member.id, member]));
    for (const [id, worker] of this.#workers) {
      if (wanted.has(id)) continue;
      worker.member = { ...worker.member, slots: 0 };
      if (worker.tokens.size === 0) this.#workers.delete(id);
    }
    for (const member of members) {
      const worker = this.#worker(member.id);
      const isElsewhere = worker.member.url !== member.url;
      worker.member = member;
      if (isElsewhere) Object.assign(worker, NOT_ASKED);
    }
  }

  /** Is this where the worker is called now? What was found at another address shows nothing of it. */
  isAt({ id, url }: Pick<LbMember, "id" | "url">): boolean {
    return this.#workers.get(id)?.member.url === url;
  }

  /** Chooses a ready worker with room: active before flex, then the least loaded, then the longest unserved. */
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

  /** A request takes a slot; also used for a request that an earlier start of the object let in. */
  occupy(id: string, { token, tenantId }: LbHold, nowMs: number): void {
    this.release(token);
    const worker = this.#worker(id);
    this.#starts += 1;
    worker.startedAt = this.#starts;
    worker.newestAtMs = nowMs;
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

  /** Frees the slots of requests that were not renewed in time. Returns how many there were. */
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

  /** A tenant's requests that have a slot now, and the number of its newest start among all starts; 0: none. */
  shareOf(tenantId: string): { readonly running: number; readonly servedAt: number } {
    return { running: this.#runningOf.get(tenantId) ?? 0, servedAt: this.#servedAt.get(tenantId) ?? 0 };
  }

  /** No request waits: the tenants' turns do not matter then, and would take memory for every tenant that ever came. */
  forgetTurns(): void {
    this.#servedAt.clear();
  }

  /** Does a worker that is in service have as many requests as it may? */
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

  /** The workers that are to be probed now and are not being probed; from here on they count as being probed. */
  takeDueProbes(everyMs: ProbeEvery, nowMs: number): string[] {
    const due = [...this.#workers.values()].filter(
      (worker) => worker.member.slots > 0 && !worker.probing && this.#dueAtMs(worker, everyMs, nowMs) <= nowMs,
    );
    for (const worker of due) Object.assign(worker, { probing: true, probedAtMs: nowMs });
    return due.map(({ member }) => member.id);
  }

  /** When the next worker is to be probed, epoch ms. */
  nextProbeAtMs(everyMs: ProbeEvery, nowMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const worker of this.#workers.values()) {
      if (worker.member.slots === 0 || worker.probing) continue;
      earliest = Math.min(earliest, this.#dueAtMs(worker, everyMs, nowMs));
    }
    return earliest;
  }

  #dueAtMs(worker: Worker, everyMs: ProbeEvery, nowMs: number): number {
    const { member, probedAtMs } = worker;
    return probedAtMs + everyMs(healthOf(worker, nowMs), { id: member.id, probedAtMs });
  }

  /** Takes the answer to a probe; null: the probe gave no result, and is due again after its interval. */
  probed(id: string, health: ProbedHealth | null, nowMs: number): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    worker.probing = false;
    if (health !== null) setHealth(worker, health, nowMs);
  }

  /** A request that began at `startedAtMs` was served: the worker is ready, unless a probe found otherwise since. */
  served(id: string, startedAtMs: number, nowMs: number): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    worker.servedFromMs = Math.max(worker.servedFromMs, startedAtMs);
    const isOlder = worker.changedAtMs > startedAtMs && (worker.health === "starting" || worker.health === "unhealthy");
    if (!isOlder) setHealth(worker, "ready", nowMs);
  }

  /** A worker could not be reached: it gets no request until a probe, which is due at once, has found it ready. */
  unreachable(id: string, nowMs: number): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    setHealth(worker, "unhealthy", nowMs);
    worker.probedAtMs = 0;
  }

  /** A worker's health and running requests; null: the worker is not in service. */
  look(id: string, nowMs: number): { readonly health: LbHealth; readonly running: number } | null {
    const worker = this.#workers.get(id);
    if (worker === undefined || worker.member.slots === 0) return null;
    return { health: healthOf(worker, nowMs), running: worker.tokens.size };
  }

  /** What is known of a worker, also of one that only ends its requests; null: nothing. */
  lifeOf(id: string, nowMs: number): LbLife | null {
    const worker = this.#workers.get(id);
    if (worker === undefined) return null;
    const { confirmedAtMs, changedAtMs, newestAtMs, servedFromMs, tokens } = worker;
    const times = { confirmedAtMs, changedAtMs, newestAtMs, servedFromMs };
    return { health: healthOf(worker, nowMs), ...times, running: tokens.size };
  }

  /** Slots without a request of workers that are ready, or may be: nobody has asked them of late. */
  freeSlots(nowMs: number, isCounted: (id: string) => boolean): number {
    let free = 0;
    for (const worker of this.#workers.values()) {
      const health = healthOf(worker, nowMs);
      if ((health !== "ready" && health !== "unknown") || !isCounted(worker.member.id)) continue;
      free += Math.max(worker.member.slots - worker.tokens.size, 0);
    }
    return free;
  }

  #worker(id: string): Worker {
    const known = this.#workers.get(id);
    if (known !== undefined) return known;
    const worker: Worker = {
      member: { id, url: "", slots: 0, rateKind: "flex" },
      ...NOT_ASKED,
      startedAt: 0,
      newestAtMs: 0,
      tokens: new Set(),
    };
    this.#workers.set(id, worker);
    return worker;
  }
}

/** A worker of which nothing is known. */
const NOT_ASKED = {
  health: "unknown",
  confirmedAtMs: 0,
  changedAtMs: 0,
  servedFromMs: 0,
  probedAtMs: 0,
  probing: false,
} as const;

function setHealth(worker: Worker, health: ProbedHealth, nowMs: number): void {
  // A program that ends and begins anew again and again alternates between the two others, and is ready in neither.
  const isOther = worker.health === "unknown" || (worker.health === "ready") !== (health === "ready");
  if (isOther) worker.changedAtMs = nowMs;
  worker.health = health;
  worker.confirmedAtMs = nowMs;
}

/** Workers of an idle endpoint are not probed, so a health that was found long ago counts as unknown. */
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
