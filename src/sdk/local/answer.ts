// A call of a local endpoint, and its answer.
import { openAiRefusalOf } from "../../contract/openai-refusal.ts";
import { wireOf } from "../../contract/wire-failure.ts";
import type { Failure } from "../../core/failure.ts";
import type { OpenAiError } from "../../core/job/openai-error.ts";

export interface LocalCall {
  readonly method: string;
  /** Without what names the endpoint: `/run`, `/openai/v1/models`. */
  readonly path: string;
  /** What stands before that: `/v2/name`, or nothing. */
  readonly base: string;
  readonly url: URL;
  readonly headers: Headers;
  /** Reads the body; null: it has more bytes than this. */
  readonly readBody: (maxBytes: number) => Promise<Uint8Array | null>;
  /** Fires when the client goes before it has its answer. */
  readonly gone: AbortSignal;
}

type Piece = string | Uint8Array;

export interface LocalAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Piece | AsyncIterable<Piece> | null;
}

export const NO_ROUTE: Failure = { kind: "not_found", what: "route" };
export const NO_JOB: Failure = { kind: "not_found", what: "job" };

export const EVENTS = { "content-type": "text/event-stream; charset=utf-8" } as const;

export function rawAnswer(
  status: number,
  body: LocalAnswer["body"],
  headers: Readonly<Record<string, string>> = {},
): LocalAnswer {
  return { status, body, headers: { "content-type": "application/json; charset=utf-8", ...headers } };
}

export function jsonAnswer(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): LocalAnswer {
  return rawAnswer(status, JSON.stringify(value), headers);
}

export function refuse(failure: Failure): LocalAnswer {
  const { status, error, message, more, errors, headers } = wireOf(failure);
  return jsonAnswer(status, { error, message, ...more, errors }, headers);
}

export function refuseOpenAi(failure: Failure): LocalAnswer {
  const { status, error, headers } = openAiRefusalOf(failure);
  return jsonAnswer(status, { error }, headers);
}

export function openAiErrorAnswer(
  { status, error }: OpenAiError,
  jobId: string,
  headers: Readonly<Record<string, string>> = {},
): LocalAnswer {
  return jsonAnswer(status, { error }, { "x-job-id": jobId, ...headers });
}
