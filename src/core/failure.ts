// All failures that are reported to a caller, as one tagged union; contract/wire-failure.ts turns them into answers.

/** An expected failure. `field` names what was wrong in the request (`input`, `policy.ttl`, `?wait`). */
export type Failure =
  | { readonly kind: "invalid"; readonly field: string; readonly message: string }
  /** A request of the management API that its description does not allow: every wrong field, the first one also by name. */
  | { readonly kind: "not_conforming"; readonly wrong: readonly WrongField[] }
  /** The input of a job does not fit its endpoint's schema: what is wrong where, at least one. */
  | {
      readonly kind: "input_refused";
      readonly problems: readonly { readonly pointer: string; readonly message: string }[];
    }
  /** What the caller wants is taken by something else, such as a slug, or the state of a thing forbids it. */
  | { readonly kind: "conflict"; readonly field?: string; readonly message: string }
  /** Another writer was first: the thing has another version than the caller has seen. */
  | { readonly kind: "version_passed"; readonly version: number }
  /** The key is for some endpoints only, and this is about more than those. */
  | { readonly kind: "restricted_key" }
  /**
   * A tenant may not change what an operator bills it, nor what is of the account by which an operator pays. `because`: an operator has set
   * the `price` of `what`, or an operator's `account` pays for it. `fields`: those of them that are an operator's to change.
   */
  | {
      readonly kind: "operators_price";
      readonly because: "price" | "account";
      readonly what: string;
      readonly fields: string;
    }
  /** More calls of the management API than a key may make in a time. */
  | { readonly kind: "rate_limited"; readonly window: string; readonly retryAfterSeconds: number }
  /** `misused`: of a genuine key of another kind or place, whose holder may thus be told. */
  | { readonly kind: "unauthorized"; readonly misused?: "client_key" | "other_endpoint" | "token_over" }
  /** More calls of an operation than a key may make at an endpoint: in a time, or at once. */
  | {
      readonly kind: "calls_limited";
      readonly operation: string;
      readonly full: "calls" | "open";
      readonly max: number;
      readonly retryAfterSeconds: number;
    }
  /** Unauthorized, from an address with many such calls. */
  | { readonly kind: "too_many_failures"; readonly retryAfterSeconds: number }
  | { readonly kind: "forbidden"; readonly scope: string; readonly isWorkerKey?: boolean }
  /** A genuine token for browsers that is not for this: it lacks the scope, comes from another page, or has no calls left. */
  | { readonly kind: "token_refused"; readonly why: TokenRefusal }
  /** More tokens for browsers than an endpoint counts for a tenant. */
  | { readonly kind: "too_many_tokens"; readonly tokensMax: number; readonly retryAfterSeconds: number }
  /** `what`: the part of the request that names nothing of the caller's. Absent where a caller without a key may ask. */
  | { readonly kind: "not_found"; readonly what?: UnknownPart }
  /** A route of an OpenAI server that the endpoint does not let through. */
  | { readonly kind: "route_closed"; readonly method: string; readonly path: string; readonly endpointId: string }
  | { readonly kind: "method_not_allowed"; readonly allow: string }
  /** `part`: of the body, where it is not the whole. */
  | { readonly kind: "too_large"; readonly maxBytes: number; readonly part?: "input" }
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
  /**
   * Load-balanced: no worker is ready in time, or too many requests wait already. `why`: what the endpoint's fleet waits for, as a
   * sentence; null: it has none, or waits for nothing.
   */
  | { readonly kind: "no_worker"; readonly retryAfterSeconds: number; readonly why: string | null }
  /** Load-balanced: the worker that the request requires is not there, */
  | { readonly kind: "affinity_gone" }
  /** or did not take the request in time. */
  | { readonly kind: "affinity_timeout" }
  /** Load-balanced: the worker gave no proper answer; `code` names what it did. */
  | { readonly kind: "bad_gateway"; readonly code: GatewayCode; readonly message: string }
  | { readonly kind: "request_timeout"; readonly afterMs: number }
  | { readonly kind: "settings_behind" }
  | { readonly kind: "unavailable"; readonly message: string };

export type TokenRefusal = "scope" | "origin" | "calls";

export type UnknownPart =
  | "endpoint"
  | "flash endpoint"
  | "job"
  | "worker"
  | "route"
  | "template"
  | "tenant"
  | "key"
  | "upstream"
  | "provider"
  | "webhook"
  | "catalogue entry";

/** One wrong field of a request. `path`: its members from the outermost on; `source`: where it was sent. */
export interface WrongField {
  readonly source: "body" | "query" | "path" | "header";
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** The name of a field that the request may not have at all. */
  readonly unknown?: string;
}

export type GatewayCode = "worker_unreachable" | "worker_broke_off" | "bad_answer" | "worker_redirect";

/** What is wrong with a field, as a sentence that names it once: some messages do so themselves. */
export function fieldSentence({ field, message }: { readonly field: string; readonly message: string }): string {
  return message.split(/[^\w.?-]+/).includes(field) ? message : `${field}: ${message}`;
}

/** The name of a wrong field: `gpu.pools.0`, `?limit`, `If-Match`; a body as a whole is `body`. */
export function nameOfField({ source, path, unknown }: WrongField): string {
  const names = unknown === undefined ? path : [...path, unknown];
  if (names.length === 0) return source;
  return `${source === "query" ? "?" : ""}${names.join(".")}`;
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
