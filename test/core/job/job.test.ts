// What a job's record says about time: when it is due, when it is gone, and which statuses are final.
import { describe, expect, it } from "vitest";
import {
  dueAtMs,
  expiresAtMs,
  isTerminal,
  type Job,
  type JobStatus,
  type Lease,
  NOT_RUN,
} from "../../../src/core/job/job.ts";

const LEASE: Lease = {
  token: "lease-1",
  holderId: "gpu-1",
  tier: "A4000",
  rateKind: "flex",
  slots: 1,
  nanodollarsPerSecond: 160_000,
  startedAtMs: 1_000,
  untilMs: 31_000,
  graceUntilMs: 0,
  incarnation: "object-1",
  workerKeyId: null,
  byClient: false,
};

function job(overrides: Partial<Job>): Job {
  return {
    ...NOT_RUN,
    uuid: "018f0000-0000-7000-8000-000000000002",
    mode: "run",
    tenantId: "tenant-a",
    createdAtMs: 0,
    queuedAtMs: 0,
    queueSeq: 1,
    ttlAtMs: 100_000,
    executionTimeoutMs: 600_000,
    lowPriority: false,
    retentionMs: 60_000,
    round: 0,
    attempts: 0,
    formerWorkers: [],
    origin: null,
    history: [],
    webhook: null,
    stored: null,
    ...overrides,
  };
}

describe("a job's record", () => {
  it.each<[JobStatus, boolean]>([
    ["IN_QUEUE", false],
    ["IN_PROGRESS", false],
    ["COMPLETED", true],
    ["FAILED", true],
    ["CANCELLED", true],
    ["TIMED_OUT", true],
  ])("says that %s is final: %s", (status, final) => {
    expect(isTerminal(status)).toBe(final);
  });

  it("is due at its ttl, or at its retry time when that is sooner", () => {
    expect(dueAtMs(job({}), 0)).toBe(100_000);
    expect(dueAtMs(job({ notBeforeMs: 5_000 }), 0)).toBe(5_000);
    expect(dueAtMs(job({ notBeforeMs: 500_000 }), 0)).toBe(100_000);
  });

  it("is due while it runs at the first of lease end, execution timeout and ttl", () => {
    const running = { status: "IN_PROGRESS", lease: LEASE } as const;
    expect(dueAtMs(job(running), 0)).toBeGreaterThanOrEqual(31_000);
    expect(dueAtMs(job(running), 0)).toBeLessThanOrEqual(31_001);
    expect(dueAtMs(job({ ...running, executionTimeoutMs: 5_000 }), 0)).toBe(6_000);
    expect(dueAtMs(job({ ...running, ttlAtMs: 2_000 }), 0)).toBe(2_000);
  });

  it("is never due once it is finished", () => {
    expect(dueAtMs(job({ status: "COMPLETED", finishedAtMs: 1 }), 0)).toBe(Number.POSITIVE_INFINITY);
  });

  it("lives for its retention after the end, and not at all after a ttl", () => {
    expect(expiresAtMs(job({}))).toBe(Number.POSITIVE_INFINITY);
    expect(expiresAtMs(job({ status: "FAILED", finishedAtMs: 7_000 }))).toBe(67_000);
    expect(expiresAtMs(job({ status: "TIMED_OUT", finishedAtMs: 7_000 }))).toBe(7_000);
  });
});
