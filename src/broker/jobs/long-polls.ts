// Calls that wait for a job to end. One timer serves them all: an object may hold 10,000 timers and no more.
import { DueOrder } from "../../core/scheduling/due-order.ts";

/** The key that readers of a job's stream wait for: its chunks and its end. The uuid stands for the end alone. */
export function streamOf(uuid: string): string {
  return `stream ${uuid}`;
}

interface Waiter {
  readonly id: string;
  readonly uuid: string;
  readonly untilMs: number;
  readonly wake: () => void;
}

/** Answering a call whose wait is over takes up to 0.1 ms, and thousands may have begun to wait together. */
const EXPIRED_AT_ONCE_MAX = 250;

export class LongPolls {
  readonly #byJob = new Map<string, Set<Waiter>>();
  readonly #byId = new Map<string, Waiter>();
  #due = new DueOrder();
  #madeSoFar = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;

  /** Resolves when the job is woken or the time has come, whichever is first. */
  wait(uuid: string, holdMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#madeSoFar += 1;
      const waiter: Waiter = { id: `${this.#madeSoFar}`, uuid, untilMs: Date.now() + holdMs, wake: resolve };
      const longPolls = this.#byJob.get(uuid) ?? new Set();
      longPolls.add(waiter);
      this.#byJob.set(uuid, longPolls);
      this.#byId.set(waiter.id, waiter);
      this.#due.push({ atMs: waiter.untilMs, uuid: waiter.id });
      this.#arm(waiter.untilMs);
    });
  }

  /** Ends all waits for this job. True: there was one. */
  wake(uuid: string): boolean {
    const longPolls = this.#byJob.get(uuid);
    if (longPolls === undefined) return false;
    this.#byJob.delete(uuid);
    for (const waiter of longPolls) {
      this.#byId.delete(waiter.id);
      waiter.wake();
    }
    this.#dropStale();
    return true;
  }

  #arm(atMs: number): void {
    if (atMs >= this.#timerAtMs) return;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(() => this.#expire(), Math.max(atMs - Date.now(), 0));
  }

  #expire(): void {
    const nowMs = Date.now();
    this.#timer = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    for (let woken = 0; ; ) {
      const due = this.#due.peek();
      if (due === undefined) return;
      const waiter = this.#byId.get(due.uuid);
      if (waiter !== undefined && (waiter.untilMs > nowMs || woken >= EXPIRED_AT_ONCE_MAX)) {
        this.#arm(waiter.untilMs);
        return;
      }
      this.#due.pop();
      if (waiter === undefined) continue;
      woken += 1;
      this.#forget(waiter);
      waiter.wake();
    }
  }

  #forget(waiter: Waiter): void {
    this.#byId.delete(waiter.id);
    const longPolls = this.#byJob.get(waiter.uuid);
    longPolls?.delete(waiter);
    if (longPolls?.size === 0) this.#byJob.delete(waiter.uuid);
  }

  #dropStale(): void {
    if (!this.#due.isMostlyStale(this.#byId.size)) return;
    this.#due = new DueOrder();
    for (const { id, untilMs } of this.#byId.values()) this.#due.push({ atMs: untilMs, uuid: id });
  }
}
