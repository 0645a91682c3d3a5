// A worker that cannot start: what its report looks like, and what it means for the job that it held.
import { describe, expect, it } from "vitest";
import type { Job } from "../../../src/core/job/job.ts";
import { NOT_RUN } from "../../../src/core/job/job.ts";
import { readStartFailure } from "../../../src/core/job/start-failure.ts";
import { type Context, transition } from "../../../src/core/job/transition.ts";
import {
  ERROR_FIELD_KEPT_CHARS,
  ERROR_TEXT_MAX_BYTES,
  START_FAILURES_MAX,
  UNDELIVERED_MAX,
} from "../../../src/core/limits.ts";
import { reportsIdleness } from "../../../src/core/scheduling/sdk-version.ts";

const NOW = 1_000_000;
const GIVEN: Context = {
  nowMs: NOW,
  maxAttempts: 2,
  incarnation: "object-1",
  workerSeenAtMs: NOW,
  nextQueueSeq: 70,
  nextFinishSeq: 90,
  jitter: 0,
};
const SLOTS = "worker:key1/w1";

/** As runpod 2.0.0rc2 writes it. */
const REPORT = {
  event: "prestart_failed",
  error_type: "RuntimeError",
  error_message: "no GPU",
  error_traceback: "Traceback (most recent call last):\n  …\nRuntimeError: no GPU\n",
  worker_id: "w1",
  runpod_version: "2.0.0rc2",
  hook: "load_model",
};

/** A job that a pulling worker holds. */
function held(overrides: Partial<Job> = {}): Job {
  return {
    ...NOT_RUN,
    history: [],
    uuid: "018f0000-0000-7000-8000-000000000001",
    mode: "run",
    tenantId: "tenant-a",
    origin: null,
    stored: null,
    status: "IN_PROGRESS",
    createdAtMs: NOW - 10_000,
    queuedAtMs: NOW - 10_000,
    queueSeq: 7,
    ttlAtMs: NOW + 50_000,
    executionTimeoutMs: 600_000,
    lowPriority: false,
    retentionMs: 60_000,
    round: 0,
    attempts: 1,
    formerWorkers: [],
    webhook: null,
    lease: {
      token: "lease-1",
      holderId: SLOTS,
      workerKeyId: "key1",
      byClient: false,
      tier: "A4000",
      rateKind: "flex",
      slots: 1,
      nanodollarsPerSecond: 160_000,
      startedAtMs: NOW - 2_500,
      untilMs: NOW + 20_000,
      graceUntilMs: 0,
      incarnation: "object-1",
    },
    ...overrides,
  };
}

describe("the report of a failed start", () => {
  it("is told from a handler's error by its event, and says in one sentence what happened", () => {
    const text = JSON.stringify(REPORT);
    const detail = "Its start failed in the hook load_model: RuntimeError: no GPU";
    expect(readStartFailure(text)).toEqual({ kind: "failed", error: text, detail });
    const handlers = JSON.stringify({ error_type: "<class 'ValueError'>", error_message: "boom" });
    for (const other of ["no such model", handlers, `handler: ${text}`, "[1]", "{", '{"event":1}', ""]) {
      expect(readStartFailure(other)).toBeNull();
    }
  });

  it("may be that of a worker which was shut down before its start was done", () => {
    const text = JSON.stringify({ ...REPORT, event: "prestart_cancelled" });
    expect(readStartFailure(text)).toMatchObject({ kind: "cancelled", error: text });
  });

  it("that is long is cut inside, so that it is still JSON and keeps the end of its traceback", () => {
    const long = "x".repeat(16_384);
    const whole = {
      ...REPORT,
      error_message: `no GPU ${long}`,
      error_traceback: `${long}the end`,
      logs: `${long}last`,
    };
    const error = readStartFailure(JSON.stringify(whole))?.error ?? "";
    expect(error.length).toBeLessThanOrEqual(ERROR_TEXT_MAX_BYTES);
    const shown = JSON.parse(error);
    expect(shown).toMatchObject({ event: "prestart_failed", error_type: "RuntimeError", hook: "load_model" });
    expect(shown.error_message).toMatch(/^no GPU x/);
    expect(shown.error_traceback).toMatch(/the end$/);
    expect(shown.logs).toMatch(/last$/);
  });

  it("is known by its beginning where the rest of it was cut away", () => {
    const text = JSON.stringify({ ...REPORT, error_message: "\u0001".repeat(ERROR_FIELD_KEPT_CHARS) });
    const failure = readStartFailure(text.slice(0, ERROR_FIELD_KEPT_CHARS));
    expect(failure).toMatchObject({ kind: "failed", detail: expect.stringContaining("RuntimeError") });
    expect(JSON.parse(failure?.error ?? "")).toMatchObject({ event: "prestart_failed" });
  });

  it("shows its message as it was meant also where the cut went through an escape", () => {
    const text = JSON.stringify({ event: REPORT.event, error_message: 'no "GPU"\u0001' });
    const failure = readStartFailure(text.slice(0, text.indexOf("\\u0001") + 4));
    expect(failure?.detail).toBe('Its start failed: no "GPU"');
    expect(JSON.parse(failure?.error ?? "")).toEqual({ event: REPORT.event, error_message: 'no "GPU"' });
  });
});

describe("a job whose worker failed its start", () => {
  const start = { kind: "failed", error: "the hook's own error", detail: "Its start failed." } as const;
  const event = { kind: "finish", token: "lease-1", outcome: { kind: "start_failed", start } } as const;

  it("goes back at once, unbilled and uncounted, and not to that worker first", () => {
    const { job, effects } = transition(held(), event, GIVEN);
    expect(job).toMatchObject({ status: "IN_QUEUE", countedFailures: 0, startFailures: 1, notBeforeMs: 0, bill: null });
    expect(job).toMatchObject({ failedOn: SLOTS, formerWorkers: [{ holderId: SLOTS, untilMs: NOW }], queueSeq: 70 });
    expect(effects).toEqual([]);
  });

  it("ends with the hook's own error, unbilled, when too many of them failed", () => {
    const last = transition(held({ startFailures: START_FAILURES_MAX - 1 }), event, GIVEN).job;
    expect(last.status).toBe("IN_QUEUE");
    const { job } = transition(held({ startFailures: START_FAILURES_MAX }), event, GIVEN);
    expect(job).toMatchObject({
      status: "FAILED",
      failure: { code: "start_failed", message: start.error },
      bill: null,
      finishSeq: null,
    });
    expect(transition(job, { kind: "retry" }, GIVEN).job).toMatchObject({ status: "IN_QUEUE", startFailures: 0 });
  });
});

describe("a job that its worker seems not to have read", () => {
  const event = { kind: "lost", token: "lease-1", delivered: "perhaps" } as const;

  it("costs no attempt a few times, and then counts", () => {
    const { job } = transition(held(), event, GIVEN);
    expect(job).toMatchObject({ status: "IN_QUEUE", undelivered: 1, countedFailures: 0, notBeforeMs: 0 });
    const counted = transition(held({ undelivered: UNDELIVERED_MAX }), event, GIVEN).job;
    expect(counted).toMatchObject({ status: "IN_QUEUE", countedFailures: 1 });
  });
});

describe("a worker's word that it runs nothing", () => {
  it.each(["1.10.1", "1.11.0", "1.12.0", "2.0.0rc2"])("is exact in runpod %s", (version) => {
    expect(reportsIdleness(version)).toBe(true);
  });

  it.each(["1.6.2", "1.7.4", "1.10.0", "unknown", "", null])("may be early in %s", (version) => {
    expect(reportsIdleness(version)).toBe(false);
  });
});
