// What an answer or a failure of an upstream means for the attempt: each row asks whether the worker may have begun.
import type { Outcome } from "../contract/dispatch.ts";
import { type FailureCode, failed, failedWithStatus, type JobFailure } from "../core/job/failure.ts";
import { fieldsOf, parseJson } from "../core/json/value.ts";
import { ERROR_FIELD_KEPT_CHARS, RESULT_MAX_BYTES } from "../core/limits.ts";
import type { CallResult } from "../outbound/call.ts";
import { NOT_REACHED } from "../outbound/proxy-status.ts";
import { parseRetryAfter } from "../outbound/retry-after.ts";
import type { ReadFailure } from "../payload/envelope.ts";

export type Answer = Extract<CallResult, { kind: "response" }>;
export type Broken = Exclude<CallResult, { kind: "response" } | { kind: "aborted" }>;

/**
 * A status that may come from what a tenant put into the call or from what the operator has set: only a probe can
 * distinguish these (suspicion.ts). `failure`: what the job fails with if the tenant caused the status.
 */
export interface Suspicion {
  readonly kind: "suspected";
  readonly status: number;
  readonly failure: JobFailure;
}

/** The longest escape in a JSON string: `\\uXXXX`. */
const ESCAPE_MAX_CHARS = 6;

const SUSPICIOUS = new Set([401, 403, 404, 405]);
const REJECTED = new Set([400, 413, 415, 422]);

/** The meaning of a submit that got no answer. */
export function classifyBroken(result: Broken, executionOver: boolean): Outcome | Suspicion {
  switch (result.kind) {
    case "not_made":
      // No call was made, so nothing is learned about the upstream, and another try would be refused in the same way.
      return rejected("invalid_request", `the request cannot be sent: ${result.detail}`);
    case "url_refused":
      return { kind: "upstream_unhealthy", detail: `The URL of the upstream ${result.message}.` };
    case "not_sent":
      return {
        kind: "upstream_paused",
        detail: `The upstream could not be reached: ${result.detail}.`,
        retryAfterMs: null,
      };
    case "cut":
      return late("bad_answer", `the upstream broke off: ${result.detail}`, executionOver);
    case "reset":
      return attemptFailed("bad_answer", `the upstream ${result.detail}`);
    case "timeout":
      return late("upstream_timeout", "the upstream did not answer in time", executionOver);
    case "redirect":
      return suspected(result.status, "redirects are not followed");
    case "protocol":
      return attemptFailed("bad_answer", `the upstream broke HTTP: ${result.detail}`);
  }
}

/** The meaning of the status of a submit; null for 2xx. Reads the body only for the message of a rejection. */
export async function classifyStatus(answer: Answer, nowMs: number): Promise<Outcome | Suspicion | null> {
  const { status } = answer;
  if (status < 300) return null;
  const retryAfter = answer.headers.get("retry-after");
  if (status === 429 || (status === 503 && retryAfter !== null) || NOT_REACHED.has(status)) {
    const meaning = NOT_REACHED.get(status);
    const detail = `The upstream answered ${status}${meaning === undefined ? "" : ` (a proxy's status: ${meaning})`}.`;
    return { kind: "upstream_paused", detail, retryAfterMs: parseRetryAfter(retryAfter, nowMs) };
  }
  if (SUSPICIOUS.has(status)) return suspected(status, await readMessage(answer.body));
  if (REJECTED.has(status)) {
    return { kind: "rejected", failure: failedWithStatus(status, await readMessage(answer.body)) };
  }
  return { kind: "attempt_failed", failure: failedWithStatus(status, "") };
}

/**
 * The same for an OpenAI server. Its 403, 404 or 405 concerns the model or the path that the client named. Servers
 * without a list of models to probe answer these too, so only 401, a credential that it does not accept, is suspicious.
 * Its own error text is passed on, because OpenAI clients know its form (core/openai/error.ts reads it).
 */
export async function classifyOpenAiStatus(answer: Answer, nowMs: number): Promise<Outcome | Suspicion | null> {
  const { status } = answer;
  const isOurs = status < 300 || NOT_REACHED.has(status);
  if (isOurs || status === 429 || (status === 503 && answer.headers.has("retry-after"))) {
    return await classifyStatus(answer, nowMs);
  }
  const answerText = (await readPrefix(answer.body)).trim();
  if (status === 401) return suspected(status, answerText);
  const failure = failedWithStatus(status, answerText);
  const mayPass = status >= 500 || status === 408 || status === 425;
  return { kind: mayPass ? "attempt_failed" : "rejected", failure };
}

/** The meaning of a 2xx answer whose body could not be taken; null: the call was dropped while its body was read. */
export function classifyRead(failure: ReadFailure, answer: Answer, executionOver: boolean): Outcome | null {
  if (answer.body.broken === "aborted") return null;
  switch (failure.kind) {
    case "too_large":
      return rejected("answer_too_large", `the result is larger than ${RESULT_MAX_BYTES / 1024 / 1024} MiB`);
    case "storage_failed":
      return storageFailed(`the result could not be stored in R2: ${failure.message}`);
    case "fields_too_large":
      return attemptFailed("bad_answer", "the upstream's answer has too much beside its output");
    case "read_failed":
      return answer.body.broken === "timeout"
        ? late("upstream_timeout", "the upstream's answer stalled", executionOver)
        : attemptFailed("bad_answer", "the upstream's answer was cut short");
    case "bad_json":
    case "not_object":
      return attemptFailed("bad_answer", `the upstream's answer is not valid: ${failure.message}`);
  }
}

function suspected(status: number, answerText: string): Suspicion {
  return { kind: "suspected", failure: failedWithStatus(status, answerText), status };
}

/** A failure after which the worker may have begun, so that the attempt counts. */
export function attemptFailed(code: FailureCode, message: string): Outcome {
  return { kind: "attempt_failed", failure: failed(code, message) };
}

/** The same for a failure that may be no more than the end of the execution timeout. */
function late(code: FailureCode, message: string, executionOver: boolean): Outcome {
  return executionOver ? { kind: "timed_out" } : attemptFailed(code, message);
}

/** A failure that ends the job, because another try would end in the same way. */
export function rejected(code: FailureCode, message: string): Outcome {
  return { kind: "rejected", failure: failed(code, message) };
}

/** R2 did not store or return a payload. */
export function storageFailed(message: string): Outcome {
  return { kind: "storage_failed", failure: failed("storage_unavailable", message) };
}

/** The text of an error that is given as raw JSON: a string as it is, everything else as JSON. */
export function errorText(raw = "null"): string {
  const value = parseJson(raw);
  if (typeof value === "string") return value;
  if (value === null) return "the handler failed without a message";
  return value === undefined && raw.startsWith('"') ? textOfCutString(raw) : raw;
}

/** The part of a JSON string that is left after it was cut for its length. The cut may be within an escape. */
export function textOfCutString(raw: string): string {
  for (let dropped = 0; dropped < ESCAPE_MAX_CHARS; dropped += 1) {
    const value = parseJson(`${raw.slice(0, raw.length - dropped)}"`);
    if (typeof value === "string") return value;
  }
  return raw;
}

async function readMessage(body: AsyncIterable<Uint8Array>): Promise<string> {
  const text = await readPrefix(body);
  const value = parseJson(text);
  if (typeof value === "string") return value;
  const found = Object.entries(fieldsOf(value) ?? {}).find(
    ([name, entry]) => /^(error|message|detail)$/.test(name) && typeof entry === "string",
  );
  return found === undefined ? text.trim() : String(found[1]);
}

/** The beginning of an answer, of which an error keeps less. */
async function readPrefix(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  try {
    for await (const chunk of body) {
      const wanted = chunk.subarray(0, ERROR_FIELD_KEPT_CHARS - bytes);
      bytes += wanted.length;
      text += decoder.decode(wanted, { stream: true });
      if (bytes >= ERROR_FIELD_KEPT_CHARS) break;
    }
  } catch {
    // A message that was cut short is still better than none.
  }
  return text;
}
