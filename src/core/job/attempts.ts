// The history of attempts in a job's row: few and short ones, because each step of the job reads and writes the row.
import { cutToBytes, utf8Length } from "../bytes/utf8.ts";
import { ATTEMPTS_KEPT_MAX, ATTEMPTS_KEPT_MAX_BYTES } from "../limits.ts";
import { boundErrorText } from "./error-text.ts";
import type { AttemptOutcome, JobEvent } from "./event.ts";
import { EXECUTION_TIMEOUT, failed, type JobFailure } from "./failure.ts";
import type { Job, Lease, PastAttempt } from "./job.ts";
import { shownWorkerId } from "./worker-id.ts";

/** Less than this of a JSON text shows nothing of use. */
const JSON_TEXT_MIN_BYTES = 200;

/** The job's history after this event has ended the lease of `before`. */
export function withAttempt(
  before: Job,
  lease: Lease,
  event: JobEvent,
  after: Job,
  nowMs: number,
): readonly PastAttempt[] {
  const failure = failureOf(before, event, after);
  const ended: PastAttempt = {
    number: before.attempts,
    workerId: shownWorkerId(lease.holderId),
    startedAtMs: lease.startedAtMs,
    endedAtMs: nowMs,
    code: failure?.code ?? null,
    message: failure === null ? null : boundErrorText(failure.message, ATTEMPTS_KEPT_MAX_BYTES),
    billed: after.bill !== null && after.bill !== before.bill,
    ...(lease.cold === true ? { cold: true } : {}),
  };
  return shorten([...before.history, ended]);
}

/** Why this attempt failed; null: it completed the job. */
function failureOf(before: Job, event: JobEvent, after: Job): JobFailure | null {
  if (event.kind === "finish") return failureOfOutcome(event.outcome);
  if (event.kind === "cancel") return failed("cancelled", "the job was cancelled");
  if (after.status === "TIMED_OUT") return failed("ttl_passed", "the job's ttl passed");
  if (after.failure !== null) return after.failure;
  if (after.restarts > before.restarts) return failed("carrier_restarted", "its carrier was lost with a restart");
  if (after.countedFailures > before.countedFailures) return WORKER_LOST;
  return event.kind === "lost" && event.delivered === false ? NOT_SENT : UNSEEN;
}

const NOT_SENT = failed("not_delivered", "the worker did not get the job: the answer with it was not sent");
/** A worker that dies with its handler's first step looks like one that has never got the job. */
const UNSEEN = failed(
  "not_delivered",
  "nothing showed that the worker had got the job; it may have begun it all the same",
);

export const WORKER_LOST = failed("worker_lost", "nothing came from the worker until its lease ended");

function failureOfOutcome(outcome: AttemptOutcome): JobFailure | null {
  switch (outcome.kind) {
    case "completed":
      return null;
    case "timed_out":
      return EXECUTION_TIMEOUT;
    case "abandoned":
      return failed("client_lost", "the client that waited for the answer has gone");
    case "upstream_paused":
    case "upstream_unhealthy":
      return failed(outcome.kind, outcome.detail);
    case "start_failed":
      return failed("start_failed", outcome.start.detail);
    default:
      return outcome.failure;
  }
}

/** Keeps the history within its bounds: the oldest texts are cut first; if that does not suffice, attempts go. */
function shorten(attempts: readonly PastAttempt[]): readonly PastAttempt[] {
  const kept = attempts.slice(-ATTEMPTS_KEPT_MAX);
  for (const [at, attempt] of kept.entries()) {
    const overBytes = bytesOf(kept) - ATTEMPTS_KEPT_MAX_BYTES;
    if (overBytes <= 0) return kept;
    const { message } = attempt;
    kept[at] = { ...attempt, message: message === null ? null : lessenBy(message, overBytes) };
  }
  while (bytesOf(kept) > ATTEMPTS_KEPT_MAX_BYTES) kept.shift();
  return kept;
}

/** A text that is stored in so many bytes less. Of a JSON text that is too little to be JSON, the beginning is kept. */
function lessenBy(message: string, bytes: number): string {
  const sizeBytes = utf8Length(message);
  const storedBytes = storedSizeOf(message);
  const leftBytes = storedBytes - bytes;
  const beginning = cutToBytes(message, Math.max(0, sizeBytes - bytes));
  if (leftBytes < JSON_TEXT_MIN_BYTES) return beginning;
  // Where escapes are stored as evenly as they stand in the text, it is shortened by no more than it must be.
  const evenly = boundErrorText(message, Math.floor((sizeBytes * leftBytes) / storedBytes));
  return storedSizeOf(evenly) <= leftBytes ? evenly : beginning;
}

function storedSizeOf(text: string): number {
  return utf8Length(JSON.stringify(text));
}

/** The size of the attempts as they are stored in the row. */
function bytesOf(attempts: readonly PastAttempt[]): number {
  return utf8Length(JSON.stringify(attempts));
}
