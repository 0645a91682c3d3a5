// A route of the management API: what it takes and answers as schemas, who may call it, and its handler. The route table checks calls
// by it, and the OpenAPI document is made of it, so that the two cannot differ.
import type * as z from "zod";
import type { Caller, Scope } from "../../contract/identity.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import type { CreatingCall } from "../../db/creations.ts";
import { jsonAnswer, rawAnswer } from "./answer.ts";
import { authenticate, readKey, requireScope } from "./auth.ts";
import { readBodyText } from "./body-text.ts";
import { checkBody, checkQuery, checkValue } from "./checked.ts";
import type { RouteContext } from "./context.ts";
import type { Method, OperationDoc, Plane } from "./operation-doc.ts";
import { readCreation, readIfMatch } from "./precondition.ts";
import { refuseAsProblem, refuseAsRunPodProblem } from "./problem.ts";
import { countCall } from "./rate-limit.ts";
import type { Route } from "./route.ts";

/** An answer of a handler. `version`: of the thing that it shows, for the header `ETag`. */
export interface Reply {
  readonly status: 200 | 201 | 204;
  readonly body?: object;
  /** In place of a body: server-sent events. */
  readonly events?: ReadableStream<Uint8Array>;
  /** In place of a body: lines of JSON. */
  readonly lines?: ReadableStream<Uint8Array>;
  readonly version?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A call that is checked: its caller may make it, and each of its parts conforms to its schema. */
export interface OperationCall<Params, Query, Body> {
  readonly c: RouteContext;
  readonly env: Env;
  readonly caller: Caller;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** The Idempotency-Key of a creating call; null: it has none. */
  readonly creation: CreatingCall | null;
  /** The version that a changing call expects; null: any. */
  readonly ifMatch: number | null;
  readonly nowMs: number;
}

interface Spec<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType>
  extends Omit<OperationDoc, "params" | "query" | "body" | "plane"> {
  readonly plane: Plane;
  readonly method: Method;
  readonly path: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly handle: (call: OperationCall<z.output<Params>, z.output<Query>, z.output<Body>>) => Promise<Result<Reply>>;
}

/** Declares an operation as a route of the table. */
export function operation<
  Params extends z.ZodObject = z.ZodObject,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodType = z.ZodType,
>(spec: Spec<Params, Query, Body>): Route {
  const { method, path, handle, params = null, query = null, body = null, ...rest } = spec;
  const refuse = rest.plane === "v2" ? refuseAsRunPodProblem : refuseAsProblem;
  const answer = async (c: RouteContext): Promise<Response> => {
    const headers: Record<string, string> = {};
    const replied = await reply(c, headers);
    const response = replied.ok ? show(c, replied.value) : refuse(c, replied.failure);
    for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
    return response;
  };

  async function reply(c: RouteContext, headers: Record<string, string>): Promise<Result<Reply>> {
    const nowMs = Date.now();
    const caller = await enter(c, rest.scopes, nowMs);
    if (!caller.ok) return caller;
    const counted = countCall(caller.value, nowMs);
    Object.assign(headers, counted.headers);
    if (counted.failure !== null) return fail(counted.failure);
    const text = body !== null || rest.kind === "creates" ? await readBodyText(c.req.raw) : ok("");
    if (!text.ok) return text;
    const parts = checkParts(c, text.value);
    if (!parts.ok) return parts;
    const creation = rest.kind === "creates" ? await readCreation(c, text.value) : ok(null);
    if (!creation.ok) return creation;
    const ifMatch = rest.kind === "changes" ? readIfMatch(c.req.raw.headers) : ok(null);
    if (!ifMatch.ok) return ifMatch;
    const checked = { ...parts.value, creation: creation.value, ifMatch: ifMatch.value };
    return handle({ c, env: c.env, caller: caller.value, ...checked, nowMs });
  }

  /** A part without a schema may hold anything: nothing of it is read. */
  function checkParts(c: RouteContext, text: string) {
    const checkedParams = params === null ? ok(NOTHING) : checkValue(params, c.req.param(), "path");
    if (!checkedParams.ok) return checkedParams;
    const checkedQuery = query === null ? ok(NOTHING) : checkQuery(query, c.req.url);
    if (!checkedQuery.ok) return checkedQuery;
    const checkedBody = body === null ? ok(NOTHING) : checkBody(body, text);
    if (!checkedBody.ok) return checkedBody;
    return ok({
      params: checkedParams.value as z.output<Params>,
      query: checkedQuery.value as z.output<Query>,
      body: checkedBody.value as z.output<Body>,
    });
  }

  // A HEAD would open a stream that nobody reads.
  const head = !Object.values(rest.answers).some(({ mediaType }) => mediaType !== undefined);
  return { methods: [method], path, head, answer, refuse, doc: { ...rest, params, query, body } };
}

const NOTHING = {};

/** The caller, if the key is good and has one of the scopes. */
async function enter(c: RouteContext, scopes: readonly Scope[], nowMs: number): Promise<Result<Caller>> {
  const { headers } = c.req.raw;
  const caller = await authenticate(headers, c.env, nowMs, readKey(headers));
  return caller.ok ? requireScope(caller.value, ...scopes) : caller;
}

function show(c: RouteContext, { status, body, events, lines, version, headers }: Reply): Response {
  const requestId = c.get("requestId");
  const extra = { ...(version === undefined ? {} : { etag: `"${version}"` }), ...headers };
  if (body !== undefined) return jsonAnswer(status, body, requestId, extra);
  if (events !== undefined) return rawAnswer(status, events, requestId, { ...EVENT_STREAM, ...extra });
  if (lines !== undefined) return rawAnswer(status, lines, requestId, { ...LINES, ...extra });
  return new Response(null, { status, headers: { "x-request-id": requestId, "cache-control": "no-store", ...extra } });
}

const LINES = { "content-type": "application/x-ndjson; charset=utf-8" };
/** As RunPod's: proxies must neither keep nor gather what comes. */
const EVENT_STREAM = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  "x-accel-buffering": "no",
};
