// Which waiting job is next: first by tenant (the one served least, in GPU milliseconds), then by priority, then by
// age. Running jobs count while they run, so that a tenant of long jobs gathers no slots before its first one ends. The
// cost of a choice does not grow with past tenants: only waiting ones are compared, in the order of service.

import { FAIR_KEPT_MAX } from "../limits.ts";
import { AgeOrder } from "./age-order.ts";
import { type Served, ServedOrder, servedMs } from "./served-order.ts";

interface TenantLine extends Served {
  readonly tenantId: string;
  readonly normal: AgeOrder;
  readonly low: AgeOrder;
}

export class FairOrder {
  readonly #lines = new Map<string, TenantLine>();
  /** Each line is in one of three orders: some of its jobs wait, or its jobs only run, */
  readonly #waiting = new ServedOrder<TenantLine>();
  readonly #running = new ServedOrder<TenantLine>();
  /** or it has no job, and is kept because its tenant was served more than a newcomer is counted to have been. */
  readonly #kept = new ServedOrder<TenantLine>();
  /** The time of the least served waiting tenant: newcomers begin with it, so that idle time earns them no burst. */
  #floorMs = 0;
  #turns = 0;

  /** Tenants in memory: those whose jobs wait or run, and at most FAIR_KEPT_MAX others. */
  get tenants(): number {
    return this.#lines.size;
  }

  add(tenantId: string, uuid: string, lowPriority: boolean, nowMs: number): void {
    const line = this.#lines.get(tenantId);
    if (line !== undefined && waits(line)) {
      queueOf(line, lowPriority).add(uuid);
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
    queueOf(line, lowPriority).remove(uuid);
    if (waits(line)) return;
    this.#waiting.remove(line);
    this.#enter(line);
  }

  /** Removes all waiting jobs of a tenant. */
  removeAll(tenantId: string): void {
    const line = this.#lines.get(tenantId);
    if (line === undefined || !waits(line)) return;
    line.normal.clear();
    line.low.clear();
    this.#waiting.remove(line);
    this.#enter(line);
  }

  /** The next job, which stays in the order; undefined when no job waits. */
  next(nowMs: number): string | undefined {
    const line = this.#waiting.least(nowMs);
    if (line === undefined) return undefined;
    this.#floorMs = servedMs(line, nowMs);
    this.#forgetOvertaken(nowMs);
    return line.normal.first() ?? line.low.first();
  }

  /** Does any job wait? */
  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Does another job wait, of any tenant, beside one of this tenant? */
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
    this.#change(tenantId, (line) => {
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

  #change(tenantId: string, change: (line: TenantLine) => void): void {
    let line = this.#lines.get(tenantId);
    if (line === undefined) {
      line = makeLine(tenantId, this.#floorMs);
      this.#lines.set(tenantId, line);
    } else this.#orderOf(line).remove(line);
    change(line);
    this.#enter(line);
  }

  #enter(line: TenantLine): void {
    this.#orderOf(line).add(line);
    if (this.#kept.size <= FAIR_KEPT_MAX) return;
    // The least served one gains least by being forgotten. The time 0 will do: lines without running jobs do not grow.
    const least = this.#kept.least(0);
    if (least !== undefined) this.#forget(least);
  }

  #orderOf(line: TenantLine): ServedOrder<TenantLine> {
    if (waits(line)) return this.#waiting;
    return line.running > 0 ? this.#running : this.#kept;
  }

  /** Forgets idle tenants that would begin at the floor now and later: it may fall when running jobs' charges end. */
  #forgetOvertaken(nowMs: number): void {
    let least = this.#kept.least(nowMs);
    if (least === undefined || least.settledMs > this.#floorMs) return;
    const lastingMs = Math.min(this.#floorMs, this.#waiting.lastingMs(nowMs), this.#running.lastingMs(nowMs));
    for (; least !== undefined && least.settledMs <= lastingMs; least = this.#kept.least(nowMs)) this.#forget(least);
  }

  #forget(line: TenantLine): void {
    this.#kept.remove(line);
    this.#lines.delete(line.tenantId);
  }
}

function makeLine(tenantId: string, settledMs: number): TenantLine {
  return {
    tenantId,
    normal: new AgeOrder(),
    low: new AgeOrder(),
    settledMs,
    running: 0,
    startsSumMs: 0,
    turn: 0,
    at: 0,
  };
}

function waits(line: TenantLine): boolean {
  return line.normal.size + line.low.size > 0;
}

function queueOf(line: TenantLine, lowPriority: boolean): AgeOrder {
  return lowPriority ? line.low : line.normal;
}
