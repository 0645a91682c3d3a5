// What a job's row keeps of its attempts: each with its end, within the bounds of a row.
import { describe, expect, it } from "vitest";
import { utf8Length } from "../../../src/core/bytes/utf8.ts";
import type { AttemptOutcome, JobEvent } from "../../../src/core/job/event.ts";
import { failed, failureOfText, runpodText } from "../../../src/core/job/failure.ts";
import { type Job, type Lease, NOT_RUN } from "../../../src/core/job/job.ts";
import { withFailure } from "../../../src/core/job/older-outcome.ts";
import { type Context, transition } from "../../../src/core/job/transition.ts";
import {
  ATTEMPTS_KEPT_MAX,
  ATTEMPTS_KEPT_MAX_BYTES,
  ERROR_TEXT_MAX_BYTES,
  LEASE_MS,
} from "../../../src/core/limits.ts";

function job(partial: Partial<Job> = {}): Job {
  return {
    ...NOT_RUN,
    uuid: "019b0000-0000-7000-8000-000000000001",
    mode: "run",
    tenantId: "owner",
    origin: null,
    createdAtMs: 0,
    queuedAtMs: 0,
    queueSeq: 1,
    ttlAtMs: 86_400_000,
    executionTimeoutMs: 600_000,
    lowPriority: false,
    retentionMs: 60_000,
    round: 0,
    attempts: 0,
    formerWorkers: [],
    history: [],
    webhook: null,
    stored: null,
    ...partial,
  };
}

function at(nowMs: number, partial: Partial<Context> = {}): Context {
  const numbers = { nextQueueSeq: 2, nextFinishSeq: 1, jitter: 0 };
  return { nowMs, maxAttempts: 99, incarnation: "first", workerSeenAtMs: 0, ...numbers, ...partial };
}

/** A job that an upstream runs since this moment. */
function started(waiting: Job, nowMs: number, holderId = "gpu-1", more: Pick<Lease, "cold"> = {}): Job {
  const rate = { tier: "a100", rateKind: "flex", slots: 1, nanodollarsPerSecond: 760_000 } as const;
  const times = { startedAtMs: nowMs, untilMs: nowMs + LEASE_MS, graceUntilMs: 0, incarnation: "first" };
  const lease = { token: `t${nowMs}`, holderId, workerKeyId: null, byClient: false, ...rate, ...times, ...more };
  return transition({ ...waiting, notBeforeMs: 0 }, { kind: "start", lease }, at(nowMs)).job;
}

function finished(running: Job, outcome: AttemptOutcome, nowMs: number): Job {
  return transition(running, { kind: "finish", token: running.lease?.token ?? "", outcome }, at(nowMs)).job;
}

describe("the history of a job", () => {
  it("has each attempt with its worker, its times, and why it failed", () => {
    const lost = { kind: "attempt_failed", failure: failed("bad_answer", "reset") } as const;
    const again = finished(started(job(), 1_000), lost, 2_000);
    const done = finished(started(again, 5_000, "gpu-2"), { kind: "completed", output: null }, 8_000);
    expect(done.history).toEqual([
      {
        number: 1,
        workerId: "gpu-1",
        startedAtMs: 1_000,
        endedAtMs: 2_000,
        code: "bad_answer",
        message: "reset",
        billed: false,
      },
      { number: 2, workerId: "gpu-2", startedAtMs: 5_000, endedAtMs: 8_000, code: null, message: null, billed: true },
    ]);
  });

  it("marks those for which a machine had to start, and no others", () => {
    const lost = { kind: "attempt_failed", failure: failed("bad_answer", "reset") } as const;
    const again = finished(started(job(), 1_000, "worker:i1/i1", { cold: true }), lost, 2_000);
    expect(again.history).toMatchObject([{ number: 1, cold: true }]);
    const done = finished(started(again, 5_000), { kind: "completed", output: null }, 8_000);
    expect(done.history.map((attempt) => "cold" in attempt)).toEqual([true, false]);
  });

  const endings: [string, JobEvent | AttemptOutcome, Partial<Context>, number, string, boolean][] = [
    ["cancelled", { kind: "cancel" }, {}, 3_000, "cancelled", true],
    ["over its ttl", { kind: "time" }, {}, 86_400_000, "ttl_passed", true],
    ["over its execution time", { kind: "time" }, {}, 700_000, "execution_timeout", true],
    ["without news of its worker", { kind: "time" }, {}, 100_000, "worker_lost", false],
    ["lost with a restart", { kind: "time" }, { incarnation: "second" }, 100_000, "carrier_restarted", false],
    ["not delivered", { kind: "lost", token: "t1000", delivered: false }, {}, 2_000, "not_delivered", false],
    [
      "refused by a pausing upstream",
      { kind: "upstream_paused", detail: "429", retryAfterMs: 1 },
      {},
      2_000,
      "upstream_paused",
      false,
    ],
    ["left by its client", { kind: "abandoned", tokens: null }, {}, 2_000, "client_lost", true],
  ];
  it.each(endings)("tells an attempt that is %s", (_name, end, context, nowMs, code, billed) => {
    const running = started(job(), 1_000);
    const event: JobEvent =
      end.kind === "upstream_paused" || end.kind === "abandoned"
        ? { kind: "finish", token: "t1000", outcome: end as AttemptOutcome }
        : (end as JobEvent);
    const { history } = transition(running, event, at(nowMs, context)).job;
    expect(history).toMatchObject([{ number: 1, code, billed }]);
  });

  it("tells that a worker may have begun, unless the job was never sent to it", () => {
    const pulled = (): Job => {
      const running = started(job(), 1_000);
      const lease = running.lease === null ? null : { ...running.lease, workerKeyId: "key1" };
      return { ...running, lease };
    };
    const message = (event: JobEvent, nowMs: number) =>
      transition(pulled(), event, at(nowMs)).job.history.map((attempt) => attempt.message);
    const begun = ["nothing showed that the worker had got the job; it may have begun it all the same"];
    expect(message({ kind: "lost", token: "t1000", delivered: false }, 1_500)).toEqual([
      "the worker did not get the job: the answer with it was not sent",
    ]);
    expect(message({ kind: "lost", token: "t1000", delivered: "perhaps" }, 1_500)).toEqual(begun);
    expect(message({ kind: "time" }, 1_000 + LEASE_MS + 1)).toEqual(begun);
  });

  it("keeps the newest attempts, and cuts the oldest texts first", () => {
    let one = job();
    for (let attempt = 1; attempt <= 2 * ATTEMPTS_KEPT_MAX; attempt += 1) {
      const failure = failed("handler_error", `${attempt} ${'é"'.repeat(200)}`);
      one = finished(started(one, attempt * 10_000), { kind: "attempt_failed", failure }, attempt * 10_000 + 1);
    }
    const { history } = one;
    expect(history.length).toBeLessThanOrEqual(ATTEMPTS_KEPT_MAX);
    expect(history.at(-1)).toMatchObject({ number: 16, message: expect.stringMatching(/^16 é/) });
    const lengths = history.map(({ message }) => message?.length ?? 0);
    expect(lengths.toSorted((a, b) => a - b)).toEqual(lengths);
    expect(new TextEncoder().encode(JSON.stringify(history)).length).toBeLessThanOrEqual(ATTEMPTS_KEPT_MAX_BYTES);
  });

  it("stays within its bytes with the longest names and texts", () => {
    let one = job();
    for (let attempt = 1; attempt <= 9; attempt += 1) {
      const failure = failed("handler_error", "\u0001".repeat(4_000));
      one = finished(
        started(one, attempt * 10_000, "w".repeat(128)),
        { kind: "attempt_failed", failure },
        attempt * 10_000,
      );
    }
    expect(one.history.at(-1)?.number).toBe(9);
    expect(JSON.stringify(one.history).length).toBeLessThanOrEqual(ATTEMPTS_KEPT_MAX_BYTES);
  });

  it("keeps the beginning of a text that is as long as an error may be, escapes and all", () => {
    const failure = failed("handler_error", `boom ${'\n"é'.repeat(ERROR_TEXT_MAX_BYTES)}`);
    const { history } = finished(started(job(), 1_000), { kind: "attempt_failed", failure }, 2_000);
    expect(history).toMatchObject([{ message: expect.stringMatching(/^boom \n"é/) }]);
    expect(history[0]?.message?.length).toBeGreaterThan(300);
    expect(new TextEncoder().encode(JSON.stringify(history)).length).toBeLessThanOrEqual(ATTEMPTS_KEPT_MAX_BYTES);
  });

  it.each([1, ATTEMPTS_KEPT_MAX])("keeps a text of JSON readable: the newest of %i", (count) => {
    let one = job();
    for (let attempt = 1; attempt <= count; attempt += 1) {
      const report = {
        error_type: "<class 'ValueError'>",
        error_message: "boom",
        error_traceback: '"\\n'.repeat(9_000),
      };
      const failure = failed("handler_error", JSON.stringify(report));
      one = finished(started(one, attempt * 10_000), { kind: "attempt_failed", failure }, attempt * 10_000 + 1);
    }
    const text = one.history.at(-1)?.message ?? "";
    expect(JSON.parse(text)).toMatchObject({ error_type: "<class 'ValueError'>", error_message: "boom" });
    expect(one.history.length).toBeGreaterThan(count / 3);
    expect(utf8Length(JSON.stringify(one.history))).toBeLessThanOrEqual(ATTEMPTS_KEPT_MAX_BYTES);
  });

  it("stands alone in a job that waits: the text of an attempt that failed is not kept beside it", () => {
    const failure = failed("handler_error", "x".repeat(ERROR_TEXT_MAX_BYTES));
    const waiting = finished(started(job(), 1_000), { kind: "attempt_failed", failure }, 2_000);
    expect(waiting).toMatchObject({ status: "IN_QUEUE", failure: null });
    expect(JSON.stringify(waiting).length).toBeLessThan(ATTEMPTS_KEPT_MAX_BYTES + 2_048);
  });

  it("keeps an attempt whose text is a little too long and ends within a pair of UTF-16", () => {
    for (let more = 0; more < 64; more += 1) {
      const failure = failed("handler_error", "x".repeat(more) + "😀".repeat(470));
      const { history } = finished(started(job(), 1_000), { kind: "attempt_failed", failure }, 2_000);
      expect(history).toHaveLength(1);
      expect(new TextEncoder().encode(JSON.stringify(history)).length).toBeLessThanOrEqual(ATTEMPTS_KEPT_MAX_BYTES);
    }
  });

  it("goes on over a retry", () => {
    const failure = failed("handler_error", "no");
    const over = finished(started(job(), 1_000), { kind: "rejected", failure }, 2_000);
    const again = transition(over, { kind: "retry" }, at(3_000)).job;
    expect(started(again, 4_000).history).toHaveLength(1);
    expect(finished(started(again, 4_000), { kind: "completed", output: null }, 5_000).history).toHaveLength(2);
  });
});

describe("a failure as RunPod's clients read it", () => {
  it("is the handler's own text, whatever it begins with", () => {
    expect(runpodText(failed("handler_error", "the upstream is full"), 1)).toBe("the upstream is full");
  });

  it("names retries of a lost worker, and the status of an upstream", () => {
    expect(runpodText(failed("worker_lost", "nothing came"), 2)).toBe("job timed out after 2 retries");
    expect(runpodText({ ...failed("upstream_status", "no model"), status: 422 }, 1)).toBe(
      "the upstream answered 422: no model",
    );
  });

  it.each(["executionTimeout exceeded", "job timed out after 1 retries", "no cuda"])(
    "stays the same where an earlier release has kept the text %j",
    (text) => expect(runpodText(failureOfText(text), 2)).toBe(text),
  );

  it("stays the same where it is the word of a hosted upstream, which has counted its own retries", () => {
    const text = "job timed out after 1 retries";
    expect(runpodText(failureOfText(text), 3)).toBe(text);
  });
});

describe("an outcome of a carrier of the release before", () => {
  it("gets a failure for its text", () => {
    const older = { kind: "attempt_failed", error: "reset" } as unknown as AttemptOutcome;
    expect(withFailure(older)).toEqual({ kind: "attempt_failed", failure: failed("handler_error", "reset") });
  });

  it("keeps its report of a failed start", () => {
    const start = { kind: "failed", error: "{}", detail: "Its start failed." } as const;
    const older = { kind: "start_failed", failure: start } as unknown as AttemptOutcome;
    expect(withFailure(older)).toEqual({ kind: "start_failed", start });
  });

  it("is left alone where it is of this release", () => {
    const outcome = { kind: "rejected", failure: failed("invalid_request", "no") } as const;
    expect(withFailure(outcome)).toBe(outcome);
    expect(withFailure({ kind: "completed", output: null })).toEqual({ kind: "completed", output: null });
  });
});
