// The state machine of a job: transition(job, event, given) → what it becomes and what must follow.
// Pure: time, jitter and numbers arrive as values. No other file decides what happens to a job's status.

import type { PayloadRef } from "../json/payload-ref.ts";
import {
  BACKOFF_BASE_MS,
  BACKOFF_MAX_MS,
  FORMER_WORKERS_MAX,
  LEASE_MS,
  RESTARTS_MAX,
  START_FAILURES_MAX,
  UNDELIVERED_MAX,
  WORKER_LEASE_MS,
} from "../limits.ts";
import type { TokenUsage } from "../openai/token-usage.ts";
import { asRun, executedMs, makeBill, reportedLease } from "./attempt-bill.ts";
import { WORKER_LOST, withAttempt } from "./attempts.ts";
import { backoffMs } from "./backoff.ts";
import type { AttemptOutcome, JobEvent } from "./event.ts";
import { EXECUTION_TIMEOUT, failed, type JobFailure } from "./failure.ts";
import type { FormerWorker, Job, JobStatus, Lease, WebhookState } from "./job.ts";
import { isTerminal, leaseEndMs, NOT_RUN, NOTHING_TO_SEND } from "./job.ts";
import { settleDeadLetter, settleWebhookTry } from "./webhook-try.ts";
import { shownWorkerId } from "./worker-id.ts";

/** Values from outside that a transition may use up. */
export interface Context {
  readonly nowMs: number;
  readonly maxAttempts: number;
  /** This start of the broker's object; a lease of another start has been lost by a restart. */
  readonly incarnation: string;
  /** When the pulling worker of the job's lease last sent anything, epoch ms; 0: never, or no such worker. */
  readonly workerSeenAtMs: number;
  readonly nextQueueSeq: number;
  readonly nextFinishSeq: number;
  /** 0 ≤ j < 1. */
  readonly jitter: number;
}

export type Effect =
  /** The result to keep with the job; null clears an old one. */
  | { readonly kind: "keep_output"; readonly output: PayloadRef | null }
  | { readonly kind: "stop_upstream"; readonly upstreamId: string; readonly upstreamJobId: string }
  /** A pulling worker may still run the job, which its job-stop is to name. */
  | { readonly kind: "stop_worker"; readonly holderId: string }
  | { readonly kind: "upstream_ok"; readonly upstreamId: string }
  | {
      readonly kind: "pause_upstream";
      readonly upstreamId: string;
      readonly detail: string;
      readonly retryAfterMs: number | null;
    }
  | { readonly kind: "upstream_unhealthy"; readonly upstreamId: string; readonly detail: string };

export interface Transition {
  readonly job: Job;
  readonly effects: readonly Effect[];
  /** `done`: changed, or no change was due. `stale`: the event's lease is not held. `refused`: not in this status. */
  readonly reply: "done" | "stale" | "refused";
}

/** What becomes of a job. A refused or stale event gives back the very same job and no effect. */
export function transition(job: Job, event: JobEvent, context: Context): Transition {
  const moved = decide(job, event, context);
  if (job.lease === null || moved.job.lease !== null) return moved;
  return { ...moved, job: { ...moved.job, history: withAttempt(job, job.lease, event, moved.job, context.nowMs) } };
}

function decide(job: Job, event: JobEvent, context: Context): Transition {
  switch (event.kind) {
    case "start":
      return start(job, event.lease, context);
    case "renew":
      return whenHeld(job, event.token, context, (lease) => ({
        ...job,
        // The lease belongs to this start of the object from now on: if the carrier is lost later, that is no restart.
        lease: {
          ...lease,
          untilMs: context.nowMs + leaseMs(lease),
          graceUntilMs: 0,
          incarnation: context.incarnation,
        },
      }));
    case "note_upstream_job":
      return whenHeld(job, event.token, context, (lease) => ({
        ...job,
        upstreamJob: { upstreamId: lease.holderId, id: event.upstreamJobId },
      }));
    case "note_running":
      return whenHeld(job, event.token, context, (lease) =>
        lease.ranFromMs === null ? { ...job, lease: { ...lease, ranFromMs: context.nowMs } } : job,
      );
    case "finish":
      return finish(job, event.token, event.outcome, context);
    case "lost":
      return lose(job, event.token, event.delivered, context);
    case "cancel":
      return cancel(job, context);
    case "retry":
      return retry(job, context);
    case "set_ttl":
      if (isTerminal(job.status)) return unchanged(job, "done");
      return changed({ ...job, ttlAtMs: job.queuedAtMs + event.ttlMs });
    case "time":
      return passTime(job, context);
    case "webhook_result":
      return settleWebhook(job, event.round, (webhook) =>
        settleWebhookTry(webhook, event.tryNumber, event.result, context),
      );
    case "dead_letter":
      return settleWebhook(job, event.round, (webhook) => settleDeadLetter(webhook, event.kept, context.nowMs));
  }
}

function changed(job: Job, effects: readonly Effect[] = []): Transition {
  return { job, effects, reply: "done" };
}

function unchanged(job: Job, reply: Transition["reply"]): Transition {
  return { job, effects: [], reply };
}

/** A running job's lease if it has this token and has not ended: a renewal after its end does not revive it. */
function heldLease(job: Job, token: string, context: Context): Lease | null {
  if (job.status !== "IN_PROGRESS" || job.lease === null || job.lease.token !== token) return null;
  return context.nowMs <= leaseEndMs(job.lease) ? job.lease : null;
}

function whenHeld(job: Job, token: string, context: Context, change: (lease: Lease) => Job): Transition {
  const lease = heldLease(job, token, context);
  return lease === null ? unchanged(job, "stale") : changed(change(lease));
}

function start(job: Job, lease: Lease, context: Context): Transition {
  const startable = job.status === "IN_QUEUE" && job.notBeforeMs <= context.nowMs && context.nowMs < job.ttlAtMs;
  if (!startable) return unchanged(job, "refused");
  return changed({
    ...job,
    status: "IN_PROGRESS",
    attempts: job.attempts + 1,
    notBeforeMs: 0,
    lease,
    // The id of a run on another upstream cannot be used on this one.
    upstreamJob: job.upstreamJob?.upstreamId === lease.holderId ? job.upstreamJob : null,
    delayMs: context.nowMs - job.queuedAtMs,
    workerId: shownWorkerId(lease.holderId),
  });
}

/** How long a lease holds without a renewal, in ms. */
export function leaseMs(lease: Pick<Lease, "workerKeyId">): number {
  return lease.workerKeyId === null ? LEASE_MS : WORKER_LEASE_MS;
}

function finish(before: Job, token: string, outcome: AttemptOutcome, context: Context): Transition {
  const lease = heldLease(before, token, context);
  if (lease === null) return unchanged(before, "stale");
  const job = { ...before, lease: reportedLease(lease, outcome, context.nowMs) };
  const { holderId: upstreamId } = lease;
  switch (outcome.kind) {
    case "completed": {
      // Only the job shows whether its output is OpenAI's: for other jobs an `error` is a member like any other.
      const error = job.origin?.countsTokens === true ? (outcome.errorIfOpenAi ?? null) : null;
      if (error !== null) {
        const { output, tokens = null } = outcome;
        return finish(
          before,
          token,
          { kind: "handler_error", failure: failed("handler_error", error), output, tokens },
          context,
        );
      }
      return changed(end(job, "COMPLETED", null, true, context, outcome.tokens), [
        { kind: "keep_output", output: outcome.output },
        { kind: "upstream_ok", upstreamId },
      ]);
    }
    case "handler_error":
      return changed(end(job, "FAILED", outcome.failure, true, context, outcome.tokens), [
        { kind: "keep_output", output: outcome.output },
        { kind: "upstream_ok", upstreamId },
      ]);
    case "rejected":
      return changed(end(job, "FAILED", outcome.failure, false, context), [{ kind: "upstream_ok", upstreamId }]);
    case "storage_failed":
      return changed(end(job, "FAILED", outcome.failure, false, context), [{ kind: "upstream_ok", upstreamId }]);
    case "timed_out":
      return changed(endUnfinished(job, "FAILED", EXECUTION_TIMEOUT, context));
    case "abandoned":
      return changed(endUnfinished(job, "CANCELLED", null, context, outcome.tokens), [
        { kind: "upstream_ok", upstreamId },
      ]);
    case "cut_short":
      return changed(end(job, "FAILED", outcome.failure, false, context));
    case "attempt_failed":
      return changed(countFailure(job, outcome.failure, context));
    case "start_failed":
      return changed(countStartFailure(job, failed("start_failed", outcome.start.error), context));
    case "upstream_paused":
      return changed({ ...requeue(job, 0, context), upstreamJob: job.upstreamJob }, [
        { kind: "pause_upstream", upstreamId, detail: outcome.detail, retryAfterMs: outcome.retryAfterMs },
      ]);
    case "upstream_unhealthy":
      // If the upstream has already begun a run of the job, that run is resumed once the upstream can be reached.
      return changed({ ...requeue(job, 0, context), upstreamJob: job.upstreamJob }, [
        { kind: "upstream_unhealthy", upstreamId, detail: outcome.detail },
      ]);
  }
}

const CLIENT_LOST = failed("client_lost", "the request of the client that carried the job was lost");
const TTL_PASSED = failed("ttl_passed", "the job's ttl passed");

/** Whether the job's execution time shows how long such jobs take: it ran to its end, or to its timeout. */
export function hasOwnTime({ status, failure, executionMs }: Pick<Job, "status" | "failure" | "executionMs">): boolean {
  // A job that its upstream never began to run has only waited until its timeout.
  if (status !== "COMPLETED" && executionMs === 0) return false;
  return status === "COMPLETED" || failure?.code === "execution_timeout";
}

/**
 * Ends a job. A running attempt that is billed costs its time by the broker's clock, never more than its timeout, and
 * nothing after the time for which its lease was renewed: if an alarm is late, or a start of the object gives a grace,
 * that time is not charged, because nobody has seen the worker run.
 */
function end(
  job: Job,
  status: JobStatus,
  failure: JobFailure | null,
  billed: boolean,
  context: Context,
  tokens: TokenUsage | null = null,
): Job {
  const lease = job.lease;
  const executionMs = lease === null ? null : executedMs(job, lease, context.nowMs);
  const isBilled = lease !== null && executionMs !== null && billed;
  // A worker may also report tokens for jobs of other origins, which are not counted.
  const counted = job.origin?.countsTokens === true ? tokens : null;
  const bill = isBilled ? { ...makeBill(job, lease, executionMs, context.nowMs), tokens: counted } : null;
  return {
    ...job,
    status,
    failure,
    executionMs,
    lease: null,
    formerWorkers: formerWorkers(job, context.nowMs),
    upstreamJob: null,
    notBeforeMs: 0,
    finishedAtMs: context.nowMs,
    bill,
    finishSeq: bill === null ? null : context.nextFinishSeq,
    webhook: job.webhook === null ? null : { tries: 0, nextAtMs: context.nowMs, dead: false, detail: null },
  };
}

/** Ends a job that did not end by itself: on a hosted upstream, time before an IN_PROGRESS is not billed. */
function endUnfinished(
  job: Job,
  status: JobStatus,
  failure: JobFailure | null,
  context: Context,
  tokens: TokenUsage | null = null,
): Job {
  const { job: ran, billed } = asRun(job, context.nowMs);
  return end(ran, status, failure, billed, context, tokens);
}

/** Puts the job back into the queue for a new run; a caller that wants the upstream's run resumed restores its id. */
function requeue(job: Job, waitMs: number, context: Context): Job {
  return {
    ...job,
    status: "IN_QUEUE",
    lease: null,
    formerWorkers: formerWorkers(job, context.nowMs),
    upstreamJob: null,
    workerId: null,
    queueSeq: context.nextQueueSeq,
    notBeforeMs: waitMs === 0 ? 0 : context.nowMs + waitMs,
  };
}

/** The job's former workers once its lease has ended. */
function formerWorkers({ lease, formerWorkers: before }: Job, nowMs: number): readonly FormerWorker[] {
  if (lease === null || lease.workerKeyId === null) return before;
  const others = before.filter(({ holderId }) => holderId !== lease.holderId);
  return [...others, { holderId: lease.holderId, untilMs: nowMs }].slice(-FORMER_WORKERS_MAX);
}

function countFailure(job: Job, failure: JobFailure, context: Context): Job {
  const countedFailures = job.countedFailures + 1;
  const tried = { ...job, failedOn: job.lease?.holderId ?? null };
  if (countedFailures >= context.maxAttempts) return end(tried, "FAILED", failure, false, context);
  const counted = { ...tried, countedFailures };
  return requeue(counted, backoffMs(countedFailures, BACKOFF_BASE_MS, BACKOFF_MAX_MS, context.jitter), context);
}

/** Other workers are tried at once. If all fail, the job ends with their error, which alone shows the reason. */
function countStartFailure(job: Job, failure: JobFailure, context: Context): Job {
  const startFailures = job.startFailures + 1;
  const counted = { ...job, startFailures, failedOn: job.lease?.holderId ?? null };
  if (startFailures > START_FAILURES_MAX) return end(counted, "FAILED", failure, false, context);
  return requeue(counted, 0, context);
}

function cancel(job: Job, context: Context): Transition {
  if (isTerminal(job.status)) return unchanged(job, "done");
  return changed(endUnfinished(job, "CANCELLED", null, context), stopEffects(job));
}

function stopEffects(job: Job): Effect[] {
  if (job.lease !== null && job.lease.workerKeyId !== null) {
    return [{ kind: "stop_worker", holderId: job.lease.holderId }];
  }
  if (job.upstreamJob === null) return [];
  return [{ kind: "stop_upstream", upstreamId: job.upstreamJob.upstreamId, upstreamJobId: job.upstreamJob.id }];
}

function retry(job: Job, context: Context): Transition {
  if (job.status !== "FAILED") return unchanged(job, "refused");
  const ttlMs = job.ttlAtMs - job.queuedAtMs;
  return changed(
    {
      ...job,
      ...NOT_RUN,
      round: job.round + 1,
      queuedAtMs: context.nowMs,
      queueSeq: context.nextQueueSeq,
      ttlAtMs: context.nowMs + ttlMs,
      webhook: job.webhook === null ? null : NOTHING_TO_SEND,
    },
    [{ kind: "keep_output", output: null }],
  );
}

/** What the passing of time does: ttl first, then the execution timeout, then the lease. */
function passTime(job: Job, context: Context): Transition {
  if (isTerminal(job.status)) return unchanged(job, "done");
  if (context.nowMs >= job.ttlAtMs) {
    return changed(endUnfinished(job, "TIMED_OUT", TTL_PASSED, context), stopEffects(job));
  }
  if (job.status === "IN_QUEUE" || job.lease === null) return unchanged(job, "done");
  if (context.nowMs >= job.lease.startedAtMs + job.executionTimeoutMs) {
    return changed(endUnfinished(job, "FAILED", EXECUTION_TIMEOUT, context), stopEffects(job));
  }
  if (context.nowMs <= leaseEndMs(job.lease)) return unchanged(job, "done");
  const next = expireLease(job, job.lease, context);
  return changed(next, next.upstreamJob === null ? stopEffects(job) : []);
}

/**
 * A lease ran out, or its worker does not have the job any more. A loss by a restart of the broker, or of the client's
 * request that carried the job, is not the job's fault, and the upstream may still run the job.
 */
function expireLease(job: Job, lease: Lease, context: Context, isDoubtful = false): Job {
  // The client has gone with its request, so nobody waits for another run, or should have to pay for one.
  if (lease.byClient && job.origin?.endsWithClient === true) return end(job, "FAILED", CLIENT_LOST, false, context);
  if (lease.incarnation !== context.incarnation || lease.byClient) {
    const restarts = job.restarts + 1;
    if (restarts > RESTARTS_MAX) {
      return end(
        { ...job, restarts },
        "FAILED",
        failed("carrier_restarted", `job lost by ${restarts} restarts of its carrier`),
        false,
        context,
      );
    }
    return { ...requeue({ ...job, restarts }, 0, context), upstreamJob: job.upstreamJob };
  }
  const isUndelivered = isDoubtful || (lease.workerKeyId !== null && context.workerSeenAtMs <= lease.startedAtMs);
  if (isUndelivered && job.undelivered < UNDELIVERED_MAX) {
    return requeue({ ...job, undelivered: job.undelivered + 1 }, 0, context);
  }
  return countFailure(job, WORKER_LOST, context);
}

function lose(job: Job, token: string, delivered: boolean | "perhaps", context: Context): Transition {
  const lease = heldLease(job, token, context);
  if (lease === null) return unchanged(job, "stale");
  if (delivered !== false) return changed(expireLease(job, lease, context, delivered === "perhaps"));
  // The worker never got the job, so it cannot report it late, and may be given it again.
  return changed({ ...requeue(job, 0, context), formerWorkers: job.formerWorkers });
}

function settleWebhook(job: Job, round: number, settle: (webhook: WebhookState) => WebhookState | null): Transition {
  const webhook = job.webhook === null || round !== job.round ? null : settle(job.webhook);
  return webhook === null ? unchanged(job, "stale") : changed({ ...job, webhook });
}
