// Errors of the OpenAI routes in OpenAI's form, `{"error": {message, type, param, code}}`, with the true status.
import type { JobView } from "../../contract/job-view.ts";
import { openAiRefusalOf } from "../../contract/openai-refusal.ts";
import type { Failure, Result } from "../../core/failure.ts";
import {
  CONNECTION_LOST,
  endWithoutResult,
  errorInAnswer,
  JOB_GONE,
  type OpenAiError,
} from "../../core/job/openai-error.ts";
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

/** Why an answer ends of which the client has had a part, by what the broker answers about its job. */
export function errorInBegun(state: Result<JobView>): OpenAiError {
  if (state.ok) return errorInAnswer(state.value);
  return state.failure.kind === "not_found" ? JOB_GONE : CONNECTION_LOST;
}

export function errorAnswer(
  c: RouteContext,
  { status, error }: OpenAiError,
  jobId: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return jsonAnswer(status, { error }, c.get("requestId"), { "x-job-id": jobId, ...headers });
}
