// Errors of the OpenAI routes in OpenAI's form, `{"error": {message, type, param, code}}`, with the true status.
import type { JobView } from "../../contract/job-view.ts";
import { openAiRefusalOf } from "../../contract/openai-refusal.ts";
import type { Failure, Result } from "../../core/failure.ts";
import { endWithoutResult, errorInAnswer, JOB_GONE, type OpenAiError } from "../../core/job/openai-error.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";

/** The answer to an expected failure of this request. */
export function refuseOpenAi(c: RouteContext, failure: Failure): Response {
  const { status, error, headers } = openAiRefusalOf(failure);
  return jsonAnswer(status, { error }, c.get("requestId"), headers);
}

/** The answer for a job that is over and has no result for its client. */
export function jobFailed(c: RouteContext, job: JobView): Response {
  const { error, headers } = endWithoutResult(job);
  return errorAnswer(c, error, job.id, headers);
}

/** The same as `errorInAnswer`, by the broker's answer to a question about the job. */
export function errorInBegun(state: Result<JobView>): OpenAiError {
  if (state.ok) return errorInAnswer(state.value);
  return state.failure.kind === "not_found" ? JOB_GONE : openAiRefusalOf(state.failure);
}

export function errorAnswer(
  c: RouteContext,
  { status, error }: OpenAiError,
  jobId: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return jsonAnswer(status, { error }, c.get("requestId"), { "x-job-id": jobId, ...headers });
}
