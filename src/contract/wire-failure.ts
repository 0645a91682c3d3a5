// The one map from expected failures to the wire: status and `{"error", "message"}`, which every RunPod client reads.
import { CALLS_WINDOW_SECONDS } from "../core/access/limits.ts";
import { type Failure, fieldSentence, nameOfField, type TokenRefusal, type UnknownPart } from "../core/failure.ts";
import { closedRouteMessage } from "../core/openai/routes.ts";

/** The status and body of a failure on the wire, without the headers that every answer has. */
interface WireFailure {
  readonly status: number;
  readonly error: string;
  readonly message: string;
  /** More keys for the body. */
  readonly more?: Readonly<Record<string, string>>;
  /** Everything that is wrong, where that can be told place by place. */
  readonly errors?: readonly { readonly field: string; readonly message: string }[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** Seconds after which a caller may hope that a dependency is back. */
const UNAVAILABLE_RETRY_SECONDS = 5;

function retryAfter(seconds: number): Readonly<Record<string, string>> {
  return { "retry-after": String(Math.max(1, Math.ceil(seconds))) };
}

/** The caller has too many of something, or there is no room for more: the caller should come again later. */
function tooMany(error: string, message: string, retryAfterSeconds: number): WireFailure {
  return { status: 429, error, message, headers: retryAfter(retryAfterSeconds) };
}

/** A failure of a load-balanced request. The body has the code in both places where clients look for it. */
function coded(status: number, code: string, message: string): WireFailure {
  return { status, error: code, message, more: { code } };
}

type ByKind = { readonly [Each in Failure as Each["kind"]]: Each };

/** What is another tenant's is as unknown as what never was, so each of these sentences is for both. */
const UNKNOWN: Readonly<Record<UnknownPart, string>> = {
  endpoint: "no such endpoint for this key: check its id or slug",
  "flash endpoint":
    "X-Flash-Endpoint must name an endpoint of this key by its id, its slug, or a name that no other one has; there are no Flash apps " +
    "here, so create it with POST /v2/serverless and give it a worker",
  job: "no job of yours has this id here, or it is no longer kept",
  worker: "no worker of this endpoint has this id",
  route: "no such route: check the path, in which an id may be missing",
  template: "no template of yours has this id",
  tenant: "no such tenant for this key",
  key: "no such key for this key",
  upstream: "no upstream of this endpoint has this id",
  provider: "no such provider for this key",
  webhook: "no dead webhook of yours has this id, or it is no longer kept",
  "catalogue entry": "the catalogue has no such entry: its list names those that there are",
};

const MISUSED: Readonly<Record<"client_key" | "other_endpoint" | "token_over", string>> = {
  client_key: "this is a client's key: a worker needs one of its endpoint, which npm run worker:env makes",
  other_endpoint:
    "this worker key is of another endpoint: npm run worker:env makes one of this endpoint (a load-balanced one has upstreams)",
  token_over: "this token has ended, by its time or with the key that made it: get another one",
};

const TOKEN_REFUSED: Readonly<Record<TokenRefusal, string>> = {
  scope: "this token was not made for this: its allow lacks it",
  origin: "pages of this origin may not use this token: the endpoint's allowedOrigins, or the token, name others",
  calls: "this token has submitted all the jobs that it may: get another one",
};

/** The one map, with an entry for every kind of failure. */
const WIRE: { readonly [Kind in keyof ByKind]: (failure: ByKind[Kind]) => WireFailure } = {
  invalid: ({ field, message }) => ({
    status: 400,
    error: fieldSentence({ field, message }),
    message,
    more: { field },
  }),
  not_conforming: ({ wrong }) => {
    const [first] = wrong;
    if (first === undefined) throw new Error("nothing is wrong");
    const field = nameOfField(first);
    const message = first.unknown === undefined ? first.message : "is not known";
    return { status: 400, error: fieldSentence({ field, message }), message, more: { field } };
  },
  input_refused: ({ problems }) => {
    const [first] = problems;
    if (first === undefined) throw new Error("nothing is wrong");
    const errors = problems.map(({ pointer, message }) => ({ field: pointer, message }));
    const message = errors.map((each) => fieldSentence(each)).join("; ");
    const error = `the input does not fit the endpoint's schema: ${message}`;
    return { status: 400, error, message, more: { field: first.pointer }, errors };
  },
  conflict: ({ field, message }) => ({
    status: 409,
    error: message,
    message,
    ...(field === undefined ? {} : { more: { field } }),
  }),
  version_passed: ({ version }) => ({
    status: 412,
    error: "version passed",
    message: `it has version ${version} by now: another writer was first, so read it again`,
  }),
  operators_price: ({ because, what, fields }) => {
    const is = because === "price" ? "an operator has set the price of" : "an operator's account pays for";
    return {
      status: 403,
      error: "forbidden",
      message: `${is} this ${what}: its ${fields} change by a key of the scope admin`,
    };
  },
  restricted_key: () => ({
    status: 403,
    error: "forbidden",
    message: "this key is for some endpoints only, and the call is about more than those",
  }),
  rate_limited: ({ window, retryAfterSeconds }) =>
    tooMany("rate limited", `rate limit exceeded for the ${window} window`, retryAfterSeconds),
  calls_limited: ({ operation, full, max, retryAfterSeconds }) => {
    const allowed = full === "open" ? `${max} may be open at once` : `there may be ${max} in ${CALLS_WINDOW_SECONDS} s`;
    const error = full === "open" ? "too many open requests" : "rate limited";
    return tooMany(error, `too many calls of ${operation} by this key at this endpoint: ${allowed}`, retryAfterSeconds);
  },
  unauthorized: ({ misused }) => ({
    status: 401,
    error: "unauthorized",
    message: misused === undefined ? "the API key is missing or not valid" : MISUSED[misused],
    headers: { "www-authenticate": "Bearer" },
  }),
  too_many_failures: ({ retryAfterSeconds }) =>
    tooMany("too many failures", "too many calls without a valid API key came from this address", retryAfterSeconds),
  forbidden: ({ scope, isWorkerKey = false }) => ({
    status: 403,
    error: "forbidden",
    message: isWorkerKey
      ? `this is a worker's key: a client needs one with the scope ${scope}, which npm run admin -- key create makes`
      : `the API key lacks the scope ${scope}`,
  }),
  token_refused: ({ why }) => ({ status: 403, error: "forbidden", message: TOKEN_REFUSED[why] }),
  too_many_tokens: ({ tokensMax, retryAfterSeconds }) =>
    tooMany(
      "too many tokens",
      `${tokensMax} tokens of yours have submitted to this endpoint and have not ended: make them for a shorter time`,
      retryAfterSeconds,
    ),
  not_found: ({ what }) => ({
    status: 404,
    error: "not found",
    message: what === undefined ? "no such endpoint, job or route" : UNKNOWN[what],
  }),
  route_closed: (failure) => ({ status: 403, error: "route not allowed", message: closedRouteMessage(failure) }),
  method_not_allowed: ({ allow }) => ({
    status: 405,
    error: "method not allowed",
    message: `this route takes ${allow}`,
    headers: { allow },
  }),
  too_large: ({ maxBytes, part }) => ({
    status: 413,
    error: "too large",
    message:
      part === undefined
        ? `the body may have at most ${maxBytes} bytes`
        : `${part} may have at most ${maxBytes} bytes in this endpoint, which checks it by a schema`,
  }),
  unsupported_media: ({ message }) => ({ status: 415, error: "unsupported media type", message }),
  tenant_limit: ({ waitingMax, retryAfterSeconds }) =>
    tooMany("tenant limit", `${waitingMax} jobs of yours wait in this endpoint already`, retryAfterSeconds),
  webhooks_owed: ({ owedMax, retryAfterSeconds }) =>
    tooMany(
      "webhooks owed",
      `${owedMax} webhooks of yours are undelivered in this endpoint; mend their receiver first`,
      retryAfterSeconds,
    ),
  tenant_share: ({ max, full, retryAfterSeconds }) =>
    tooMany(
      "tenant share",
      `your jobs may keep ${max} ${full} in this endpoint, finished ones included: purge or cancel what waits in ` +
        "vain, and room comes as retention ends; its operator can set a shorter one, or a larger share",
      retryAfterSeconds,
    ),
  queue_full: ({ retryAfterSeconds }) =>
    tooMany("queue full", "this endpoint takes no more jobs at the moment", retryAfterSeconds),
  too_many_keys: ({ keysMax, retryAfterSeconds }) =>
    tooMany(
      "too many idempotency keys",
      `${keysMax} Idempotency-Keys of yours are remembered in this endpoint, each for a day; send none, or wait`,
      retryAfterSeconds,
    ),
  too_many_held: ({ heldMax, retryAfterSeconds }) =>
    tooMany(
      "too many open requests",
      `${heldMax} requests of yours are open at this endpoint already`,
      retryAfterSeconds,
    ),
  too_many_workers: ({ workersMax, retryAfterSeconds }) =>
    tooMany("too many workers", `this endpoint has ${workersMax} workers already`, retryAfterSeconds),
  draining: () =>
    tooMany("draining", "this worker is taken out of service; its owner can bring it back", UNAVAILABLE_RETRY_SECONDS),
  wrong_state: ({ message }) => ({ status: 400, error: message, message }),
  idempotency_mismatch: () => ({
    status: 422,
    error: "idempotency key reused",
    message: "this Idempotency-Key was used with another body",
  }),
  idempotency_gone: ({ jobId, status }) => ({
    status: 410,
    error: "gone",
    message: "the job of this Idempotency-Key is over and its result is no longer kept",
    more: { id: jobId, status },
  }),
  no_worker: ({ retryAfterSeconds, why }) => ({
    ...coded(503, "no_worker", `no worker has become free for this request${why === null ? "" : `. ${why}`}`),
    headers: retryAfter(retryAfterSeconds),
  }),
  affinity_gone: () => coded(404, "affinity_worker_gone", "the worker of X-Runpod-Worker-Id is not there any more"),
  affinity_timeout: () =>
    coded(400, "worker_timeout", "the worker of X-Runpod-Worker-Id did not take the request in time"),
  bad_gateway: ({ code, message }) => coded(502, code, message),
  request_timeout: ({ afterMs }) =>
    coded(504, "request_timeout", `the worker gave no answer within ${afterMs / 1_000} s`),
  settings_behind: () => {
    // The edge sends the settings and asks again, so this failure never reaches a client.
    throw new Error("settings_behind reached the wire");
  },
  unavailable: ({ message }) => ({
    status: 503,
    error: "unavailable",
    message,
    headers: retryAfter(UNAVAILABLE_RETRY_SECONDS),
  }),
};

/** The wire form of a failure. Generic, so that the compiler can match the failure with the parameter of its entry. */
export function wireOf<Kind extends keyof ByKind>(
  failure: { [K in Kind]: ByKind[K] & { kind: K } }[Kind],
): WireFailure {
  return WIRE[failure.kind](failure);
}
