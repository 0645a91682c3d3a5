// The fields of a job's request that Waybill itself reads: `policy`, `webhook`, `s3Config`, `metadata`. Every other field reaches the worker
// as it came. contract/job-request.ts describes the same for readers; its test holds the two together.
import { type Failure, fail, ok, type Result } from "../failure.ts";
import { type Fields, fieldsOf } from "../json/value.ts";
import { ENVELOPE_FIELDS_MAX_BYTES, EXECUTION_TIMEOUT_MIN_MS, POLICY_MAX_MS, TTL_MIN_MS } from "../limits.ts";
import { metadataProblem } from "./metadata.ts";

/** Undefined: the request does not have it. */
export interface JobRequest {
  readonly policy: {
    readonly executionTimeout: number | undefined;
    readonly ttl: number | undefined;
    readonly lowPriority: boolean | undefined;
  };
  readonly webhook: string | null | undefined;
  readonly s3Config: Fields | undefined;
}

/** Why a request is refused whose other fields are too large. */
export const FIELDS_RULE = `all fields beside input may have at most ${ENVELOPE_FIELDS_MAX_BYTES} bytes together`;

const KNOWN_FIELDS = ["policy", "webhook", "s3Config"];

/**
 * Reads the known fields of a request, name → raw JSON text; null: it has none. The failure names the first wrong field by its path, such
 * as `policy.ttl`.
 */
export function readJobRequest(fields: Readonly<Record<string, string>>): Result<JobRequest | null> {
  const problem = fields.metadata === undefined ? null : metadataProblem(fields.metadata);
  if (problem !== null) return fail({ kind: "invalid", ...problem });
  if (!KNOWN_FIELDS.some((name) => Object.hasOwn(fields, name))) return ok(null);
  const policy = fieldIn(fields, "policy");
  const members = policy === undefined ? {} : fieldsOf(policy);
  if (members === null) return refuse("policy", "must be an object");
  const { executionTimeout, ttl, lowPriority } = members;
  if (!isMilliseconds(executionTimeout, EXECUTION_TIMEOUT_MIN_MS)) {
    return refuse("policy.executionTimeout", rangeRule(EXECUTION_TIMEOUT_MIN_MS));
  }
  if (!isMilliseconds(ttl, TTL_MIN_MS)) return refuse("policy.ttl", rangeRule(TTL_MIN_MS));
  if (lowPriority !== undefined && typeof lowPriority !== "boolean") {
    return refuse("policy.lowPriority", "must be true or false");
  }
  const webhook = fieldIn(fields, "webhook");
  if (!isUrlOrNone(webhook)) return refuse("webhook", "must be a URL");
  const s3Config = fieldIn(fields, "s3Config");
  const s3Members = fieldsOf(s3Config) ?? undefined;
  if (s3Config !== undefined && s3Members === undefined) return refuse("s3Config", "must be an object");
  return ok({ policy: { executionTimeout, ttl, lowPriority }, webhook, s3Config: s3Members });
}

/** The value of a field. Its text is valid JSON, because the scanner has accepted it. */
function fieldIn(fields: Readonly<Record<string, string>>, name: string): unknown {
  const text = Object.hasOwn(fields, name) ? fields[name] : undefined;
  return text === undefined ? undefined : JSON.parse(text);
}

function isMilliseconds(value: unknown, minMs: number): value is number | undefined {
  if (value === undefined) return true;
  return typeof value === "number" && Number.isInteger(value) && value >= minMs && value <= POLICY_MAX_MS;
}

/** A text; whether the address may be called is judged where it is. */
function isUrlOrNone(value: unknown): value is string | null | undefined {
  return value === undefined || value === null || (typeof value === "string" && value !== "");
}

/** One message for every value that is no time within the bounds. */
export function rangeRule(minMs: number): string {
  return `must be an integer from ${minMs} to ${POLICY_MAX_MS} (milliseconds)`;
}

function refuse(field: string, message: string): { readonly ok: false; readonly failure: Failure } {
  return fail({ kind: "invalid", field, message });
}
