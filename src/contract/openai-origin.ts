// The origin of a job that came through an OpenAI route, and the call that it contains.
import type { Origin } from "../core/job/origin.ts";
import type { OpenAiRequest } from "../core/openai/request.ts";
import type { JobWork } from "./job-request.ts";

const DIALECT = "openai";

export function openAiOrigin(call: OpenAiRequest): Origin {
  return { dialect: DIALECT, call, endsWithClient: true, countsTokens: true };
}

/**
 * How a job came in. The release before sends the call alone, in `request`, and takes a job without that member for one
 * that has a call. While a release is deployed, its edges and brokers and those of the release before call each other.
 */
export function originOf({ origin, request }: Partial<Pick<JobWork, "origin" | "request">>): Origin | null {
  return origin ?? (request == null ? null : openAiOrigin(request));
}

/** The call of a job that came through an OpenAI route; null: the job came in by another API. */
export function openAiCallOf(origin: Origin | null): OpenAiRequest | null {
  // Only openAiOrigin makes an origin of this dialect.
  return origin?.dialect === DIALECT ? (origin.call as OpenAiRequest) : null;
}
