// Deletes jobs whose retention is over: walks the key, a page an alarm, and never a job that still owes something.
import type { Job } from "../core/job.ts";
import { expiresAtMs } from "../core/job.ts";
import { ALARM_ROWS_MAX } from "../core/limits.ts";
import type { BrokerStore, StoredJob } from "./store.ts";

/** A walk over all rows at most this often; reads refuse an expired job by its own time meanwhile. */
const SWEEP_EVERY_MS = 30_000;

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

  /** One page. Returns the R2 keys whose rows are gone. `settle` gives a row's job as it counts (purges included). */
  run(nowMs: number, settle: (stored: StoredJob) => Job, mayGo: (job: Job) => boolean): string[] {
    const page = this.#store.sweepPage(this.#cursor, ALARM_ROWS_MAX);
    const keys: string[] = [];
    this.#store.transaction(() => {
      for (const { uuid, stored } of page) {
        const job = settle(stored);
        const expiresMs = expiresAtMs(job);
        if (expiresMs <= nowMs && mayGo(job)) keys.push(...this.#delete(uuid, stored, job));
        else if (Number.isFinite(expiresMs)) this.#earliestMs = Math.min(this.#earliestMs, expiresMs);
      }
      if (this.#cursor === "") this.#store.dropExpiredKeys(nowMs);
    });
    this.#advance(page, nowMs);
    return keys;
  }

  #advance(page: readonly { readonly uuid: string }[], nowMs: number): void {
    if (page.length === ALARM_ROWS_MAX) {
      this.#cursor = page.at(-1)?.uuid ?? "";
      this.nextAtMs = nowMs;
      return;
    }
    this.#cursor = "";
    this.nextAtMs = Number.POSITIVE_INFINITY;
    this.expect(this.#earliestMs, nowMs);
    this.#earliestMs = Number.POSITIVE_INFINITY;
  }

  #delete(uuid: string, stored: StoredJob, job: Job): string[] {
    if (stored.idempotencyKey !== null) this.#store.noteFinalStatus(job.tenantId, stored.idempotencyKey, job.status);
    this.#store.deleteJob(uuid, stored);
    const places = [stored.inputPlace, stored.outputPlace];
    return places.flatMap((place) => (place?.kind === "r2" ? [place.key] : []));
  }
}
