// All failures that are reported to a caller, as one tagged union; http/kit/failures.ts turns them into answers.

/** An expected failure. `field` names what was wrong in the request (`input`, `policy.ttl`, `?wait`). */
export type Failure =
  | { readonly kind: "invalid"; readonly field: string; readonly message: string }
  /** `misused`: of a genuine key of another kind or place, whose holder may thus be told. */
  | { readonly kind: "unauthorized"; readonly misused?: "client_key" | "other_endpoint" }
  /** Unauthorized, from an address with many such calls. */
  | { readonly kind: "too_many_failures"; readonly retryAfterSeconds: number }
  | { readonly kind: "forbidden"; readonly scope: string; readonly isWorkerKey?: boolean }
  /** `what`: the part of the request that names nothing of the caller's. Absent where a caller without a key may ask. */
  | { readonly kind: "not_found"; readonly what?: UnknownPart }
  /** A route of an OpenAI server that the endpoint does not let through. */
  | { readonly kind: "route_closed"; readonly method: string; readonly path: string; readonly endpointId: string }
  | { readonly kind: "method_not_allowed"; readonly allow: string }
  | { readonly kind: "too_large"; readonly maxBytes: number }
  | { readonly kind: "unsupported_media"; readonly message: string }
  | { readonly kind: "tenant_limit"; readonly waitingMax: number; readonly retryAfterSeconds: number }
  | { readonly kind: "webhooks_owed"; readonly owedMax: number; readonly retryAfterSeconds: number }
  /** The tenant's jobs take up its whole share of the endpoint: `max` rows, or bytes. */
  | {
      readonly kind: "tenant_share";
      readonly full: "rows" | "bytes";
      readonly max: number;
      readonly retryAfterSeconds: number;
    }
  | { readonly kind: "queue_full"; readonly retryAfterSeconds: number }
  /** More Idempotency-Keys than an endpoint remembers for a tenant. */
  | { readonly kind: "too_many_keys"; readonly keysMax: number; readonly retryAfterSeconds: number }
  /** More calls than a broker holds for one caller. */
  | { readonly kind: "too_many_held"; readonly heldMax: number; readonly retryAfterSeconds: number }
  /** More workers than an endpoint's broker keeps in memory. */
  | { readonly kind: "too_many_workers"; readonly workersMax: number; readonly retryAfterSeconds: number }
  /** A worker that its owner has taken out of service asks for jobs. */
  | { readonly kind: "draining" }
  | { readonly kind: "wrong_state"; readonly message: string }
  | { readonly kind: "idempotency_mismatch" }
  | { readonly kind: "idempotency_gone"; readonly jobId: string; readonly status: string }
  /** Load-balanced: no worker is ready in time, or too many requests wait already. */
  | { readonly kind: "no_worker"; readonly retryAfterSeconds: number }
  /** Load-balanced: the worker that the request requires is not there, */
  | { readonly kind: "affinity_gone" }
  /** or did not take the request in time. */
  | { readonly kind: "affinity_timeout" }
  /** Load-balanced: the worker gave no proper answer; `code` names what it did. */
  | { readonly kind: "bad_gateway"; readonly code: GatewayCode; readonly message: string }
  | { readonly kind: "request_timeout"; readonly afterMs: number }
  | { readonly kind: "settings_behind" }
  | { readonly kind: "unavailable"; readonly message: string };

export type UnknownPart = "endpoint" | "job" | "worker" | "route";

export type GatewayCode = "worker_unreachable" | "worker_broke_off" | "bad_answer" | "worker_redirect";

/** What is wrong with a field, as a sentence that names it once: some messages do so themselves. */
export function fieldSentence({ field, message }: { readonly field: string; readonly message: string }): string {
  return message.split(/[^\w.?-]+/).includes(field) ? message : `${field}: ${message}`;
}

/** The message of an error; any other thrown value as text. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A value or an expected failure; programmer errors throw instead. */
export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: Failure };

export function ok<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function fail(failure: Failure): { readonly ok: false; readonly failure: Failure } {
  return { ok: false, failure };
}
