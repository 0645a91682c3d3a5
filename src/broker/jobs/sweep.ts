// Deletes jobs whose retention is over: walks the rows by key, one page a turn, and leaves jobs that still owe
// something. A start of the object takes the time of the next walk from the checkpoint and from the rows that it reads.
// If it counted from its own time, the next start would put the walk off, for ever where only alarms start the object.
import type { Job } from "../../core/job/job.ts";
import { expiresAtMs } from "../../core/job/job.ts";
import { SWEEP_EVERY_MS, SWEEP_OWING_EVERY_MS, TURN_ROWS_MAX } from "../../core/limits.ts";
import type { SweptJob } from "../store/job-row.ts";
import type { BrokerStore } from "../store/jobs.ts";
import type { KeptRows } from "../store/kept-rows.ts";
import type { Purges } from "../store/purges.ts";

export class Sweep {
  readonly #store: BrokerStore;
  readonly #purges: Purges;
  readonly #kept: KeptRows;
  #cursor = "";
  #earliestMs = Number.POSITIVE_INFINITY;
  /** True: this walk has met jobs that are expired, but still owe something. */
  #someOwe = false;

  constructor(store: BrokerStore, purges: Purges, kept: KeptRows) {
    this.#store = store;
    this.#purges = purges;
    this.#kept = kept;
  }

  /**
   * When to look next, epoch ms. Each checkpoint stores it for the settled rows; for the other rows a start computes
   * it. No start puts it off: on a quiet endpoint each alarm starts the object anew.
   */
  get nextAtMs(): number {
    return this.#kept.sweepAtMs;
  }

  set nextAtMs(atMs: number) {
    this.#kept.sweepAtMs = atMs;
  }

  /** A start of the object has read a row that is deletable from `atMs` on, epoch ms. */
  found(atMs: number): void {
    this.nextAtMs = Math.min(this.nextAtMs, atMs);
  }

  /** Notes that a job will be deletable from `atMs` on. */
  expect(atMs: number, nowMs: number): void {
    if (!Number.isFinite(atMs)) return;
    // A walk that is under way may have passed the job's row, so it must plan the next walk by this time, too.
    if (this.#cursor !== "") this.#earliestMs = Math.min(this.#earliestMs, atMs);
    this.nextAtMs = Math.min(this.nextAtMs, Math.max(atMs, nowMs + SWEEP_EVERY_MS));
  }

  /** Sweeps one page. Returns R2 keys that no row names any more. `settle` returns a row's job with purges applied. */
  run(nowMs: number, settle: (stored: SweptJob) => Job, mayGo: (job: Job) => boolean): readonly string[] {
    const page = this.#store.sweepPage(this.#cursor, TURN_ROWS_MAX);
    const gone: { readonly stored: SweptJob; readonly job: Job }[] = [];
    for (const stored of page) {
      const job = settle(stored);
      const expiresMs = expiresAtMs(job);
      if (expiresMs > nowMs) this.#earliestMs = Math.min(this.#earliestMs, expiresMs);
      else if (mayGo(job)) gone.push({ stored, job });
      else this.#someOwe = true;
    }
    const rows = gone.map(({ stored }) => stored.job);
    const keys: string[] = [];
    const forget = this.#store.transaction(() => {
      // This comes before the rows are deleted, because it may have to measure them.
      const forgetKept = this.#kept.remove(rows, nowMs);
      this.#purges.jobsGone(rows);
      for (const { stored, job } of gone) keys.push(...this.#delete(stored, job));
      return forgetKept;
    });
    forget();
    this.#advance(page, nowMs);
    return keys;
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
    // The end of a webhook plans a look at its job by itself; this time is for jobs that owe something else.
    if (this.#someOwe) this.expect(nowMs + SWEEP_OWING_EVERY_MS, nowMs);
    this.#earliestMs = Number.POSITIVE_INFINITY;
    this.#someOwe = false;
    // This costs one row a walk; without it the next start would walk again where this walk has found nothing.
    this.#store.transaction(() => this.#kept.write(nowMs));
  }

  #delete(stored: SweptJob, job: Job): string[] {
    if (stored.idempotencyKey !== null) this.#store.noteFinalStatus(job.tenantId, stored.idempotencyKey, job.status);
    this.#store.deleteJob(stored);
    const places = [stored.inputPlace, stored.outputPlace];
    return places.flatMap((place) => (place?.kind === "r2" ? [place.key] : []));
  }
}
