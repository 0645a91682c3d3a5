// Deletes jobs whose retention is over: walks the key, a page an alarm, and never a job that still owes something.
import type { Job } from "../core/job.ts";
import { expiresAtMs } from "../core/job.ts";
import { SWEEP_EVERY_MS, TURN_ROWS_MAX } from "../core/limits.ts";
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
  nextAtMs: number;

  constructor(store: BrokerStore, nowMs: number) {
    this.#store = store;
    // What an earlier start of the object has left is not known: look once.
    this.nextAtMs = store.highestNumbers().queueSeq > 0 ? nowMs + SWEEP_EVERY_MS : Number.POSITIVE_INFINITY;
  }

  /** A job will be deletable from `atMs` on. */
  expect(atMs: number, nowMs: number): void {
    if (!Number.isFinite(atMs)) return;
    this.nextAtMs = Math.min(this.nextAtMs, Math.max(atMs, nowMs + SWEEP_EVERY_MS));
  }

  /** One page. Returns what is gone. `settle` gives a row's job as it counts (purges included). */
  run(nowMs: number, settle: (stored: SweptJob) => Job, mayGo: (job: Job) => boolean): Swept {
    const page = this.#store.sweepPage(this.#cursor, TURN_ROWS_MAX);
    const keys: string[] = [];
    const gone: Job[] = [];
    this.#store.transaction(() => {
      for (const stored of page) {
        const job = settle(stored);
        const expiresMs = expiresAtMs(job);
        if (expiresMs <= nowMs && mayGo(job)) {
          keys.push(...this.#delete(stored, job));
          gone.push(job);
        } else if (Number.isFinite(expiresMs)) this.#earliestMs = Math.min(this.#earliestMs, expiresMs);
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
    this.#earliestMs = Number.POSITIVE_INFINITY;
  }

  #delete(stored: SweptJob, job: Job): string[] {
    if (stored.idempotencyKey !== null) this.#store.noteFinalStatus(job.tenantId, stored.idempotencyKey, job.status);
    this.#store.deleteJob(stored);
    const places = [stored.inputPlace, stored.outputPlace];
    return places.flatMap((place) => (place?.kind === "r2" ? [place.key] : []));
  }
}
