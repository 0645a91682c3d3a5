// The one map from expected failures to the wire: status and `{"error", "message"}`, which every RunPod client reads.
import type { Failure } from "../../core/failure.ts";
import { closedRouteMessage } from "../../core/openai/routes.ts";
import { jsonAnswer } from "./answer.ts";

/** What a failure looks like on the wire, without the headers that every answer has. */
interface WireFailure {
  readonly status: number;
  readonly error: string;
  readonly message: string;
  /** More keys of the body. */
  readonly more?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Seconds after which a caller may hope that a dependency is back. */
const UNAVAILABLE_RETRY_SECONDS = 5;

/** The answer to a request that failed in an expected way. */
export function failureAnswer(failure: Failure, requestId: string): Response {
  const { status, error, message, more, headers } = wireOf(failure);
  return jsonAnswer(status, { error, message, ...more }, requestId, headers);
}

/** The answer to a bug of ours: it says nothing of the cause, which the log has under the same request id. */
export function crashAnswer(requestId: string): Response {
  return jsonAnswer(500, { error: "internal error", message: `see the log of request ${requestId}` }, requestId);
}

function retryAfter(seconds: number): Readonly<Record<string, string>> {
  return { "retry-after": String(Math.max(1, Math.ceil(seconds))) };
}

/** The one map: exhaustive over all kinds. */
export function wireOf(failure: Failure): WireFailure {
  switch (failure.kind) {
    case "invalid": {
      const { field, message } = failure;
      return { status: 400, error: `${field}: ${message}`, message, more: { field } };
    }
    case "unauthorized":
      return {
        status: 401,
        error: "unauthorized",
        message: "the API key is missing or not valid",
        headers: { "www-authenticate": "Bearer" },
      };
    case "too_many_failures":
      return {
        status: 429,
        error: "too many failures",
        message: "too many calls without a valid API key came from this address",
        headers: retryAfter(failure.retryAfterSeconds),
      };
    case "forbidden":
      return { status: 403, error: "forbidden", message: `the API key lacks the scope ${failure.scope}` };
    case "not_found":
      return { status: 404, error: "not found", message: "no such endpoint, job or route" };
    case "route_closed":
      return { status: 403, error: "route not allowed", message: closedRouteMessage(failure) };
    case "method_not_allowed":
      return {
        status: 405,
        error: "method not allowed",
        message: `this route takes ${failure.allow}`,
        headers: { allow: failure.allow },
      };
    case "too_large":
      return { status: 413, error: "too large", message: `the body may have at most ${failure.maxBytes} bytes` };
    case "unsupported_media":
      return { status: 415, error: "unsupported media type", message: failure.message };
    case "no_worker":
    case "affinity_gone":
    case "affinity_timeout":
    case "bad_gateway":
    case "request_timeout":
      return toWireOfRequest(failure);
    default:
      return toWireOfJob(failure);
  }
}

/** What goes wrong with a load-balanced request. The code stands where a client looks for it, in both places. */
function toWireOfRequest(
  failure: Extract<
    Failure,
    { kind: "no_worker" | "affinity_gone" | "affinity_timeout" | "bad_gateway" | "request_timeout" }
  >,
): WireFailure {
  const coded = (status: number, code: string, message: string): WireFailure => {
    return { status, error: code, message, more: { code } };
  };
  switch (failure.kind) {
    case "no_worker": {
      const wire = coded(503, "no_worker", "no worker has become free for this request");
      return { ...wire, headers: retryAfter(failure.retryAfterSeconds) };
    }
    case "affinity_gone":
      return coded(404, "affinity_worker_gone", "the worker of X-Runpod-Worker-Id is not there any more");
    case "affinity_timeout":
      return coded(400, "worker_timeout", "the worker of X-Runpod-Worker-Id did not take the request in time");
    case "bad_gateway":
      return coded(502, failure.code, failure.message);
    case "request_timeout":
      return coded(504, "request_timeout", `the worker gave no answer within ${failure.afterMs / 1_000} s`);
  }
}

/** The second half of the map: what a broker may answer. */
function toWireOfJob(
  failure: Extract<
    Failure,
    {
      kind:
        | "tenant_limit"
        | "webhooks_owed"
        | "tenant_share"
        | "queue_full"
        | "too_many_held"
        | "too_many_keys"
        | "too_many_workers"
        | "draining"
        | "wrong_state"
        | "idempotency_mismatch"
        | "idempotency_gone"
        | "settings_behind"
        | "unavailable";
    }
  >,
): WireFailure {
  switch (failure.kind) {
    case "tenant_limit":
      return {
        status: 429,
        error: "tenant limit",
        message: `${failure.waitingMax} jobs of yours wait in this endpoint already`,
        headers: retryAfter(failure.retryAfterSeconds),
      };
    case "webhooks_owed":
      return {
        status: 429,
        error: "webhooks owed",
        message: `webhook: ${failure.owedMax} webhooks of yours are undelivered in this endpoint; mend their receiver first`,
        headers: retryAfter(failure.retryAfterSeconds),
      };
    case "tenant_share":
      return {
        status: 429,
        error: "tenant share",
        message:
          `your jobs may keep ${failure.max} ${failure.full} in this endpoint, finished ones included: purge or cancel what waits in ` +
          "vain, and room comes as retention ends; its operator can set a shorter one, or a larger share",
        headers: retryAfter(failure.retryAfterSeconds),
      };
    case "queue_full":
      return {
        status: 429,
        error: "queue full",
        message: "this endpoint takes no more jobs at the moment",
        headers: retryAfter(failure.retryAfterSeconds),
      };
    case "too_many_keys":
      return {
        status: 429,
        error: "too many idempotency keys",
        message: `Idempotency-Key: ${failure.keysMax} keys of yours are remembered in this endpoint, each for a day; send none, or wait`,
        headers: retryAfter(failure.retryAfterSeconds),
      };
    case "too_many_held":
      return {
        status: 429,
        error: "too many open requests",
        message: `${failure.heldMax} requests of yours are open at this endpoint already`,
        headers: retryAfter(failure.retryAfterSeconds),
      };
    case "too_many_workers":
      return {
        status: 429,
        error: "too many workers",
        message: `this endpoint has ${failure.workersMax} workers already`,
        headers: retryAfter(failure.retryAfterSeconds),
      };
    case "draining":
      return {
        status: 429,
        error: "draining",
        message: "this worker is taken out of service; its owner can bring it back",
        headers: retryAfter(UNAVAILABLE_RETRY_SECONDS),
      };
    case "wrong_state":
      return { status: 400, error: failure.message, message: failure.message };
    case "idempotency_mismatch":
      return {
        status: 422,
        error: "idempotency key reused",
        message: "this Idempotency-Key was used with another body",
      };
    case "idempotency_gone":
      return {
        status: 410,
        error: "gone",
        message: "the job of this Idempotency-Key is over and its result is no longer kept",
        more: { id: failure.jobId, status: failure.status },
      };
    case "settings_behind":
      // The edge sends the settings and asks again; this never reaches a client.
      throw new Error("settings_behind reached the wire");
    case "unavailable":
      return {
        status: 503,
        error: "unavailable",
        message: failure.message,
        headers: retryAfter(UNAVAILABLE_RETRY_SECONDS),
      };
  }
}
