// Why a job, or one attempt at it, failed: a code, chosen where the failure happens, and a message. At the end both
// become the text that RunPod's clients read; only texts that an older release stored are ever parsed back into a code.
import { ERROR_TEXT_MAX_BYTES } from "../limits.ts";
import { boundErrorText } from "./error-text.ts";

/** Who should look at a failure: who runs the handler or upstream, who sent the job, or who runs this deployment. */
type FailureSource = "worker" | "client" | "waybill";

/** Every code, and whose failure it is. The message of a `worker` code may be the worker's own text, in any form. */
const SOURCES = {
  /** The handler reported an error, which is the message. */
  handler_error: "worker",
  /** The worker could not start; the message is the report of RunPod's SDK, which is JSON. */
  start_failed: "worker",
  /** An upstream answered with an error status; the message is its answer, and may be empty. */
  upstream_status: "worker",
  /** The upstream did not answer in time, or its answer stalled. */
  upstream_timeout: "worker",
  /** The upstream broke off its answer, or an answer or a worker's report cannot be used. */
  bad_answer: "worker",
  /** The upstream has lost or ended the job, or does not report it any more. */
  upstream_lost: "worker",
  /** A result, or a chunk or event of a stream, is too large to be kept. */
  answer_too_large: "worker",
  /** Nothing came from the worker until its lease ended. */
  worker_lost: "worker",
  /** The upstream cannot have begun the job, and pauses. */
  upstream_paused: "worker",
  /** The upstream is misconfigured. */
  upstream_unhealthy: "worker",
  /** Nothing showed that a pulling worker had got the job; the message tells whether it may have begun it. */
  not_delivered: "worker",
  /** The job asks for something that its upstream does not take. */
  invalid_request: "client",
  /** A route of an OpenAI server that the endpoint does not let through. */
  route_closed: "client",
  /** The job ran for as long as its execution timeout allows. */
  execution_timeout: "client",
  ttl_passed: "client",
  cancelled: "client",
  /** The client whose request carried the job has gone. */
  client_lost: "client",
  /** R2 failed to store or return a payload. */
  storage_unavailable: "waybill",
  /** The endpoint's database is so full that the job's stream found no room. */
  endpoint_full: "waybill",
  /** The carrier was lost with a restart of this deployment. */
  carrier_restarted: "waybill",
  internal: "waybill",
} as const satisfies Readonly<Record<string, FailureSource>>;

export type FailureCode = keyof typeof SOURCES;

/** Every code, for lists of what a filter may ask for. */
export const FAILURE_CODES = Object.keys(SOURCES) as readonly FailureCode[];

export interface JobFailure {
  readonly code: FailureCode;
  readonly message: string;
  readonly source: FailureSource;
  /** `upstream_status` only. */
  readonly status?: number;
}

/** A failure with its source; a long message is shortened. */
export function failed(code: FailureCode, message: string): JobFailure {
  return { code, message: boundErrorText(message), source: SOURCES[code] };
}

const UPSTREAM_ANSWERED = "the upstream answered";
/** What stands before the answer in the text for RunPod's clients. */
const ANSWERED_BYTES = `${UPSTREAM_ANSWERED} 500: `.length;

/** The failure for an upstream's error status, with the text of its answer. */
export function failedWithStatus(status: number, message: string): JobFailure {
  const bounded = boundErrorText(message, ERROR_TEXT_MAX_BYTES - ANSWERED_BYTES);
  return { ...failed("upstream_status", bounded), status };
}

/** RunPod's own text (docs/wire.md 1.4). */
const EXECUTION_TIMEOUT_TEXT = "executionTimeout exceeded";

export const EXECUTION_TIMEOUT = failed("execution_timeout", EXECUTION_TIMEOUT_TEXT);

/** RunPod's text for a lost worker. Older releases also stored that of a hosted upstream, with another count. */
const LOST_TEXT = /^job timed out after \d+ retries$/;

/** The `error` that RunPod's clients read. `retries`: how many failed attempts came before this one. */
export function runpodText(failure: JobFailure, retries: number): string {
  const { code, message, status } = failure;
  if (code === "worker_lost") return LOST_TEXT.test(message) ? message : `job timed out after ${retries} retries`;
  if (code !== "upstream_status") return message;
  return `${UPSTREAM_ANSWERED} ${status}${message === "" ? "" : `: ${message}`}`;
}

/** The failure for a text that an earlier release stored without a code. Clients go on reading the same text. */
export function failureOfText(text: string): JobFailure {
  if (text === EXECUTION_TIMEOUT_TEXT) return EXECUTION_TIMEOUT;
  if (LOST_TEXT.test(text)) return failed("worker_lost", text);
  return failed("handler_error", text);
}
