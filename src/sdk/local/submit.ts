// A submit by RunPod's API: its headers and body are judged as the edge judges them, and a wrong input is refused before it is a job.

import { utf8Length } from "../../core/bytes/utf8.ts";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import type { JobMode } from "../../core/job/job.ts";
import { FIELDS_RULE, readJobRequest } from "../../core/job/request-fields.ts";
import { checkSubmitHeaders, readIdempotencyKey } from "../../core/job/submit-headers.ts";
import {
  ENVELOPE_FIELDS_MAX_BYTES,
  EXECUTION_TIMEOUT_DEFAULT_MS,
  RUN_BODY_MAX_BYTES,
  RUNSYNC_BODY_MAX_BYTES,
  TTL_DEFAULT_MS,
} from "../../core/limits.ts";
import type { LocalCall } from "./answer.ts";
import { type RawFields, readFields } from "./body.ts";
import type { SchemaCheck } from "./input-schema.ts";
import type { LocalWork } from "./job.ts";

export interface Submit {
  readonly work: LocalWork;
  readonly body: Uint8Array;
  /** Null: it has none. */
  readonly idempotencyKey: string | null;
}

export async function readSubmit(call: LocalCall, mode: JobMode, check: SchemaCheck): Promise<Result<Submit>> {
  const maxBytes = mode === "run" ? RUN_BODY_MAX_BYTES : RUNSYNC_BODY_MAX_BYTES;
  const headers = checkSubmitHeaders(call.headers, maxBytes);
  if (!headers.ok) return headers;
  const idempotencyKey = readIdempotencyKey(call.headers);
  if (!idempotencyKey.ok) return idempotencyKey;
  const body = await call.readBody(maxBytes);
  if (body === null) return fail({ kind: "too_large", maxBytes });
  const read = readFields(body);
  if (!read.ok) return read;
  const { input, others } = split(read.value);
  const known = readJobRequest(others);
  if (!known.ok) return known;
  const problem = input === null ? INPUT_MISSING : check(input);
  if (problem !== null) return fail(problem);
  if (isTooMuch(others)) return fail({ kind: "invalid", field: "body", message: FIELDS_RULE });
  const {
    executionTimeout = EXECUTION_TIMEOUT_DEFAULT_MS,
    ttl = TTL_DEFAULT_MS,
    lowPriority = false,
  } = known.value?.policy ?? {};
  const work: LocalWork = {
    mode,
    input: JSON.parse(input ?? "null"),
    fields: Object.fromEntries(Object.entries(others).map(([name, text]) => [name, JSON.parse(text)])),
    executionTimeoutMs: executionTimeout,
    ttlMs: ttl,
    lowPriority,
    request: null,
  };
  return ok({ work, body, idempotencyKey: idempotencyKey.value });
}

const INPUT_MISSING: Failure = { kind: "invalid", field: "input", message: "is required" };

function split(fields: RawFields): { readonly input: string | null; readonly others: Record<string, string> } {
  const others = Object.fromEntries([...fields].filter(([name]) => name !== "input"));
  return { input: fields.get("input") ?? null, others };
}

function isTooMuch(others: Readonly<Record<string, string>>): boolean {
  const bytes = Object.entries(others).reduce((sum, [name, text]) => sum + utf8Length(name) + utf8Length(text), 0);
  return bytes > ENVELOPE_FIELDS_MAX_BYTES;
}
