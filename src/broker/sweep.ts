// Deletes jobs whose retention is over: walks the key, a page an alarm, and never a job that still owes something.
// When that is due next is in memory. After a start of the object the alarm that an earlier one has set stands for it: a look at
// a time that the start chose would be put off by the next start, and so for ever where nothing but alarms starts the object.
import type { Job } from "../core/job.ts";
import { expiresAtMs } from "../core/job.ts";
import { SWEEP_EVERY_MS, SWEEP_OWING_EVERY_MS, TURN_ROWS_MAX } from "../core/limits.ts";
import type { SweptJob } from "./job-row.ts";
import type { BrokerStore } from "./store.ts";

/** R2 keys that no row names any more, and the jobs whose rows are gone. */
interface Swept {
  readonly keys: readonly string[];
  readonly gone: readonly Job[];
}

export class Sweep {
  readonly #store: BrokerStore;
  #cursor = "";
  #earliestMs = Number.POSITIVE_INFINITY;
  /** Some of this walk are expired, but still owe something. */
  #someOwe = false;
  /** When the rows that an earlier start has left expire is not known yet. */
  #isUnknown: boolean;
  nextAtMs = Number.POSITIVE_INFINITY;

  /** `hasKeys`: Idempotency-Keys are stored, whose walk begins with a sweep. */
  constructor(store: BrokerStore, hasKeys: boolean) {
    this.#store = store;
    this.#isUnknown = store.jobRows > 0 || hasKeys;
  }

  /** A start of the object finds no alarm that would bring the first look. */
  noAlarm(nowMs: number): void {
    if (this.#isUnknown) this.expect(nowMs, nowMs);
  }

  /** For the alarm. The first one of an object looks in any case: it may have been set for just that. */
  isDue(nowMs: number): boolean {
    return this.#isUnknown || this.nextAtMs <= nowMs;
  }

  /** A job will be deletable from `atMs` on. */
  expect(atMs: number, nowMs: number): void {
    if (!Number.isFinite(atMs)) return;
    this.nextAtMs = Math.min(this.nextAtMs, Math.max(atMs, nowMs + SWEEP_EVERY_MS));
  }

  /** One page. Returns what is gone. `settle` gives a row's job as it counts (purges included). */
  run(nowMs: number, settle: (stored: SweptJob) => Job, mayGo: (job: Job) => boolean): Swept {
    this.#isUnknown = false;
    const page = this.#store.sweepPage(this.#cursor, TURN_ROWS_MAX);
    const keys: string[] = [];
    const gone: Job[] = [];
    this.#store.transaction(() => {
      for (const stored of page) {
        const job = settle(stored);
        const expiresMs = expiresAtMs(job);
        if (expiresMs > nowMs) this.#earliestMs = Math.min(this.#earliestMs, expiresMs);
        else if (mayGo(job)) {
          keys.push(...this.#delete(stored, job));
          gone.push(job);
        } else this.#someOwe = true;
      }
    });
    this.#advance(page, nowMs);
    return { keys, gone };
  }

  #advance(page: readonly SweptJob[], nowMs: number): void {
    if (page.length === TURN_ROWS_MAX) {
      this.#cursor = page.at(-1)?.job.uuid ?? "";
      this.nextAtMs = nowMs;
      return;
    }
    this.#cursor = "";
    this.nextAtMs = Number.POSITIVE_INFINITY;
    this.expect(this.#earliestMs, nowMs);
    // The end of a webhook brings a look at its job by itself; this one is for the rest.
    if (this.#someOwe) this.expect(nowMs + SWEEP_OWING_EVERY_MS, nowMs);
    this.#earliestMs = Number.POSITIVE_INFINITY;
    this.#someOwe = false;
  }

  #delete(stored: SweptJob, job: Job): string[] {
    if (stored.idempotencyKey !== null) this.#store.noteFinalStatus(job.tenantId, stored.idempotencyKey, job.status);
    this.#store.deleteJob(stored);
    const places = [stored.inputPlace, stored.outputPlace];
    return places.flatMap((place) => (place?.kind === "r2" ? [place.key] : []));
  }
}
