// Which jobs a filter takes, and which rows its time and its page leave to be looked at.
import fc from "fast-check";
import { v7 } from "uuid";
import { describe, expect, it } from "vitest";
import { failed } from "../../../src/core/job/failure.ts";
import { type JobFilter, matchesFilter, rangeOf, withinStatuses } from "../../../src/core/job/filter.ts";
import { type Job, type JobStatus, NOT_RUN } from "../../../src/core/job/job.ts";

const NOW = 1_000_000;

function job(overrides: Partial<Job> = {}): Job {
  const ended = overrides.status !== undefined && overrides.status !== "IN_QUEUE" && overrides.status !== "IN_PROGRESS";
  const times = { finishedAtMs: ended ? NOW - 1_000 : null, retentionMs: 60_000 };
  return { ...NOT_RUN, uuid: "u", mode: "run", ...times, ...overrides } as Job;
}

function matches(filter: JobFilter, overrides: Partial<Job> = {}, metadata: Record<string, string> | null = null) {
  return matchesFilter(job(overrides), metadata, filter, NOW);
}

describe("a filter", () => {
  it("that is empty takes every job that is kept", () => {
    for (const status of ["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED"] as const)
      expect(matches({}, { status })).toBe(true);
  });

  it("takes no job whose retention is over, and none that timed out", () => {
    expect(matches({}, { status: "COMPLETED", finishedAtMs: NOW - 60_000 })).toBe(false);
    expect(matches({}, { status: "TIMED_OUT" })).toBe(false);
    expect(matches({ status: ["TIMED_OUT"] }, { status: "TIMED_OUT" })).toBe(false);
  });

  it("takes the statuses that it names, and none where it names none", () => {
    const filter: JobFilter = { status: ["FAILED", "CANCELLED"] };
    expect(matches(filter, { status: "CANCELLED" })).toBe(true);
    expect(matches(filter, { status: "COMPLETED" })).toBe(false);
    expect(matches({ status: [] }, { status: "COMPLETED" })).toBe(false);
  });

  it("takes FAILED jobs by the code of their failure", () => {
    const failure = failed("worker_lost", "gone");
    expect(matches({ errorCode: "worker_lost" }, { status: "FAILED", failure })).toBe(true);
    expect(matches({ errorCode: "internal" }, { status: "FAILED", failure })).toBe(false);
    expect(matches({ errorCode: "worker_lost" }, { status: "COMPLETED" })).toBe(false);
  });

  it("takes a job with all of its tags, whatever others the job has", () => {
    const filter: JobFilter = { metadata: { customer: "c7", order: "1" } };
    expect(matches(filter, {}, { customer: "c7", order: "1", note: "" })).toBe(true);
    expect(matches(filter, {}, { customer: "c7", order: "2" })).toBe(false);
    expect(matches(filter, {}, { customer: "c7" })).toBe(false);
    expect(matches(filter, {}, null)).toBe(false);
    expect(matches({ metadata: {} }, {}, null)).toBe(true);
  });

  it("takes no tag for one that every object inherits", () => {
    expect(matches({ metadata: { toString: "x" } }, {}, {})).toBe(false);
  });

  it("must match in all that it names", () => {
    const filter: JobFilter = { status: ["FAILED"], errorCode: "worker_lost", metadata: { a: "1" } };
    const failure = failed("worker_lost", "gone");
    expect(matches(filter, { status: "FAILED", failure }, { a: "1" })).toBe(true);
    expect(matches(filter, { status: "FAILED", failure }, { a: "2" })).toBe(false);
    expect(matches(filter, { status: "FAILED", failure: failed("internal", "") }, { a: "1" })).toBe(false);
  });

  it("keeps, of the statuses that it names, those that an action can change", () => {
    const changeable: JobStatus[] = ["IN_QUEUE", "IN_PROGRESS"];
    expect(withinStatuses({ errorCode: "internal" }, changeable)).toEqual({
      errorCode: "internal",
      status: changeable,
    });
    expect(withinStatuses({ status: ["FAILED", "IN_QUEUE"] }, changeable)).toEqual({ status: ["IN_QUEUE"] });
    expect(withinStatuses({ status: ["FAILED"] }, changeable)).toEqual({ status: [] });
  });
});

describe("the range of uuids", () => {
  const isIn = (uuid: string, { from, below }: { from: string; below: string }) => uuid >= from && uuid < below;

  it("has every uuid where the filter has no time", () => {
    expect(isIn("00000000-0000-7000-8000-000000000000", rangeOf({}, null))).toBe(true);
    expect(isIn("ffffffff-ffff-7fff-bfff-ffffffffffff", rangeOf({}, null))).toBe(true);
  });

  it("has the uuids of its first ms and not those of its end", () => {
    const time = fc.integer({ min: 0, max: 2 ** 48 - 2 });
    fc.assert(
      fc.property(time, time, time, (msecs, fromMs, toMs) => {
        expect(isIn(v7({ msecs }), rangeOf({ fromMs, toMs }, null))).toBe(msecs >= fromMs && msecs < toMs);
      }),
    );
  });

  it("has only what is older than the row that the list has come to", () => {
    const [older, cursor, newer] = [1_000, 2_000, 3_000].map((msecs) => v7({ msecs }));
    for (const filter of [{}, { toMs: 2_500 }, { fromMs: 500, toMs: 9_000 }]) {
      const range = rangeOf(filter, cursor ?? "");
      expect([older, cursor, newer].map((uuid) => isIn(uuid ?? "", range))).toEqual([true, false, false]);
    }
  });

  it("is not wider for a row that is newer than its end", () => {
    expect(isIn(v7({ msecs: 2_000 }), rangeOf({ toMs: 1_500 }, v7({ msecs: 3_000 })))).toBe(false);
  });

  it("takes times that no uuid can hold", () => {
    const uuid = v7();
    expect(isIn(uuid, rangeOf({ fromMs: -5, toMs: Number.MAX_SAFE_INTEGER }, null))).toBe(true);
    expect(isIn(uuid, rangeOf({ fromMs: Number.MAX_SAFE_INTEGER }, null))).toBe(false);
  });
});
