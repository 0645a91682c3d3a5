// The error of an OpenAI client whose job has ended without a result: OpenAI's form, with a true status.
import { openAiErrorOf } from "../openai/error.ts";
import type { FailureCode, JobFailure } from "./failure.ts";
import { hasResult, isTerminal, type JobStatus } from "./job.ts";

export type OpenAiError = ReturnType<typeof openAiErrorOf>;

interface EndedJob {
  readonly status: JobStatus;
  /** The failure as the text that RunPod's clients read. */
  readonly error: string | null;
  readonly failure: JobFailure | null;
}

/** The error of a job that is over and has no result, and the headers of its answer. */
export function endWithoutResult(job: EndedJob): {
  readonly error: OpenAiError;
  readonly headers: Readonly<Record<string, string>>;
} {
  if (job.status === "CANCELLED") {
    // OpenAI's clients repeat a request after 409 unless this header forbids it: the job would then run after all.
    return { error: toError(409, "the job was cancelled", "cancelled"), headers: { "x-should-retry": "false" } };
  }
  return { error: job.status === "TIMED_OUT" ? TTL_PASSED : errorOfJob(job), headers: {} };
}

/** The error of each failure for an OpenAI client; `read`: its message is in another form (core/openai/error.ts). */
const BY_CODE: Readonly<Record<FailureCode, readonly [status: number, code: string | null] | "read">> = {
  handler_error: "read",
  start_failed: "read",
  upstream_status: "read",
  upstream_timeout: [504, "timeout"],
  bad_answer: [502, "bad_answer"],
  upstream_lost: [502, "bad_answer"],
  answer_too_large: [502, "answer_too_large"],
  worker_lost: [502, null],
  upstream_paused: [503, "unavailable"],
  upstream_unhealthy: [502, "upstream_unhealthy"],
  not_delivered: [503, "unavailable"],
  invalid_request: [400, "invalid_request"],
  route_closed: [403, "route_not_allowed"],
  execution_timeout: [504, null],
  ttl_passed: [504, "timed_out"],
  cancelled: [409, "cancelled"],
  client_lost: [500, null],
  storage_unavailable: [503, "unavailable"],
  endpoint_full: [500, "endpoint_full"],
  carrier_restarted: [500, null],
  internal: [500, null],
};

/** The error of a failed job, by the code of its failure. */
function errorOfJob({ failure, error, status }: EndedJob): OpenAiError {
  const text = error ?? `the job is ${status}`;
  const shape = failure == null ? "read" : BY_CODE[failure.code];
  if (shape !== "read") return toError(shape[0], text, shape[1]);
  // The target of a redirect is only for the server's own callers and is of no use to the client.
  const isRedirect = failure?.status !== undefined && failure.status < 400;
  return isRedirect ? toError(502, text, "bad_answer") : openAiErrorOf(text);
}

export function toError(status: number, message: string, code: string | null): OpenAiError {
  return { status, error: { message, type: typeOfStatus(status), param: null, code } };
}

export const TTL_PASSED: OpenAiError = toError(504, "the job's ttl passed before it was done", "timed_out");

export function typeOfStatus(status: number): string {
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

/** What the client of an answer that began reads at its time limit, whether its carrier or the broker ends the job. */
export const ANSWER_TOOK_TOO_LONG = "the answer took longer than the endpoint lets it";

/** The job is not over, or another attempt has its result: that answer cannot follow the part that the client has had. */
export const ATTEMPT_LOST: OpenAiError = toError(502, "the worker was lost in the middle of its answer", "broke_off");

/** The client's own request, which carries the job, and the broker do not reach each other. */
const CONNECTION_LOST: OpenAiError = toError(
  502,
  "the endpoint lost the request in the middle of its answer",
  "broke_off",
);

/** A job of the OpenAI routes is kept for a moment after its end, and not at all once its ttl has passed. */
export const JOB_GONE: OpenAiError = toError(
  504,
  "the job is gone before its answer was whole: its ttl has passed, or it ended a while ago",
  "broke_off",
);

/** Why an answer ends of which the client has had a part. Its status went out long ago, so every such error has a code. */
export function errorInAnswer(job: EndedJob): OpenAiError {
  if (!isTerminal(job.status) || hasResult(job.status)) return ATTEMPT_LOST;
  if (job.status === "TIMED_OUT") return JOB_GONE;
  switch (job.failure?.code) {
    case "execution_timeout":
      return toError(504, ANSWER_TOOK_TOO_LONG, "broke_off");
    case "client_lost":
      return CONNECTION_LOST;
    default: {
      const { status, error } = endWithoutResult(job).error;
      const { message, code } = error;
      return { status, error: { message, type: "server_error", param: null, code: code ?? "server_error" } };
    }
  }
}
