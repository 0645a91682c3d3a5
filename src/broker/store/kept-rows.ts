// Which rows a start of the object must read, and the sums kept of each tenant. Rows up to a floor of uuids are settled
// (finished, posted and delivered; or purged), except those in a list. A start reads the listed rows and those above
// the floor, which are together called fresh, and takes the sum of all others from the checkpoint.
//
// `settle` moves the floor and writes the list anew once enough fresh rows are settled: some three rows for many jobs.
// A job that enters or is retried below the floor is added to the list in the transaction that writes it; a settled row
// is subtracted from the sums in the transaction that deletes it. So after any transaction list, sums and rows agree.

import type { Start } from "../../core/fleet/starts.ts";
import { Timings } from "../../core/fleet/timings.ts";
import type { Job } from "../../core/job/job.ts";
import { hasOwnTime } from "../../core/job/transition.ts";
import { FLOOR_RECENT_ROWS, SETTLED_IN_START, START_SETTLED_ROWS_MAX } from "../../core/limits.ts";
import { RecentTimes } from "../../core/scheduling/recent-times.ts";
import { CheckpointStore } from "./checkpoint.ts";
import { pack, plus, Tallies, type Tally, tallyOf, unpack } from "./kept-tally.ts";
import type { MeteredSql } from "./metered-sql.ts";
import { Numbers } from "./sequences.ts";
import { sumOf } from "./stored-bytes.ts";

/** What one call of `settle` changes. */
interface Settling {
  readonly floor: string;
  readonly settled: readonly { readonly tenantId: string; readonly uuid: string }[];
  readonly sums: Tallies;
  readonly listed: readonly string[];
  /** The number of settled rows above the floor. */
  readonly left: number;
  /** The highest of the fresh uuids. */
  readonly highest: string;
}

export class KeptRows {
  readonly recentTimes = new RecentTimes();
  readonly timings: Timings;
  readonly numbers: Numbers;
  /** When the sweep is to look next, epoch ms; Infinity: there is nothing that it could find. */
  sweepAtMs: number;
  /** The checkpoint's part of `recentTimes` and `timings` is of jobs that finished up to then, epoch ms. */
  readonly #timesKnownToMs: number;
  readonly #store: CheckpointStore;
  /** Measures the bytes of a job whose row does not contain them. */
  readonly #measure: (uuid: string) => number;
  #floor: string;
  /** Packed tallies of fresh rows, by tenant and uuid. */
  readonly #fresh = new Map<string, Map<string, number>>();
  #freshRows = 0;
  readonly #freshSums = new Tallies();
  /** Sums of settled rows by tenant, of tenants that were looked up. */
  readonly #settledSums = new Tallies();
  #settledRows: number;
  #listedRows = 0;
  /** The uuids that entered last, in order of arrival. */
  #newest: string[] = [];
  /** Sums that a start has made and not yet written. */
  #unwritten: Tallies | null = null;

  constructor(sql: MeteredSql, measure: (uuid: string) => number) {
    this.#store = new CheckpointStore(sql);
    this.#measure = measure;
    const { floor, atMs, rows, queueSeq, finishSeq, sweepAtMs, times, timings } = this.#store.read();
    this.#floor = floor;
    this.#settledRows = rows;
    this.numbers = new Numbers({ queueSeq, finishSeq });
    this.sweepAtMs = sweepAtMs;
    this.#timesKnownToMs = atMs;
    for (const time of times) this.recentTimes.add(time);
    this.timings = new Timings(timings);
  }

  /** Rows of jobs. */
  get rows(): number {
    return this.#settledRows + this.#freshRows;
  }

  get floor(): string {
    return this.#floor;
  }

  /** Reads the list: uuids below the floor whose rows a start must read. */
  readListed(): readonly string[] {
    const listed = this.#store.readListed();
    this.#listedRows = listed.length;
    return listed;
  }

  /** Is the job's row fresh? */
  has({ tenantId, uuid }: Job): boolean {
    return this.#fresh.get(tenantId)?.has(uuid) ?? false;
  }

  of(tenantId: string): Tally {
    return plus(this.#settledSumOf(tenantId), this.#freshSums.get(tenantId));
  }

  /** Notes what is kept of a fresh job now. `streaming`: bytes of the stream of the attempt that runs. */
  put(job: Job, streaming: number): void {
    const ofTenant = this.#fresh.get(job.tenantId) ?? new Map<string, number>();
    const before = ofTenant.get(job.uuid);
    const tally = tallyOf(job, this.#bytesOf(job) + streaming);
    if (before === undefined) this.#freshRows += 1;
    else this.#freshSums.subtract(job.tenantId, unpack(before));
    this.#freshSums.add(job.tenantId, tally);
    ofTenant.set(job.uuid, pack(tally));
    this.#fresh.set(job.tenantId, ofTenant);
  }

  /** Called inside the transaction that inserts the row. The caller calls `entered` once that has returned. */
  insert(uuid: string): void {
    if (uuid <= this.#floor) this.#store.list(uuid);
  }

  entered(job: Job): void {
    if (job.uuid <= this.#floor) this.#listedRows += 1;
    this.#arrived(job.uuid);
    this.numbers.note(job);
    this.put(job, 0);
  }

  /** Takes in a row that a start reads. What its running attempt has streamed so far is counted with the next chunk. */
  read(job: Job): void {
    this.numbers.note(job);
    if ((job.finishedAtMs ?? 0) > this.#timesKnownToMs) this.noteTimes(job);
    if (job.uuid > this.#floor) this.#arrived(job.uuid);
    this.put(job, 0);
  }

  /**
   * Notes how long the job waited and ran, and how long its last lease was, a wait at a hosted upstream included: its carrier waits
   * there with it.
   */
  noteTimes(finished: Job): void {
    this.timings.addJob(finished);
    const { executionMs, finishedAtMs, delayMs, queuedAtMs } = finished;
    if (executionMs === null || finishedAtMs === null || !hasOwnTime(finished)) return;
    this.recentTimes.add(delayMs === null ? executionMs : finishedAtMs - queuedAtMs - delayMs);
  }

  /**
   * Notes starts of machines. No row would show them later: a record ends with its machine, and an object that has nothing to do
   * leaves memory long before its next checkpoint. So this writes them at once, and none is lost. Where a start of the object has
   * sums that are not written yet, `settle` writes all of it at the end of this call.
   */
  noteStarts(starts: readonly Start[], nowMs: number): void {
    if (starts.length === 0) return;
    for (const start of starts) this.timings.addStart(start);
    if (this.#unwritten === null) this.write(nowMs);
  }

  /**
   * Inside the transaction that changes the row, if that row may be settled, or if the change (a retry) wipes the
   * finish number of a usage line from it. The caller runs the returned function once the transaction has returned.
   */
  revive(before: Job, nowMs: number): () => void {
    const settled = this.has(before) ? [] : [before];
    const takeOff = this.#takeOff(settled, nowMs);
    for (const { uuid } of settled) this.#store.list(uuid);
    return () => {
      takeOff();
      this.#listedRows += settled.length;
      this.put(before, 0);
    };
  }

  /** Inside the transaction that deletes these jobs' rows. The caller runs the returned function after it. */
  remove(jobs: readonly Job[], nowMs: number): () => void {
    if (jobs.length === 0) return () => undefined;
    // This runs even if all are fresh: the checkpoint must keep the numbers that would be lost with their rows.
    const takeOff = this.#takeOff(
      jobs.filter((job) => !this.has(job)),
      nowMs,
    );
    return () => {
      takeOff();
      for (const { tenantId, uuid } of jobs) this.#forget(tenantId, uuid);
    };
  }

  /** Would a start read too many settled rows? `live`: the number of rows that it must read in any case. */
  isDue(live: number): boolean {
    if (this.#unwritten !== null) return true;
    const allowed = START_SETTLED_ROWS_MAX + live / 4;
    return this.#freshRows - live > allowed || this.#listedRows - live > allowed;
  }

  /** Moves the floor over what is settled and writes the checkpoint. */
  settle(isLive: (uuid: string) => boolean, transaction: (write: () => void) => void, nowMs: number): void {
    const planned = this.#plan(this.#nextFloor(), isLive);
    // Many uuids are from a clock that is ahead. Jobs by other clocks cost two rows from now on, but the bound holds.
    const settling = planned.left > START_SETTLED_ROWS_MAX / 2 ? this.#plan(planned.highest, isLive) : planned;
    const rows = this.#settledRows + settling.settled.length;
    transaction(() => {
      if (this.#unwritten !== null) this.#store.addTallies(this.#unwritten);
      this.#store.addTallies(settling.sums);
      this.#store.relist(settling.listed);
      this.#write(settling.floor, rows, nowMs);
    });
    this.#unwritten = null;
    this.#listedRows = settling.listed.length;
    this.#apply(settling);
  }

  /**
   * As `settle`, while a start reads rows in order of uuid and has read all up to this one: an object of an earlier
   * release may have a million settled rows, too many to hold. Nothing is written until `settle`.
   */
  settleInStart(uuid: string, live: { readonly size: number; has(uuid: string): boolean }): void {
    if (uuid <= this.#floor || this.#freshRows - live.size < SETTLED_IN_START + live.size) return;
    const settling = this.#plan(uuid, (each) => live.has(each));
    this.#unwritten ??= new Tallies();
    for (const [tenantId, sum] of settling.sums.entries()) this.#unwritten.add(tenantId, sum);
    this.#apply(settling);
  }

  /** Writes what has changed of the checkpoint, except the floor. */
  write(nowMs: number): void {
    this.#write(this.#floor, this.#settledRows, nowMs);
  }

  #plan(floor: string, isLive: (uuid: string) => boolean): Settling {
    const settled: { tenantId: string; uuid: string }[] = [];
    const sums = new Tallies();
    const listed: string[] = [];
    let left = 0;
    let highest = this.#floor;
    for (const [tenantId, ofTenant] of this.#fresh) {
      for (const [uuid, packed] of ofTenant) {
        if (uuid > highest) highest = uuid;
        if (isLive(uuid)) {
          if (uuid <= floor) listed.push(uuid);
        } else if (uuid > floor) left += 1;
        else {
          settled.push({ tenantId, uuid });
          sums.add(tenantId, unpack(packed));
        }
      }
    }
    return { floor, settled, sums, listed, left, highest };
  }

  #apply({ floor, settled, sums }: Settling): void {
    this.#floor = floor;
    this.#settledRows += settled.length;
    this.#addSettled(sums);
    for (const { tenantId, uuid } of settled) this.#forget(tenantId, uuid);
  }

  /**
   * Returns a floor so old that few submits which are still under way are below it. It is a median, so that neither
   * submits that were long under way nor an edge with a fast clock set it. It is never lower than before.
   */
  #nextFloor(): string {
    const newest = this.#newest.slice(-FLOOR_RECENT_ROWS).toSorted();
    const next = newest[Math.floor(newest.length / 2)] ?? "";
    return next > this.#floor ? next : this.#floor;
  }

  #arrived(uuid: string): void {
    this.#newest.push(uuid);
    // The list is cut only now and then, since each cut copies it.
    if (this.#newest.length >= 2 * FLOOR_RECENT_ROWS) this.#newest = this.#newest.slice(-FLOOR_RECENT_ROWS);
  }

  #write(floor: string, rows: number, nowMs: number): void {
    const times = this.recentTimes.known();
    const timings = this.timings.toText();
    this.#store.write({ floor, rows, ...this.numbers.kept, sweepAtMs: this.sweepAtMs, atMs: nowMs, times, timings });
  }

  #forget(tenantId: string, uuid: string): void {
    const ofTenant = this.#fresh.get(tenantId);
    const packed = ofTenant?.get(uuid);
    if (ofTenant === undefined || packed === undefined) return;
    this.#freshSums.subtract(tenantId, unpack(packed));
    this.#freshRows -= 1;
    ofTenant.delete(uuid);
    if (ofTenant.size === 0) this.#fresh.delete(tenantId);
  }

  /** Subtracts settled rows from the sums: in the tables now, in memory by the function that it returns. */
  #takeOff(jobs: readonly Job[], nowMs: number): () => void {
    const sums = new Tallies();
    for (const job of jobs) sums.subtract(job.tenantId, tallyOf(job, this.#bytesOf(job)));
    this.#store.addTallies(sums);
    this.#write(this.#floor, this.#settledRows - jobs.length, nowMs);
    return () => {
      this.#settledRows -= jobs.length;
      this.#addSettled(sums);
    };
  }

  #addSettled(sums: Tallies): void {
    for (const [tenantId, sum] of sums.entries()) {
      // The sum of a tenant that was not looked up is read later, with this already in it.
      if (this.#settledSums.has(tenantId)) this.#settledSums.add(tenantId, sum);
    }
  }

  #bytesOf({ stored, uuid }: Job): number {
    return stored === null ? this.#measure(uuid) : sumOf(stored);
  }

  #settledSumOf(tenantId: string): Tally {
    if (!this.#settledSums.has(tenantId)) this.#settledSums.set(tenantId, this.#store.readTally(tenantId));
    return this.#settledSums.get(tenantId);
  }
}
