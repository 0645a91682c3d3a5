// The body of a submit: the input is cut out as bytes while it streams by, and the few known fields are checked.
import type { SubmitCall } from "../../contract/broker.ts";
import type { EndpointSettings } from "../../contract/settings.ts";
import type { Reach } from "../../core/access/reach.ts";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import { FIELDS_RULE, type JobRequest, readJobRequest } from "../../core/job/request-fields.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { ENVELOPE_FIELDS_MAX_BYTES, HELD_CALL_MAX_MS, PAYLOAD_ROW_MAX_BYTES } from "../../core/limits.ts";
import { CHECKED_INPUT_MAX_BYTES } from "../../core/schema/limits.ts";
import { checkUrl } from "../../outbound/guard.ts";
import { type BodySource, type ReadFailure, readEnvelope, type ValueOptions } from "../../payload/envelope.ts";
import { storeBytes } from "../../payload/store.ts";
import { bodyFailure } from "../kit/body-failures.ts";
import { dropInput } from "../kit/submit-job.ts";
import { checkJobInput } from "./input-check.ts";

/** A checked request. `input` may be in R2 already: a caller that does not use it must delete it. */
export interface SubmitBody extends Pick<SubmitCall, "input" | "fields" | "policy"> {
  readonly webhook: string | null;
  readonly sha256Hex: string | null;
  /** The endpoint's schema refuses the input, which is in memory alone; told only where there is a fingerprint. */
  readonly refusal?: Failure;
}

export interface SubmitBodyOptions extends ValueOptions {
  /** Asks for the fingerprint of the raw bytes, which an Idempotency-Key needs. */
  readonly hash: boolean;
  readonly settings: EndpointSettings;
  /** A browser's token submits it: a visitor chooses less than a tenant does. */
  readonly isByToken: boolean;
  /** The JSON Schema of the input, as text; null: any input is taken. */
  readonly inputSchema: string | null;
  readonly reach: Reach;
}

/** Reads and checks a body. After a refusal nothing is left in R2. */
export async function readSubmitBody(stream: BodySource, options: SubmitBodyOptions): Promise<Result<SubmitBody>> {
  const fieldsMaxBytes = ENVELOPE_FIELDS_MAX_BYTES;
  const bounds = options.inputSchema === null ? {} : CHECKED;
  const envelope = await readEnvelope(stream, { ...options, ...bounds, bigField: "input", fieldsMaxBytes });
  if (envelope.kind !== "ok") return fail(refusalOf(envelope, options));
  const { big: input, fields } = envelope;
  const checked = checkFields(fields, options);
  if (checked.ok && input !== null) {
    const { sha256Hex = null } = envelope;
    const refusal = refusalBySchema(input, options);
    if (refusal !== null) {
      return sha256Hex === null ? fail(refusal) : ok({ input, fields, ...checked.value, sha256Hex, refusal });
    }
    const stored = await storeChecked(input, options);
    return stored.ok ? ok({ input: stored.value, fields, ...checked.value, sha256Hex }) : stored;
  }
  if (input !== null) await dropInput(input, options.bucket);
  return checked.ok ? fail({ kind: "invalid", field: "input", message: "is required" }) : checked;
}

/** An input that is to be checked is bounded, and stays in memory until it is: what is refused costs nothing. */
const CHECKED = { bigMaxBytes: CHECKED_INPUT_MAX_BYTES, inlineMaxBytes: CHECKED_INPUT_MAX_BYTES };

function refusalOf(refusal: ReadFailure, { maxBytes, inputSchema }: SubmitBodyOptions): Failure {
  const isOfInput =
    inputSchema !== null && refusal.kind === "too_large" && refusal.maxBytes === CHECKED_INPUT_MAX_BYTES;
  if (isOfInput) return { kind: "too_large", maxBytes: CHECKED_INPUT_MAX_BYTES, part: "input" };
  return bodyFailure(refusal, maxBytes, FIELDS_RULE);
}

function refusalBySchema(input: PayloadRef, { inputSchema }: SubmitBodyOptions): Failure | null {
  if (inputSchema === null || input.kind !== "inline") return null;
  const checked = checkJobInput(inputSchema, input.bytes);
  return checked.ok ? null : checked.failure;
}

/** An input that was held for its check is stored as any other: the bytes themselves. */
async function storeChecked(input: PayloadRef, options: SubmitBodyOptions): Promise<Result<PayloadRef>> {
  if (options.inputSchema === null || input.kind !== "inline") return ok(input);
  if (input.bytes.length <= PAYLOAD_ROW_MAX_BYTES) return ok(input);
  const stored = await storeBytes(input.bytes, options);
  if (stored.kind === "inline" || stored.kind === "r2") return ok(stored);
  return fail(bodyFailure(stored, options.maxBytes, FIELDS_RULE));
}

type Wishes = Pick<SubmitBody, "policy" | "webhook">;

const NO_WISHES: Wishes = { policy: { executionTimeoutMs: null, ttlMs: null, lowPriority: false }, webhook: null };

/** Checks the known fields. The failure names the first wrong field by its path, such as `policy.ttl`. */
function checkFields(
  fields: Readonly<Record<string, string>>,
  { settings, reach, isByToken }: SubmitBodyOptions,
): Result<Wishes> {
  const parsed = readJobRequest(fields);
  if (!parsed.ok) return parsed;
  if (parsed.value === null) return ok(NO_WISHES);
  const { policy, webhook = null } = parsed.value;
  const { executionTimeout = null, ttl = null, lowPriority = false } = policy ?? {};
  const beyond = isByToken ? beyondToken(parsed.value, settings) : null;
  if (beyond !== null) return fail({ kind: "invalid", ...beyond });
  const isHeld = settings.upstreams.some((upstream) => upstream.dialect !== "runpod" || upstream.local);
  if (isHeld && (executionTimeout ?? 0) > HELD_CALL_MAX_MS) {
    const message = `may be at most ${HELD_CALL_MAX_MS} in this endpoint, whose workers answer within one HTTP call`;
    return fail({ kind: "invalid", field: "policy.executionTimeout", message });
  }
  if (webhook !== null) {
    const url = checkUrl(webhook, reach);
    if (!url.ok) return fail({ kind: "invalid", field: "webhook", message: url.message });
  }
  return ok({ policy: { executionTimeoutMs: executionTimeout, ttlMs: ttl, lowPriority }, webhook });
}

/**
 * What a visitor of a page may not choose: an address that we or a worker call, and more time than the endpoint gives to a job. An
 * endpoint's worker that takes addresses out of the input has to judge them itself.
 */
function beyondToken(
  { policy, webhook, s3Config }: JobRequest,
  { executionTimeoutMs, ttlMs }: EndpointSettings,
): { readonly field: string; readonly message: string } | null {
  const { executionTimeout = 0, ttl = 0 } = policy ?? {};
  const bounded = (maxMs: number) => `may be at most the endpoint's, ${maxMs}, with a browser's token`;
  if (webhook !== null && webhook !== undefined) return { field: "webhook", message: NOT_BY_TOKEN };
  if (s3Config !== undefined) return { field: "s3Config", message: NOT_BY_TOKEN };
  if (executionTimeout > executionTimeoutMs) {
    return { field: "policy.executionTimeout", message: bounded(executionTimeoutMs) };
  }
  return ttl > ttlMs ? { field: "policy.ttl", message: bounded(ttlMs) } : null;
}

const NOT_BY_TOKEN = "is not for a browser's token";
