// Deletes jobs whose retention is over: walks the key, a page an alarm, and never a job that still owes something.
// When that is due next is in memory. After a start of the object the alarm that an earlier one has set stands for it: a look at
// a time that the start chose would be put off by the next start, and so for ever where nothing but alarms starts the object.
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
  /** Some of this walk are expired, but still owe something. */
  #someOwe = false;

  constructor(store: BrokerStore, purges: Purges, kept: KeptRows) {
    this.#store = store;
    this.#purges = purges;
    this.#kept = kept;
  }

  /**
   * When to look next, epoch ms: written with each checkpoint, which has it of the settled rows. Of the others a start finds out.
   * No start puts it off: on a quiet endpoint each alarm is a start.
   */
  get nextAtMs(): number {
    return this.#kept.sweepAtMs;
  }

  set nextAtMs(atMs: number) {
    this.#kept.sweepAtMs = atMs;
  }

  /** A start of the object reads a row that is deletable from then on, epoch ms. */
  found(atMs: number): void {
    this.nextAtMs = Math.min(this.nextAtMs, atMs);
  }

  /** A job will be deletable from `atMs` on. */
  expect(atMs: number, nowMs: number): void {
    if (!Number.isFinite(atMs)) return;
    // A walk that is under way may be past its row, and plans the next one by what it has seen.
    if (this.#cursor !== "") this.#earliestMs = Math.min(this.#earliestMs, atMs);
    this.nextAtMs = Math.min(this.nextAtMs, Math.max(atMs, nowMs + SWEEP_EVERY_MS));
  }

  /** One page. Returns R2 keys that no row names any more. `settle` gives a row's job as it counts (purges included). */
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
      // Before the rows go, which may be asked how large they are.
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
    // The end of a webhook brings a look at its job by itself; this one is for the rest.
    if (this.#someOwe) this.expect(nowMs + SWEEP_OWING_EVERY_MS, nowMs);
    this.#earliestMs = Number.POSITIVE_INFINITY;
    this.#someOwe = false;
    // One row a walk: the next start would else look again where this one has found nothing.
    this.#store.transaction(() => this.#kept.write(nowMs));
  }

  #delete(stored: SweptJob, job: Job): string[] {
    if (stored.idempotencyKey !== null) this.#store.noteFinalStatus(job.tenantId, stored.idempotencyKey, job.status);
    this.#store.deleteJob(stored);
    const places = [stored.inputPlace, stored.outputPlace];
    return places.flatMap((place) => (place?.kind === "r2" ? [place.key] : []));
  }
}
