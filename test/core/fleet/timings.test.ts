// How long the newest jobs and starts of machines took: what is counted, what is kept, and the percentiles.
import { describe, expect, it } from "vitest";
import { START_USUAL_OF } from "../../../src/core/fleet/limits.ts";
import { Timings } from "../../../src/core/fleet/timings.ts";
import { failed, type JobFailure } from "../../../src/core/job/failure.ts";
import type { JobStatus } from "../../../src/core/job/job.ts";
import { TIMES_KEPT } from "../../../src/core/limits.ts";
import { nearestRank } from "../../../src/core/scheduling/nearest-rank.ts";

interface Ended {
  readonly waitMs?: number;
  readonly ranMs?: number;
  readonly atMs?: number;
  readonly cold?: boolean;
  readonly status?: JobStatus;
  readonly failure?: JobFailure | null;
}

/** A job that has ended, after one attempt. */
function ended({ waitMs = 0, ranMs = 0, atMs = 0, cold = false, status = "COMPLETED", failure = null }: Ended) {
  const attempt = {
    number: 1,
    workerId: "w",
    startedAtMs: atMs - ranMs,
    endedAtMs: atMs,
    code: failure?.code ?? null,
    message: null,
    billed: true,
    ...(cold ? { cold: true as const } : {}),
  };
  return { status, failure, history: [attempt], delayMs: waitMs, executionMs: ranMs, finishedAtMs: atMs };
}

/** Of the jobs or starts with these times. */
function timingsOf(...jobs: readonly Ended[]): Timings {
  const timings = new Timings("");
  for (const job of jobs) timings.addJob(ended(job));
  return timings;
}

const upTo = (last: number) => Array.from({ length: last }, (_, at) => at + 1);

describe("the nearest rank", () => {
  it("is the least number that so many percent do not exceed", () => {
    const ten = upTo(10);
    expect([1, 50, 51, 90, 91, 99, 100].map((percent) => nearestRank(ten, percent))).toEqual([1, 5, 6, 9, 10, 10, 10]);
    expect(nearestRank(upTo(500), 99)).toBe(495);
    expect(nearestRank([7], 50)).toBe(7);
    expect(nearestRank([], 50)).toBeUndefined();
  });
});

describe("the times of jobs", () => {
  it("are null where there is none", () => {
    const none = { jobs: 0, sinceMs: null, waitMs: null, executionMs: null };
    const start = { count: 0, sinceMs: null, startMs: null };
    expect(new Timings("").look()).toEqual({ warm: none, cold: none, starts: { created: start, resumed: start } });
  });

  it("are told apart by whether the last attempt has waited for a start", () => {
    const timings = timingsOf(
      { waitMs: 5, ranMs: 100, atMs: 2_000 },
      { waitMs: 9_000, ranMs: 300, atMs: 3_000, cold: true },
      { waitMs: 7, ranMs: 200, atMs: 1_000 },
    );
    const { warm, cold } = timings.look();
    expect(warm).toEqual({
      jobs: 2,
      sinceMs: 1_000,
      waitMs: { p50: 5, p90: 7, p99: 7 },
      executionMs: { p50: 100, p90: 200, p99: 200 },
    });
    expect(cold).toMatchObject({ jobs: 1, sinceMs: 3_000, waitMs: { p50: 9_000 }, executionMs: { p50: 300 } });
  });

  it("are warm of a job whose earlier attempt was cold", () => {
    const timings = new Timings("");
    const [warm] = ended({}).history;
    const [cold] = ended({ cold: true }).history;
    if (warm === undefined || cold === undefined) throw new Error("no attempts");
    timings.addJob({ ...ended({}), history: [cold, warm] });
    expect(timings.look()).toMatchObject({ warm: { jobs: 1 }, cold: { jobs: 0 } });
  });

  it.each<[string, Ended, number]>([
    ["completed", {}, 1],
    ["failed by its handler", { status: "FAILED", failure: failed("handler_error", "no") }, 1],
    ["failed by a worker that was lost", { status: "FAILED", failure: failed("worker_lost", "gone") }, 0],
    ["failed by its timeout", { status: "FAILED", failure: failed("execution_timeout", "long") }, 0],
    ["cancelled", { status: "CANCELLED" }, 0],
    ["timed out", { status: "TIMED_OUT", failure: failed("ttl_passed", "late") }, 0],
  ])("count a job that was %s as %#", (_, job, counted) => {
    expect(timingsOf(job).look().warm.jobs).toBe(counted);
  });

  it("are those of the newest jobs, cold ones beside as many warm ones", () => {
    const slow = upTo(TIMES_KEPT).map((atMs) => ({ waitMs: 9, atMs }));
    const fast = upTo(TIMES_KEPT).map((atMs) => ({ waitMs: 1, atMs: TIMES_KEPT + atMs }));
    const { warm, cold } = timingsOf({ cold: true, waitMs: 5 }, ...slow, ...fast).look();
    expect(warm).toMatchObject({ jobs: TIMES_KEPT, sinceMs: TIMES_KEPT + 1, waitMs: { p99: 1 } });
    expect(cold).toMatchObject({ jobs: 1, waitMs: { p50: 5 } });
  });
});

describe("the times of starts", () => {
  it("are told apart by whether a machine was created or started again", () => {
    const timings = new Timings("");
    timings.addStart({ isResumed: false, readyAtMs: 50_000, tookMs: 40_000 });
    timings.addStart({ isResumed: true, readyAtMs: 70_000, tookMs: 3_000 });
    expect(timings.look().starts).toEqual({
      created: { count: 1, sinceMs: 50_000, startMs: { p50: 40_000, p90: 40_000, p99: 40_000 } },
      resumed: { count: 1, sinceMs: 70_000, startMs: { p50: 3_000, p90: 3_000, p99: 3_000 } },
    });
  });

  it("are usually their median once there are three, and before that the last one", () => {
    const timings = new Timings("");
    expect(timings.usualStart(false)).toBeNull();
    const told = [60_000, 10_000, 20_000].map((tookMs) => {
      timings.addStart({ isResumed: false, readyAtMs: 0, tookMs });
      return timings.usualStart(false);
    });
    expect(told).toEqual([
      { ms: 60_000, isMedian: false },
      { ms: 10_000, isMedian: false },
      { ms: 20_000, isMedian: true },
    ]);
    expect(timings.usualStart(true)).toBeNull();
  });

  it("are usually those of the newest ones: an older image's are forgotten", () => {
    const timings = new Timings("");
    for (const tookMs of [...upTo(100).map(() => 90_000), ...upTo(START_USUAL_OF).map(() => 8_000)])
      timings.addStart({ isResumed: false, readyAtMs: 0, tookMs });
    expect(timings.usualStart(false)).toEqual({ ms: 8_000, isMedian: true });
  });
});

describe("the text of all times", () => {
  it("has them as they were, and goes on from there", () => {
    const timings = timingsOf({ waitMs: 5, ranMs: 100, atMs: 2_000 }, { waitMs: 9, ranMs: 3, atMs: 4_000, cold: true });
    timings.addStart({ isResumed: true, readyAtMs: 70_000, tookMs: 3_000 });
    const read = new Timings(timings.toText());
    expect(read.look()).toEqual(timings.look());
    for (const each of [timings, read]) each.addJob(ended({ waitMs: 1, atMs: 5_000 }));
    expect(read.look()).toEqual(timings.look());
    expect(read.toText()).toBe(timings.toText());
  });

  it("of the most that is kept fits one row with room to spare", () => {
    const day = 86_400_000;
    const timings = new Timings("");
    for (const at of upTo(TIMES_KEPT)) {
      for (const cold of [true, false])
        timings.addJob(ended({ cold, waitMs: 7 * day, ranMs: 7 * day, atMs: 1_900_000_000_000 + at }));
      for (const isResumed of [true, false])
        timings.addStart({ isResumed, readyAtMs: 1_900_000_000_000 + at, tookMs: day });
    }
    expect(timings.toText().length).toBeLessThan(40_000);
  });
});
