// Which waiting job is next: first by tenant (the one served least, in GPU milliseconds), then by priority, then by
// age. Running jobs count while they run, so that a tenant of long jobs gathers no slots before its first one ends. A
// tenant that runs as many jobs as it may is left out until one of them ends. The cost of a choice does not grow with
// past tenants: only waiting ones are compared, in the order of service.

import { FAIR_KEPT_MAX } from "../limits.ts";
import { AgeOrder } from "./age-order.ts";
import { type Served, ServedOrder, servedMs } from "./served-order.ts";

interface TenantLine extends Served {
  readonly tenantId: string;
  readonly normal: AgeOrder;
  readonly low: AgeOrder;
  /** The number of jobs that the tenant may run at once; Infinity: no bound. */
  runningMax: number;
  /** How many of its jobs are counted in `startable`. */
  counted: number;
}

export class FairOrder {
  readonly #lines = new Map<string, TenantLine>();
  /** The bounds of tenants that have one: they outlive a tenant's line. */
  readonly #bounds = new Map<string, number>();
  /** Each line is in one of four orders: some of its jobs wait and may start, */
  readonly #waiting = new ServedOrder<TenantLine>();
  /** or its jobs wait until one of its running ones ends, or its jobs only run, */
  readonly #bounded = new ServedOrder<TenantLine>();
  readonly #running = new ServedOrder<TenantLine>();
  /** or it has no job, and is kept because its tenant was served more than a newcomer is counted to have been. */
  readonly #kept = new ServedOrder<TenantLine>();
  /** The time of the least served waiting tenant: newcomers begin with it, so that idle time earns them no burst. */
  #floorMs = 0;
  #turns = 0;
  #startable = 0;

  /** Tenants in memory: those whose jobs wait or run, and at most FAIR_KEPT_MAX others. */
  get tenants(): number {
    return this.#lines.size;
  }

  /** Jobs of normal priority that could all start now if there were slots enough: a tenant's bound is not counted beyond. */
  get startable(): number {
    return this.#startable;
  }

  /** Those of them that are older than this uuid (core/job/id.ts: firstUuidAt). */
  startableBefore(uuid: string): number {
    let older = 0;
    for (const line of this.#waiting.all()) older += Math.min(line.normal.indexOf(uuid), line.counted);
    return older;
  }

  /** The oldest of them from this uuid on; undefined: there is none. */
  oldestStartable(fromUuid: string): string | undefined {
    let oldest: string | undefined;
    for (const line of this.#waiting.all()) {
      const at = line.normal.indexOf(fromUuid);
      const first = at < line.counted ? line.normal.at(at) : undefined;
      if (first !== undefined && (oldest === undefined || first < oldest)) oldest = first;
    }
    return oldest;
  }

  add(tenantId: string, uuid: string, lowPriority: boolean, nowMs: number): void {
    const line = this.#lines.get(tenantId);
    if (line !== undefined && waits(line)) {
      queueOf(line, lowPriority).add(uuid);
      this.#recount(line);
      return;
    }
    this.#change(tenantId, (changed) => {
      changed.settledMs += Math.max(this.#floorMs - servedMs(changed, nowMs), 0);
      this.#turns += 1;
      changed.turn = this.#turns;
      queueOf(changed, lowPriority).add(uuid);
    });
  }

  remove(tenantId: string, uuid: string, lowPriority: boolean): void {
    const line = this.#lines.get(tenantId);
    if (line === undefined || !waits(line)) return;
    const order = this.#orderOf(line);
    queueOf(line, lowPriority).remove(uuid);
    this.#recount(line);
    if (waits(line)) return;
    order.remove(line);
    this.#enter(line);
  }

  /** Removes all waiting jobs of a tenant. */
  removeAll(tenantId: string): void {
    const line = this.#lines.get(tenantId);
    if (line === undefined || !waits(line)) return;
    const order = this.#orderOf(line);
    line.normal.clear();
    line.low.clear();
    this.#recount(line);
    order.remove(line);
    this.#enter(line);
  }

  /** Sets how many jobs the tenant may run at once, at least 1; null: no bound. Jobs that run already go on. */
  bound(tenantId: string, runningMax: number | null, nowMs: number): void {
    if (runningMax === null) this.#bounds.delete(tenantId);
    else this.#bounds.set(tenantId, runningMax);
    if (!this.#lines.has(tenantId)) return;
    this.#free(tenantId, nowMs, (line) => {
      line.runningMax = runningMax ?? Number.POSITIVE_INFINITY;
    });
  }

  /** The bound that keeps further jobs of the tenant from starting now; null: none does. */
  boundReached(tenantId: string): number | null {
    const line = this.#lines.get(tenantId);
    return line !== undefined && isAtBound(line) ? line.runningMax : null;
  }

  /** The next job, which stays in the order; undefined when no job waits that may start. */
  next(nowMs: number): string | undefined {
    const line = this.#waiting.least(nowMs);
    if (line === undefined) return undefined;
    this.#floorMs = servedMs(line, nowMs);
    this.#forgetOvertaken(nowMs);
    return line.normal.first() ?? line.low.first();
  }

  /** Does no job wait that may start? */
  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Does another job wait that may start, of any tenant, beside one of this tenant? */
  hasOthers(tenantId: string): boolean {
    const line = this.#lines.get(tenantId);
    return this.#waiting.size > 1 || (line !== undefined && line.normal.size + line.low.size > 1);
  }

  /** An attempt of the tenant runs since `startedAtMs`, epoch ms. */
  noteStart(tenantId: string, startedAtMs: number): void {
    this.#change(tenantId, (line) => {
      // Idle time must not count for a job that starts without waiting, either.
      if (line.running === 0 && !waits(line)) line.settledMs = Math.max(line.settledMs, this.#floorMs);
      line.running += 1;
      line.startsSumMs += startedAtMs;
    });
  }

  /** The attempt that began at `startedAtMs` has ended, and counts as `executionMs`. */
  noteEnd(tenantId: string, startedAtMs: number, executionMs: number): void {
    this.#free(tenantId, startedAtMs + executionMs, (line) => {
      line.running -= 1;
      line.startsSumMs -= startedAtMs;
      line.settledMs += executionMs;
    });
  }

  /** The place of a job among the tenant's own waiting jobs, from 1. */
  position(tenantId: string, uuid: string, lowPriority: boolean): number {
    const line = this.#lines.get(tenantId);
    if (line === undefined) return 1;
    return 1 + (lowPriority ? line.normal.size + line.low.indexOf(uuid) : line.normal.indexOf(uuid));
  }

  /** As `#change`, for what may let a tenant at its bound go on: time at the bound earns no burst, as idle time earns none. */
  #free(tenantId: string, nowMs: number, change: (line: TenantLine) => void): void {
    this.#change(tenantId, (line) => {
      const wasAtBound = waits(line) && isAtBound(line);
      change(line);
      if (wasAtBound && !isAtBound(line)) line.settledMs += Math.max(this.#floorMs - servedMs(line, nowMs), 0);
    });
  }

  #change(tenantId: string, change: (line: TenantLine) => void): void {
    let line = this.#lines.get(tenantId);
    if (line === undefined) {
      line = makeLine(tenantId, this.#floorMs, this.#bounds.get(tenantId) ?? Number.POSITIVE_INFINITY);
      this.#lines.set(tenantId, line);
    } else this.#orderOf(line).remove(line);
    change(line);
    this.#recount(line);
    this.#enter(line);
  }

  #recount(line: TenantLine): void {
    const counted = Math.max(Math.min(line.normal.size, line.runningMax - line.running), 0);
    this.#startable += counted - line.counted;
    line.counted = counted;
  }

  #enter(line: TenantLine): void {
    this.#orderOf(line).add(line);
    if (this.#kept.size <= FAIR_KEPT_MAX) return;
    // The least served one gains least by being forgotten. The time 0 will do: lines without running jobs do not grow.
    const least = this.#kept.least(0);
    if (least !== undefined) this.#forget(least);
  }

  #orderOf(line: TenantLine): ServedOrder<TenantLine> {
    if (waits(line)) return isAtBound(line) ? this.#bounded : this.#waiting;
    return line.running > 0 ? this.#running : this.#kept;
  }

  /** Forgets idle tenants that would begin at the floor now and later: it may fall when running jobs' charges end. */
  #forgetOvertaken(nowMs: number): void {
    let least = this.#kept.least(nowMs);
    if (least === undefined || least.settledMs > this.#floorMs) return;
    const lines = [this.#waiting, this.#bounded, this.#running];
    const lastingMs = Math.min(this.#floorMs, ...lines.map((order) => order.lastingMs(nowMs)));
    for (; least !== undefined && least.settledMs <= lastingMs; least = this.#kept.least(nowMs)) this.#forget(least);
  }

  #forget(line: TenantLine): void {
    this.#kept.remove(line);
    this.#lines.delete(line.tenantId);
  }
}

function makeLine(tenantId: string, settledMs: number, runningMax: number): TenantLine {
  return {
    tenantId,
    runningMax,
    normal: new AgeOrder(),
    low: new AgeOrder(),
    settledMs,
    running: 0,
    startsSumMs: 0,
    turn: 0,
    counted: 0,
    at: 0,
  };
}

function waits(line: TenantLine): boolean {
  return line.normal.size + line.low.size > 0;
}

function isAtBound(line: TenantLine): boolean {
  return line.running >= line.runningMax;
}

function queueOf(line: TenantLine, lowPriority: boolean): AgeOrder {
  return lowPriority ? line.low : line.normal;
}
