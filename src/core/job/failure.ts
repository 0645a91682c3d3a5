// Why a job, or one attempt at it, failed: a code that is decided where it happens, and words. What RunPod's clients read is made
// of it at the end, and nobody else parses it back.
import { ERROR_TEXT_MAX_CHARS } from "../limits.ts";

/** Who is to look at it: whoever runs the handler or the server behind it, whoever sent the job, or this deployment. */
type FailureSource = "worker" | "client" | "waybill";

/** Every code, and whose failure it is. The words of `worker` codes may be the worker's own, in any form. */
const SOURCES = {
  /** The handler reported an error; the message is what it said. */
  handler_error: "worker",
  /** The worker could not start; the message is what RunPod's SDK reports of it, JSON. */
  start_failed: "worker",
  /** An upstream answered with an error status; the message is what it said, and may be empty. */
  upstream_status: "worker",
  /** It did not answer in time, or its answer stalled. */
  upstream_timeout: "worker",
  /** It broke off, or its answer or report cannot be used. */
  bad_answer: "worker",
  /** It has lost or ended the job, or does not tell of it any more. */
  upstream_lost: "worker",
  /** A result, or a chunk or event of a stream, is larger than what is kept. */
  answer_too_large: "worker",
  /** Nothing came from the worker until its lease ended. */
  worker_lost: "worker",
  /** The upstream cannot have begun, and pauses. */
  upstream_paused: "worker",
  /** The upstream is misconfigured. */
  upstream_unhealthy: "worker",
  /** A pulling worker seems never to have had the job. */
  not_delivered: "worker",
  /** The job asks for something that its upstream does not take. */
  invalid_request: "client",
  /** A route of an OpenAI server that the endpoint does not let through. */
  route_closed: "client",
  /** The job ran as long as it may. */
  execution_timeout: "client",
  ttl_passed: "client",
  cancelled: "client",
  /** The client whose request carried the job has gone. */
  client_lost: "client",
  /** R2 did not take or give a payload. */
  storage_unavailable: "waybill",
  /** The endpoint keeps so much that the job's stream found no room. */
  endpoint_full: "waybill",
  /** The carrier was lost with a restart of this deployment. */
  carrier_restarted: "waybill",
  internal: "waybill",
} as const satisfies Readonly<Record<string, FailureSource>>;

export type FailureCode = keyof typeof SOURCES;

export interface JobFailure {
  readonly code: FailureCode;
  readonly message: string;
  readonly source: FailureSource;
  /** `upstream_status` only. */
  readonly status?: number;
}

/** A failure with its source; a long message is cut. */
export function failed(code: FailureCode, message: string): JobFailure {
  return { code, message: message.slice(0, ERROR_TEXT_MAX_CHARS), source: SOURCES[code] };
}

/** An upstream's error status, and what it said with it. */
export function failedWithStatus(status: number, message: string): JobFailure {
  return { ...failed("upstream_status", message), status };
}

/** RunPod's own text (docs/wire.md 1.4). */
const EXECUTION_TIMEOUT_TEXT = "executionTimeout exceeded";

export const EXECUTION_TIMEOUT = failed("execution_timeout", EXECUTION_TIMEOUT_TEXT);

/** The text of a lost worker, as an earlier release kept it: its own, or that of a hosted upstream with another count. */
const LOST_TEXT = /^job timed out after \d+ retries$/;

/** The `error` that RunPod's clients read. `counted`: attempts that failed so far, this one among them. */
export function runpodText(failure: JobFailure, counted: number): string {
  const { code, message, status } = failure;
  if (code === "worker_lost") return LOST_TEXT.test(message) ? message : `job timed out after ${counted - 1} retries`;
  if (code !== "upstream_status") return message;
  return `the upstream answered ${status}${message === "" ? "" : `: ${message}`}`.slice(0, ERROR_TEXT_MAX_CHARS);
}

/** The failure behind a text that an earlier release wrote, which kept no code. The text that clients read stays the same. */
export function failureOfText(text: string): JobFailure {
  if (text === EXECUTION_TIMEOUT_TEXT) return EXECUTION_TIMEOUT;
  if (LOST_TEXT.test(text)) return failed("worker_lost", text);
  return failed("handler_error", text);
}
