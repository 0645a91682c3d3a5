// Calls that wait for a job to end. One timer serves them all: an object may hold 10,000 timers and no more.

/** What readers of a job's stream wait for: chunks and its end, where others wait for the end alone. */
export function streamOf(uuid: string): string {
  return `stream ${uuid}`;
}

interface Waiter {
  readonly untilMs: number;
  readonly wake: () => void;
}

export class Waiters {
  readonly #byJob = new Map<string, Set<Waiter>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;

  /** Resolves when the job is woken or the time has come, whichever is first. */
  wait(uuid: string, holdMs: number): Promise<void> {
    return new Promise((resolve) => {
      const waiter: Waiter = { untilMs: Date.now() + holdMs, wake: resolve };
      const waiters = this.#byJob.get(uuid) ?? new Set();
      waiters.add(waiter);
      this.#byJob.set(uuid, waiters);
      this.#arm(waiter.untilMs);
    });
  }

  /** True: somebody waited. */
  wake(uuid: string): boolean {
    const waiters = this.#byJob.get(uuid);
    if (waiters === undefined) return false;
    this.#byJob.delete(uuid);
    for (const waiter of waiters) waiter.wake();
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
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [uuid, waiters] of this.#byJob) {
      for (const waiter of waiters) {
        if (waiter.untilMs > nowMs) nextMs = Math.min(nextMs, waiter.untilMs);
        else {
          waiters.delete(waiter);
          waiter.wake();
        }
      }
      if (waiters.size === 0) this.#byJob.delete(uuid);
    }
    if (Number.isFinite(nextMs)) this.#arm(nextMs);
  }
}
