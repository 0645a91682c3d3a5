// The origin of a job that came through an OpenAI route, and the call that stands in it.
import type { Origin } from "../core/job/origin.ts";
import type { OpenAiRequest } from "../core/openai/request.ts";

const DIALECT = "openai";

export function openAiOrigin(call: OpenAiRequest): Origin {
  return { dialect: DIALECT, call, endsWithClient: true, countsTokens: true };
}

/** The call of such a job; null: it came in by another API. */
export function openAiCallOf(origin: Origin | null): OpenAiRequest | null {
  // Only openAiOrigin makes an origin of this dialect.
  return origin?.dialect === DIALECT ? (origin.call as OpenAiRequest) : null;
}
