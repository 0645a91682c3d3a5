// The whole table of the state machine: every status × every event, with next status, reply and effects written down.

import { describe, expect, it } from "vitest";
import type { AttemptOutcome, JobEvent } from "../../../src/core/job/event.ts";
import { EXECUTION_TIMEOUT, failed } from "../../../src/core/job/failure.ts";
import { type Job, type JobStatus, type Lease, NOT_RUN } from "../../../src/core/job/job.ts";
import { type Context, type Effect, type Transition, transition } from "../../../src/core/job/transition.ts";
import {
  BACKOFF_BASE_MS,
  LEASE_MS,
  LETTER_RETRY_MS,
  RESTARTS_MAX,
  WEBHOOK_SCHEDULE_MS,
} from "../../../src/core/limits.ts";

const NOW = 1_000_000;
const STARTED = NOW - 2_500;

function lease(overrides: Partial<Lease> = {}): Lease {
  return {
    token: "lease-1",
    holderId: "gpu-1",
    tier: "A4000",
    rateKind: "flex",
    slots: 1,
    nanodollarsPerSecond: 160_000,
    startedAtMs: STARTED,
    untilMs: STARTED + LEASE_MS,
    graceUntilMs: 0,
    incarnation: "object-1",
    workerKeyId: null,
    byClient: false,
    ...overrides,
  };
}

function given(overrides: Partial<Context> = {}): Context {
  return {
    nowMs: NOW,
    maxAttempts: 2,
    incarnation: "object-1",
    workerSeenAtMs: 0,
    nextQueueSeq: 70,
    nextFinishSeq: 90,
    jitter: 0,
    ...overrides,
  };
}

/** A job in the given status with the fields that the status implies. */
function job(overrides: Partial<Job> = {}): Job {
  const status = overrides.status ?? "IN_QUEUE";
  const finished = status !== "IN_QUEUE" && status !== "IN_PROGRESS";
  return {
    ...NOT_RUN,
    uuid: "018f0000-0000-7000-8000-000000000001",
    mode: "run",
    tenantId: "tenant-a",
    status,
    createdAtMs: NOW - 10_000,
    queuedAtMs: NOW - 10_000,
    queueSeq: 7,
    ttlAtMs: NOW + 50_000,
    executionTimeoutMs: 600_000,
    lowPriority: false,
    retentionMs: 60_000,
    round: 0,
    attempts: status === "IN_QUEUE" ? 0 : 1,
    formerWorkers: [],
    origin: null,
    lease: status === "IN_PROGRESS" ? lease() : null,
    history: [],
    finishedAtMs: finished ? NOW - 1_000 : null,
    webhook: null,
    stored: null,
    ...overrides,
  };
}

const OUTPUT = { kind: "r2", key: "output", sizeBytes: 3 } as const;
const OUTCOMES: Readonly<Record<AttemptOutcome["kind"], AttemptOutcome>> = {
  completed: { kind: "completed", output: OUTPUT },
  handler_error: { kind: "handler_error", failure: failed("handler_error", "no such model"), output: null },
  rejected: { kind: "rejected", failure: failed("invalid_request", "400") },
  upstream_paused: { kind: "upstream_paused", detail: "429", retryAfterMs: 2_000 },
  upstream_unhealthy: { kind: "upstream_unhealthy", detail: "401" },
  attempt_failed: { kind: "attempt_failed", failure: failed("bad_answer", "connection reset") },
  timed_out: { kind: "timed_out" },
  storage_failed: { kind: "storage_failed", failure: failed("storage_unavailable", "R2 refused") },
  start_failed: { kind: "start_failed", start: { kind: "failed", error: "no GPU", detail: "Its start failed." } },
  abandoned: { kind: "abandoned", tokens: null },
  cut_short: { kind: "cut_short", failure: failed("bad_answer", "the stream broke off") },
};
const OUTCOME_EFFECTS: Readonly<Record<AttemptOutcome["kind"], readonly Effect[]>> = {
  completed: [
    { kind: "keep_output", output: OUTPUT },
    { kind: "upstream_ok", upstreamId: "gpu-1" },
  ],
  handler_error: [
    { kind: "keep_output", output: null },
    { kind: "upstream_ok", upstreamId: "gpu-1" },
  ],
  rejected: [{ kind: "upstream_ok", upstreamId: "gpu-1" }],
  upstream_paused: [{ kind: "pause_upstream", upstreamId: "gpu-1", detail: "429", retryAfterMs: 2_000 }],
  upstream_unhealthy: [{ kind: "upstream_unhealthy", upstreamId: "gpu-1", detail: "401" }],
  attempt_failed: [],
  start_failed: [],
  timed_out: [],
  storage_failed: [{ kind: "upstream_ok", upstreamId: "gpu-1" }],
  abandoned: [{ kind: "upstream_ok", upstreamId: "gpu-1" }],
  cut_short: [],
};
const finish = (outcome: AttemptOutcome): JobEvent => ({ kind: "finish", token: "lease-1", outcome });

const EVENTS = {
  start: { kind: "start", lease: lease({ token: "lease-2", startedAtMs: NOW, untilMs: NOW + LEASE_MS }) },
  renew: { kind: "renew", token: "lease-1" },
  note: { kind: "note_upstream_job", token: "lease-1", upstreamJobId: "up-1" },
  completed: finish(OUTCOMES.completed),
  handler_error: finish(OUTCOMES.handler_error),
  rejected: finish(OUTCOMES.rejected),
  upstream_paused: finish(OUTCOMES.upstream_paused),
  upstream_unhealthy: finish(OUTCOMES.upstream_unhealthy),
  attempt_failed: finish(OUTCOMES.attempt_failed),
  start_failed: finish(OUTCOMES.start_failed),
  timed_out: finish(OUTCOMES.timed_out),
  storage_failed: finish(OUTCOMES.storage_failed),
  abandoned: finish(OUTCOMES.abandoned),
  cut_short: finish(OUTCOMES.cut_short),
  lost: { kind: "lost", token: "lease-1", delivered: true },
  cancel: { kind: "cancel" },
  retry: { kind: "retry" },
  set_ttl: { kind: "set_ttl", ttlMs: 20_000 },
  time: { kind: "time" },
  webhook: { kind: "webhook_result", round: 0, tryNumber: 1, result: { kind: "delivered" } },
} as const satisfies Record<string, JobEvent>;
type EventName = keyof typeof EVENTS;

/** `same`: the very same job comes back. Effects of an outcome stand above; others are none but where named. */
type Cell = readonly [next: JobStatus | "same", reply: Transition["reply"]];
const STALE: Cell = ["same", "stale"];
const REFUSED: Cell = ["same", "refused"];
const NOTHING: Cell = ["same", "done"];

const FENCED = {
  renew: STALE,
  note: STALE,
  completed: STALE,
  handler_error: STALE,
  rejected: STALE,
  upstream_paused: STALE,
  upstream_unhealthy: STALE,
  attempt_failed: STALE,
  start_failed: STALE,
  timed_out: STALE,
  storage_failed: STALE,
  abandoned: STALE,
  cut_short: STALE,
  lost: STALE,
} as const;
const FINISHED = {
  ...FENCED,
  start: REFUSED,
  cancel: NOTHING,
  retry: REFUSED,
  set_ttl: NOTHING,
  time: NOTHING,
  webhook: STALE,
} as const;

const TABLE: Readonly<Record<JobStatus, Readonly<Record<EventName, Cell>>>> = {
  IN_QUEUE: {
    ...FENCED,
    start: ["IN_PROGRESS", "done"],
    cancel: ["CANCELLED", "done"],
    retry: REFUSED,
    set_ttl: ["IN_QUEUE", "done"],
    time: NOTHING,
    webhook: STALE,
  },
  IN_PROGRESS: {
    start: REFUSED,
    renew: ["IN_PROGRESS", "done"],
    note: ["IN_PROGRESS", "done"],
    completed: ["COMPLETED", "done"],
    handler_error: ["FAILED", "done"],
    rejected: ["FAILED", "done"],
    upstream_paused: ["IN_QUEUE", "done"],
    upstream_unhealthy: ["IN_QUEUE", "done"],
    attempt_failed: ["IN_QUEUE", "done"],
    start_failed: ["IN_QUEUE", "done"],
    timed_out: ["FAILED", "done"],
    storage_failed: ["FAILED", "done"],
    abandoned: ["CANCELLED", "done"],
    cut_short: ["FAILED", "done"],
    lost: ["IN_QUEUE", "done"],
    cancel: ["CANCELLED", "done"],
    retry: REFUSED,
    set_ttl: ["IN_PROGRESS", "done"],
    time: NOTHING,
    webhook: STALE,
  },
  COMPLETED: FINISHED,
  FAILED: { ...FINISHED, retry: ["IN_QUEUE", "done"] },
  CANCELLED: FINISHED,
  TIMED_OUT: FINISHED,
};

function expectedEffects(status: JobStatus, name: EventName): readonly Effect[] {
  const event = EVENTS[name];
  if (event.kind === "finish" && status === "IN_PROGRESS") return OUTCOME_EFFECTS[event.outcome.kind];
  if (name === "retry" && status === "FAILED") return [{ kind: "keep_output", output: null }];
  return [];
}

const STATUSES: readonly JobStatus[] = ["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"];
const NAMES = Object.keys(TABLE.IN_QUEUE) as EventName[];
const CELLS = STATUSES.flatMap((status) => NAMES.map((name) => ({ status, name, cell: TABLE[status][name] })));

function following(before: Job, event: JobEvent, overrides: Partial<Context> = {}): Job {
  return transition(before, event, given(overrides)).job;
}

describe("the table of statuses and events", () => {
  it.each(CELLS)("$status on $name gives $cell.0, $cell.1", ({ status, name, cell: [next, reply] }) => {
    const before = job({ status });
    const result = transition(before, EVENTS[name], given());
    expect(result.reply).toBe(reply);
    if (next === "same") expect(result.job).toBe(before);
    else expect(result.job.status).toBe(next);
    expect(result.effects).toEqual(expectedEffects(status, name));
  });
});

describe("a start", () => {
  it("takes the lease, counts the attempt and measures the delay", () => {
    const started = following(job({ notBeforeMs: NOW }), EVENTS.start);
    expect(started).toMatchObject({ attempts: 1, lease: EVENTS.start.lease, delayMs: 10_000, workerId: "gpu-1" });
  });

  it("is refused before the retry time and from the ttl on", () => {
    expect(transition(job({ notBeforeMs: NOW + 1 }), EVENTS.start, given()).reply).toBe("refused");
    expect(transition(job({ ttlAtMs: NOW }), EVENTS.start, given()).reply).toBe("refused");
  });
});

describe("the fence", () => {
  const words = ["renew", "note", "lost", ...Object.keys(OUTCOMES)] as EventName[];

  it.each(words)("refuses %s of another lease and of the same lease after its end", (name) => {
    const other = job({ status: "IN_PROGRESS", lease: lease({ token: "lease-9" }) });
    const late = job({ status: "IN_PROGRESS", lease: lease({ untilMs: NOW - 1 }) });
    for (const before of [other, late]) {
      expect(transition(before, EVENTS[name], given())).toEqual({ job: before, effects: [], reply: "stale" });
    }
  });

  it("holds up to the last millisecond of the lease, and a renewal gives one more period", () => {
    const renewed = following(job({ status: "IN_PROGRESS", lease: lease({ untilMs: NOW }) }), EVENTS.renew);
    expect(renewed.lease?.untilMs).toBe(NOW + LEASE_MS);
  });

  it("keeps the upstream's own id", () => {
    const noted = following(job({ status: "IN_PROGRESS" }), EVENTS.note);
    expect(noted.upstreamJob).toEqual({ upstreamId: "gpu-1", id: "up-1" });
  });
});

describe("a bill", () => {
  const paid = { seq: 1, seconds: 3, amountNanodollars: 480_000, startedAtMs: STARTED, finishedAtMs: NOW };

  it.each(["completed", "handler_error", "timed_out", "cancel"] as const)("is written for %s", (name) => {
    const ended = following(job({ status: "IN_PROGRESS" }), EVENTS[name]);
    expect(ended).toMatchObject({ bill: paid, finishSeq: 90, executionMs: 2_500, finishedAtMs: NOW, lease: null });
  });

  it.each(["rejected", "storage_failed", "attempt_failed", "upstream_paused", "upstream_unhealthy"] as const)(
    "is not written for %s",
    (name) => {
      const ended = following(job({ status: "IN_PROGRESS" }), EVENTS[name], { maxAttempts: 1 });
      expect(ended).toMatchObject({ bill: null, finishSeq: null, lease: null });
    },
  );

  it("is not written for a job that is cancelled before its start", () => {
    expect(following(job(), EVENTS.cancel)).toMatchObject({ bill: null, finishSeq: null, executionMs: null });
  });

  it("never exceeds the execution timeout", () => {
    const ended = following(job({ status: "IN_PROGRESS", executionTimeoutMs: 1_000 }), EVENTS.completed);
    expect(ended).toMatchObject({ executionMs: 1_000, bill: { seconds: 1, amountNanodollars: 160_000 } });
  });
});

describe("a failed attempt", () => {
  it("waits with backoff in a new place of the queue, without lease or upstream id", () => {
    const upstreamJob = { upstreamId: "gpu-1", id: "up-1" };
    const waiting = following(job({ status: "IN_PROGRESS", upstreamJob }), EVENTS.attempt_failed, { jitter: 0.5 });
    expect(waiting).toMatchObject({ countedFailures: 1, queueSeq: 70, lease: null, upstreamJob: null, workerId: null });
    expect(waiting.notBeforeMs).toBe(NOW + BACKOFF_BASE_MS * 1.125);
  });

  it("fails the job when it was the last one allowed", () => {
    const failed = following(job({ status: "IN_PROGRESS", countedFailures: 1 }), EVENTS.attempt_failed);
    expect(failed).toMatchObject({
      status: "FAILED",
      failure: { code: "bad_answer", message: "connection reset" },
      countedFailures: 1,
    });
  });

  it("that no other try follows is no retry", () => {
    const only = following(job({ status: "IN_PROGRESS" }), EVENTS.attempt_failed, { maxAttempts: 1 });
    expect(only).toMatchObject({ status: "FAILED", countedFailures: 0 });
  });

  it.each(["upstream_paused", "upstream_unhealthy"] as const)("that was only %s is not counted", (name) => {
    const waiting = following(job({ status: "IN_PROGRESS", countedFailures: 1 }), EVENTS[name]);
    expect(waiting).toMatchObject({ status: "IN_QUEUE", countedFailures: 1, notBeforeMs: 0, queueSeq: 70 });
  });
});

describe("time", () => {
  const upstreamJob = { upstreamId: "gpu-1", id: "up-1" };
  const stop = [{ kind: "stop_upstream", upstreamId: "gpu-1", upstreamJobId: "up-1" }];

  it("ends a waiting job at its ttl, unbilled", () => {
    expect(following(job({ ttlAtMs: NOW }), EVENTS.time)).toMatchObject({ status: "TIMED_OUT", bill: null });
  });

  it("ends a running job at its ttl, billed, and stops the upstream", () => {
    const result = transition(job({ status: "IN_PROGRESS", ttlAtMs: NOW, upstreamJob }), EVENTS.time, given());
    expect(result.job).toMatchObject({ status: "TIMED_OUT", bill: { seconds: 3 }, upstreamJob: null });
    expect(result.effects).toEqual(stop);
  });

  it("fails a job at its execution timeout, billed, and stops the upstream", () => {
    const before = job({ status: "IN_PROGRESS", executionTimeoutMs: 2_500, upstreamJob });
    const result = transition(before, EVENTS.time, given());
    expect(result.job).toMatchObject({ status: "FAILED", failure: EXECUTION_TIMEOUT, bill: { seconds: 3 } });
    expect(result.effects).toEqual(stop);
  });

  it("counts a lost lease as a failed attempt, unbilled", () => {
    const lost = following(job({ status: "IN_PROGRESS", lease: lease({ untilMs: NOW - 1 }) }), EVENTS.time);
    expect(lost).toMatchObject({ status: "IN_QUEUE", countedFailures: 1, bill: null });
  });

  it("gives a lease lost by a restart back at once, keeps the upstream's id and counts no failure", () => {
    const before = job({ status: "IN_PROGRESS", lease: lease({ untilMs: NOW - 1 }), upstreamJob });
    const lost = following(before, EVENTS.time, { incarnation: "object-2" });
    expect(lost).toMatchObject({ status: "IN_QUEUE", countedFailures: 0, restarts: 1, notBeforeMs: 0, upstreamJob });
  });

  it("fails a job that too many restarts lost", () => {
    const before = job({ status: "IN_PROGRESS", lease: lease({ untilMs: NOW - 1 }), restarts: RESTARTS_MAX });
    expect(following(before, EVENTS.time, { incarnation: "object-2" })).toMatchObject({ status: "FAILED", bill: null });
  });
});

describe("a cancel", () => {
  it("stops the upstream that runs the job", () => {
    const upstreamJob = { upstreamId: "gpu-1", id: "up-1" };
    const result = transition(job({ status: "IN_PROGRESS", upstreamJob }), EVENTS.cancel, given());
    expect(result.effects).toEqual([{ kind: "stop_upstream", upstreamId: "gpu-1", upstreamJobId: "up-1" }]);
  });
});

describe("a retry", () => {
  it("starts counting anew but goes on with the attempt numbers", () => {
    const running = job({ status: "IN_PROGRESS", attempts: 2, countedFailures: 1, restarts: 3 });
    const failed = following(running, EVENTS.handler_error);
    expect(failed.bill?.seq).toBe(2);
    expect(following(failed, EVENTS.retry)).toMatchObject({
      status: "IN_QUEUE",
      attempts: 2,
      countedFailures: 0,
      restarts: 0,
      queueSeq: 70,
      queuedAtMs: NOW,
      ttlAtMs: NOW + 60_000,
      failure: null,
      finishedAtMs: null,
      bill: null,
      finishSeq: null,
    });
  });
});

describe("the webhook of a job", () => {
  const waiting = { tries: 0, nextAtMs: null, dead: false, detail: null };
  const due = { tries: 0, nextAtMs: NOW, dead: false, detail: null };

  it("is due as soon as the job ends", () => {
    expect(following(job({ status: "IN_PROGRESS", webhook: waiting }), EVENTS.completed).webhook).toEqual(due);
  });

  it("is done once delivered, and a second report of the same try is stale", () => {
    const done = following(job({ status: "COMPLETED", webhook: due }), EVENTS.webhook);
    expect(done.webhook).toEqual({ tries: 1, nextAtMs: null, dead: false, detail: null });
    expect(transition(done, EVENTS.webhook, given()).reply).toBe("stale");
  });

  it("is tried again by the schedule, no sooner than the receiver asked", () => {
    const failed = (retryAfterMs: number | null): JobEvent => ({
      kind: "webhook_result",
      round: 0,
      tryNumber: 1,
      result: { kind: "failed", detail: "500", retryAfterMs },
    });
    const before = job({ status: "COMPLETED", webhook: due });
    expect(following(before, failed(null)).webhook?.nextAtMs).toBe(NOW + WEBHOOK_SCHEDULE_MS[1]);
    expect(following(before, failed(9_000)).webhook?.nextAtMs).toBe(NOW + 9_000);
  });

  it("is given up after 410 and after the last try", () => {
    const gone = { kind: "webhook_result", round: 0, tryNumber: 1, result: { kind: "gone" } } as const;
    const dead = following(job({ status: "COMPLETED", webhook: due }), gone);
    expect(dead.webhook).toMatchObject({ dead: true, nextAtMs: NOW });
    // Its receiver is left alone from now on; D1 is offered the letter until it takes it.
    expect(transition(dead, { ...gone, tryNumber: 2 }, given()).reply).toBe("stale");
    const refused = following(dead, { kind: "dead_letter", round: 0, kept: false });
    expect(refused.webhook).toMatchObject({ dead: true, nextAtMs: NOW + LETTER_RETRY_MS });
    const buried = following(refused, { kind: "dead_letter", round: 0, kept: true });
    expect(buried.webhook).toMatchObject({ dead: true, nextAtMs: null, tries: 1 });
    expect(transition(buried, { kind: "dead_letter", round: 0, kept: true }, given()).reply).toBe("stale");
    const tries = WEBHOOK_SCHEDULE_MS.length;
    const result = { kind: "failed", detail: "500", retryAfterMs: null } as const;
    const last = job({ status: "COMPLETED", webhook: { ...due, tries: tries - 1 } });
    const spent = following(last, { kind: "webhook_result", round: 0, tryNumber: tries, result });
    expect(spent.webhook).toMatchObject({ tries, dead: true, nextAtMs: NOW });
  });
});
