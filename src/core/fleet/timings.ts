// How long the newest jobs of an endpoint waited and ran, warm and cold apart, and how long the newest starts of its machines took: a
// ring of times for each, what is shown of them, and the text by which the broker stores them.
import type { Job } from "../job/job.ts";
import { TIMES_KEPT } from "../limits.ts";
import { nearestRank } from "../scheduling/nearest-rank.ts";
import { START_USUAL_FROM, START_USUAL_OF } from "./limits.ts";
import type { Start } from "./starts.ts";

export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** Of jobs, in ms. `sinceMs`: when the oldest of them finished, epoch ms. All but `jobs` is null where there is none. */
export interface JobTiming {
  readonly jobs: number;
  readonly sinceMs: number | null;
  readonly waitMs: Percentiles | null;
  readonly executionMs: Percentiles | null;
}

/** Of starts of machines, in ms. `sinceMs`: when the oldest of them was ready, epoch ms. All but `count` is null where there is none. */
export interface StartTiming {
  readonly count: number;
  readonly sinceMs: number | null;
  readonly startMs: Percentiles | null;
}

/** Jobs are cold that have waited for a machine to start. */
export interface Timing {
  readonly warm: JobTiming;
  readonly cold: JobTiming;
  readonly starts: { readonly created: StartTiming; readonly resumed: StartTiming };
}

/** How long starts take, ms: the median of the newest, or, where there are too few of them, the last one. */
export interface UsualStart {
  readonly ms: number;
  readonly isMedian: boolean;
}

/** When a job finished, epoch ms, how long it waited, and how long it ran. */
type JobRow = readonly [number, number, number];
/** When a machine was ready, epoch ms, and how long its start took. */
type StartRow = readonly [number, number];

/** What the newest jobs and starts took. A new one may come at any place in time: rows are read in another order than jobs finish. */
export class Timings {
  readonly #warm: JobRow[];
  readonly #cold: JobRow[];
  readonly #created: StartRow[];
  readonly #resumed: StartRow[];
  /** The text of what is kept now; null: it is to be made. */
  #text: string | null;

  /** `text` is of `toText`; an empty one has nothing. */
  constructor(text: string) {
    const [warm = "", cold = "", created = "", resumed = ""] = text.split(";");
    this.#warm = readRows(warm, 3, ([atMs = 0, waitMs = 0, ranMs = 0]) => [atMs, waitMs, ranMs]);
    this.#cold = readRows(cold, 3, ([atMs = 0, waitMs = 0, ranMs = 0]) => [atMs, waitMs, ranMs]);
    this.#created = readRows(created, 2, ([atMs = 0, tookMs = 0]) => [atMs, tookMs]);
    this.#resumed = readRows(resumed, 2, ([atMs = 0, tookMs = 0]) => [atMs, tookMs]);
    this.#text = text;
  }

  /** Counts a job that has ended, if it ran to its end: it completed, or its handler reported an error. */
  addJob({ status, failure, history, delayMs, executionMs, finishedAtMs }: TimedJob): void {
    const hasRun = status === "COMPLETED" || (status === "FAILED" && failure?.code === "handler_error");
    if (!hasRun || delayMs === null || executionMs === null || finishedAtMs === null) return;
    this.#add(history.at(-1)?.cold === true ? this.#cold : this.#warm, [finishedAtMs, delayMs, executionMs]);
  }

  /** Counts a load-balanced request that was served. */
  addRequest({ cold, endedAtMs, waitedMs, ranMs }: TimedRequest): void {
    this.#add(cold ? this.#cold : this.#warm, [endedAtMs, waitedMs, ranMs]);
  }

  addStart({ isResumed, readyAtMs, tookMs }: Start): void {
    this.#add(isResumed ? this.#resumed : this.#created, [readyAtMs, tookMs]);
  }

  #add<Row>(rows: Row[], row: Row): void {
    rows.push(row);
    if (rows.length > TIMES_KEPT) rows.shift();
    this.#text = null;
  }

  /** Of machines that were created, or of those that were started again. Null: no such start is known. */
  usualStart(isResumed: boolean): UsualStart | null {
    const times = (isResumed ? this.#resumed : this.#created).slice(-START_USUAL_OF).map(([, tookMs]) => tookMs);
    const isMedian = times.length >= START_USUAL_FROM;
    const ms = isMedian ? nearestRank(inOrder(times), 50) : times.at(-1);
    return ms === undefined ? null : { ms, isMedian };
  }

  look(): Timing {
    return {
      warm: jobTiming(this.#warm),
      cold: jobTiming(this.#cold),
      starts: { created: startTiming(this.#created), resumed: startTiming(this.#resumed) },
    };
  }

  /** All that is kept, as text that the constructor reads: four lists of numbers. */
  toText(): string {
    this.#text ??= [this.#warm, this.#cold, this.#created, this.#resumed].map(writeRows).join(";");
    return this.#text;
  }
}

/** A load-balanced request. Epoch ms, and ms. */
interface TimedRequest {
  readonly cold: boolean;
  readonly endedAtMs: number;
  readonly waitedMs: number;
  readonly ranMs: number;
}

/** What is read of a job that has ended. */
type TimedJob = Pick<Job, "status" | "failure" | "history" | "delayMs" | "executionMs" | "finishedAtMs">;

/** Numbers, row after row. Of a time the distance to the one before it is written, which makes the text shorter by half. */
function writeRows(rows: readonly (JobRow | StartRow)[]): string {
  let beforeMs = 0;
  const texts = rows.map(([atMs, ...rest]) => {
    const text = `${atMs - beforeMs},${rest.join(",")}`;
    beforeMs = atMs;
    return text;
  });
  return texts.join(",");
}

function readRows<Row>(text: string, width: number, toRow: (numbers: readonly number[]) => Row): Row[] {
  if (text === "") return [];
  const numbers = text.split(",").map(Number);
  const rows: Row[] = [];
  let atMs = 0;
  for (let at = 0; at < numbers.length; at += width) {
    const [sinceMs = 0, ...rest] = numbers.slice(at, at + width);
    atMs += sinceMs;
    rows.push(toRow([atMs, ...rest]));
  }
  return rows;
}

function jobTiming(rows: readonly JobRow[]): JobTiming {
  return {
    jobs: rows.length,
    sinceMs: oldestOf(rows),
    waitMs: percentiles(rows.map(([, waitMs]) => waitMs)),
    executionMs: percentiles(rows.map(([, , executionMs]) => executionMs)),
  };
}

function startTiming(rows: readonly StartRow[]): StartTiming {
  return { count: rows.length, sinceMs: oldestOf(rows), startMs: percentiles(rows.map(([, tookMs]) => tookMs)) };
}

function oldestOf(rows: readonly (JobRow | StartRow)[]): number | null {
  return rows.length === 0 ? null : Math.min(...rows.map(([atMs]) => atMs));
}

function percentiles(times: readonly number[]): Percentiles | null {
  const sorted = inOrder(times);
  const [p50, p90, p99] = [50, 90, 99].map((percent) => nearestRank(sorted, percent));
  return p50 === undefined || p90 === undefined || p99 === undefined ? null : { p50, p90, p99 };
}

function inOrder(times: readonly number[]): readonly number[] {
  return times.toSorted((one, other) => one - other);
}
