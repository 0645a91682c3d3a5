// Errors of the OpenAI routes in OpenAI's form, `{"error": {message, type, param, code}}`, with the true status.
import type { JobView } from "../../contract/job-view.ts";
import type { Failure } from "../../core/failure.ts";
import type { FailureCode } from "../../core/job/failure.ts";
import { openAiErrorOf } from "../../core/openai/error.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import { wireOf } from "../kit/failures.ts";

/** The answer to an expected failure of this request. */
export function refuseOpenAi(c: RouteContext, failure: Failure): Response {
  const { status, error: text, message, more, headers } = wireOf(failure);
  const code = CODES[status] ?? slug(more?.field ?? text);
  const error = { message, type: typeOf(status), param: more?.field ?? null, code };
  return jsonAnswer(status, { error }, c.get("requestId"), headers);
}

/** The answer for a job that is over and has no result for its client. */
export function jobFailed(c: RouteContext, job: JobView): Response {
  if (job.status === "CANCELLED") {
    // OpenAI's clients repeat a request after 409 unless this header forbids it: the job would then run after all.
    return errorAnswer(c, toError(409, "the job was cancelled", "cancelled"), job.id, { "x-should-retry": "false" });
  }
  return errorAnswer(c, job.status === "TIMED_OUT" ? TTL_PASSED : errorOfJob(job), job.id);
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
export function errorOfJob({ failure, error, status }: Pick<JobView, "failure" | "error" | "status">): OpenAiError {
  const text = error ?? `the job is ${status}`;
  const shape = failure == null ? "read" : BY_CODE[failure.code];
  if (shape !== "read") return toError(shape[0], text, shape[1]);
  // The target of a redirect is only for the server's own callers and is of no use to the client.
  const isRedirect = failure?.status !== undefined && failure.status < 400;
  return isRedirect ? toError(502, text, "bad_answer") : openAiErrorOf(text);
}

export type OpenAiError = ReturnType<typeof openAiErrorOf>;

export function errorAnswer(
  c: RouteContext,
  { status, error }: OpenAiError,
  jobId: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return jsonAnswer(status, { error }, c.get("requestId"), { "x-job-id": jobId, ...headers });
}

export function toError(status: number, message: string, code: string | null): OpenAiError {
  return { status, error: { message, type: typeOf(status), param: null, code } };
}

export const TTL_PASSED = toError(504, "the job's ttl passed before it was done", "timed_out");

/** OpenAI's own codes, which its clients check. */
const CODES: Readonly<Record<number, string>> = { 401: "invalid_api_key", 429: "rate_limit_exceeded" };

function typeOf(status: number): string {
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

/** For example `unsupported media type` → `unsupported_media_type`. */
function slug(text: string): string {
  return text.replace(/:.*$/, "").replace(/[^a-z0-9]+/gi, "_");
}
