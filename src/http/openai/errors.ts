// Errors of the OpenAI routes as OpenAI's clients read them: `{"error": {message, type, param, code}}` under the true status.
import type { JobView } from "../../contract/job-view.ts";
import type { Failure } from "../../core/failure.ts";
import { openAiErrorOf } from "../../core/openai/error.ts";
import { isClosedRoute } from "../../core/openai/routes.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import { wireOf } from "../kit/failures.ts";

/** The answer to an expected failure of this request. */
export function refuseOpenAi(c: RouteContext, failure: Failure): Response {
  const { status, error: code, message, more, headers } = wireOf(failure);
  const error = { message, type: typeOf(status), param: more?.field ?? null, code: CODES[status] ?? slug(code) };
  return jsonAnswer(status, { error }, c.get("requestId"), headers);
}

/** The answer of a job that is over without a result for its client. */
export function jobFailed(c: RouteContext, job: JobView): Response {
  switch (job.status) {
    case "CANCELLED":
      // OpenAI's clients repeat a request after 409, unless they are told not to: the job would run after all.
      return errorAnswer(c, toError(409, "the job was cancelled", "cancelled"), job.id, { "x-should-retry": "false" });
    case "TIMED_OUT":
      return errorAnswer(c, TTL_PASSED, job.id);
    default:
      return errorAnswer(c, errorOfText(job.error ?? ""), job.id);
  }
}

/**
 * The error of a failed job. What an upstream did to us, and not to its client, is 502 or 504; texts that a worker wrote are
 * read by core/openai/error.ts.
 */
export function errorOfText(text: string): OpenAiError {
  if (/^the upstream(?:'s answer)? (?:did not answer in time|stalled)$/.test(text))
    return toError(504, text, "timeout");
  // A place that only the server knows is none for its client.
  if (/^the upstream answered 3\d\d\b/.test(text)) return toError(502, text, "bad_answer");
  if (/^the upstream(?!\w| answered \d)/.test(text)) return toError(502, text, "bad_answer");
  if (/^(?:the result|a streamed chunk) is larger than /.test(text)) return toError(502, text, "answer_too_large");
  if (/^the (?:input|result) could not be \w+ .*R2/.test(text)) return toError(503, text, "unavailable");
  if (isClosedRoute(text)) return toError(403, text, "route_not_allowed");
  return openAiErrorOf(text);
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

export function toError(status: number, message: string, code: string): OpenAiError {
  return { status, error: { message, type: typeOf(status), param: null, code } };
}

export const TTL_PASSED = toError(504, "the job's ttl passed before it was done", "timed_out");

/** OpenAI's own codes, which its clients look for. */
const CODES: Readonly<Record<number, string>> = { 401: "invalid_api_key", 429: "rate_limit_exceeded" };

function typeOf(status: number): string {
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

/** `unsupported media type` → `unsupported_media_type`. */
function slug(text: string): string {
  return text.replace(/:.*$/, "").replace(/[^a-z0-9]+/gi, "_");
}
