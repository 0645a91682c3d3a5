// An expected failure in OpenAI's form, `{"error": {message, type, param, code}}`, with the status of the job routes.
import type { Failure } from "../core/failure.ts";
import { type OpenAiError, typeOfStatus } from "../core/job/openai-error.ts";
import { wireOf } from "./wire-failure.ts";

interface OpenAiRefusal extends OpenAiError {
  readonly headers: Readonly<Record<string, string>>;
}

export function openAiRefusalOf(failure: Failure): OpenAiRefusal {
  const { status, error: text, message, more, headers = {} } = wireOf(failure);
  const code = CODES[status] ?? slug(more?.field ?? text);
  return { status, error: { message, type: typeOfStatus(status), param: more?.field ?? null, code }, headers };
}

/** OpenAI's own codes, which its clients check. */
const CODES: Readonly<Record<number, string>> = { 401: "invalid_api_key", 429: "rate_limit_exceeded" };

/** For example `unsupported media type` → `unsupported_media_type`. */
function slug(text: string): string {
  return text.replace(/:.*$/, "").replace(/[^a-z0-9]+/gi, "_");
}
