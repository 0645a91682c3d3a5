// The answers to failures on the job routes.
import { wireOf } from "../../contract/wire-failure.ts";
import type { Failure } from "../../core/failure.ts";
import { jsonAnswer } from "./answer.ts";

/** The answer to a request that failed in an expected way. */
export function failureAnswer(failure: Failure, requestId: string): Response {
  const { status, error, message, more, errors, headers } = wireOf(failure);
  return jsonAnswer(status, { error, message, ...more, errors }, requestId, headers);
}

/** The answer to a bug of ours: it does not contain the cause, which is in the log under the same request id. */
export function crashAnswer(requestId: string): Response {
  return jsonAnswer(500, { error: "internal error", message: `see the log of request ${requestId}` }, requestId);
}
