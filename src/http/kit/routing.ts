// What every route family shares: the request's context, and who asks for which endpoint. Authentication comes first,
// then the endpoint, then the rest, so that an unknown caller learns nothing.
import type { Context } from "hono";
import type { Caller, Scope } from "../../contract/identity.ts";
import type { EndpointSettings } from "../../contract/settings.ts";
import type { Failure, Result } from "../../core/failure.ts";
import { fail, ok } from "../../core/failure.ts";
import { parseJobId } from "../../core/job/id.ts";
import { authenticate, requireScope } from "./auth.ts";
import { failureAnswer } from "./failures.ts";
import { findEndpoint } from "./find-endpoint.ts";

export interface Routing {
  Bindings: Env;
  /** `answering`: what still goes on when the answer has begun; absent: nothing. */
  Variables: { requestId: string; answering?: Promise<unknown> };
}

export type RouteContext = Context<Routing>;

/** A caller and the endpoint named in the path. */
export interface EndpointCall {
  readonly caller: Caller;
  readonly settings: EndpointSettings;
}

/** The caller, if the key is good and has the scope. */
export async function enter(c: RouteContext, scope: Scope): Promise<Result<Caller>> {
  const caller = await authenticate(c.req.raw.headers, c.env, Date.now());
  if (!caller.ok) return caller;
  const allowed = requireScope(caller.value, scope);
  return allowed.ok ? caller : allowed;
}

/** The caller and the endpoint of a `/v2/:endpoint` route about jobs. */
export async function enterEndpoint(c: RouteContext): Promise<Result<EndpointCall>> {
  const entered = await enterAnyEndpoint(c, c.req.param("endpoint") ?? "");
  if (!entered.ok || entered.value.settings.kind === "queue") return entered;
  return fail({ kind: "wrong_state", message: "this endpoint is load-balanced and takes no jobs: call it under /lb/" });
}

/** The caller and an endpoint of either kind. */
export async function enterAnyEndpoint(c: RouteContext, name: string): Promise<Result<EndpointCall>> {
  const caller = await enter(c, "jobs");
  if (!caller.ok) return caller;
  const endpoint = await findEndpoint(name, caller.value, c.env, Date.now());
  if (!endpoint.ok) return endpoint;
  return ok({ caller: caller.value, settings: endpoint.value.settings });
}

/** The same, and the job id of the path. An id that we cannot have given out is the usual 404, without a call. */
export async function enterJob(c: RouteContext): Promise<Result<EndpointCall & { readonly jobId: string }>> {
  const entered = await enterEndpoint(c);
  if (!entered.ok) return entered;
  const jobId = c.req.param("id") ?? "";
  if (parseJobId(jobId) === null) return fail({ kind: "not_found" });
  return ok({ ...entered.value, jobId });
}

/** Keeps work alive that goes on when the answer has begun, also when the client has gone. The request is over when it is. */
export function keepAnswering(c: RouteContext, work: Promise<unknown>): void {
  c.executionCtx.waitUntil(work);
  c.set("answering", work);
}

/**
 * Goes on to its end, though the client has gone: the platform ends the invocation of a client that leaves, and a lease that the
 * broker was giving at that moment would hold its slot until it runs out.
 */
export function finishAnyway<T>(c: RouteContext, work: Promise<T>): Promise<T> {
  c.executionCtx.waitUntil(work.catch(() => undefined));
  return work;
}

/** The answer to an expected failure of this request. */
export function refuse(c: RouteContext, failure: Failure): Response {
  return failureAnswer(failure, c.get("requestId"));
}

/** A result of the broker inside a result of the call to it, as one. */
export function flatten<T>(result: Result<Result<T>>): Result<T> {
  return result.ok ? result.value : result;
}
