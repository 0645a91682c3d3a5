// Finds out who calls and which endpoint is meant. Authentication comes first, then the endpoint, then the rest, so
// that an unknown caller learns nothing. Each function here is the `enter` of routes.
import type { Caller, Scope } from "../../contract/identity.ts";
import type { JobCall } from "../../contract/job-view.ts";
import type { EndpointSettings } from "../../contract/settings.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { parseJobId } from "../../core/job/id.ts";
import type { LoadedEndpoint } from "../../db/endpoints.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { authenticate, type ReadKey, requireScope } from "./auth.ts";
import type { RouteContext } from "./context.ts";
import { findEndpoint } from "./find-endpoint.ts";

/** A caller, the endpoint named in the path, and its broker, which is sent these settings if its own are older. */
export interface EndpointCall {
  readonly caller: Caller;
  readonly settings: EndpointSettings;
  /** The JSON Schema of its jobs' inputs, as text; null: any input is taken. */
  readonly inputSchema: string | null;
  readonly broker: BrokerClient;
}

export interface JobRouteCall extends EndpointCall {
  readonly jobId: string;
  /** How the broker is asked for the job: as the caller may see it. */
  readonly job: JobCall;
}

/** The caller, if the key is good and has the scope. */
function enterWith(scope: Scope): (c: RouteContext, readKey: ReadKey) => Promise<Result<Caller>> {
  return async (c, readKey) => {
    const { headers } = c.req.raw;
    const caller = await authenticate(headers, c.env, Date.now(), readKey(headers));
    return caller.ok ? requireScope(caller.value, scope) : caller;
  };
}

/** For routes that need no caller. */
export async function enterAnybody(): Promise<Result<null>> {
  return ok(null);
}

/** The caller and an endpoint of either kind, which the path names. */
export function enterAnyEndpoint(c: RouteContext, readKey: ReadKey): Promise<Result<EndpointCall>> {
  return enterNamed(c, c.req.param("endpoint") ?? "", "jobs", readKey);
}

/** The caller and the endpoint of this name. `find`: what a name is. */
export async function enterNamed(
  c: RouteContext,
  name: string,
  scope: Scope,
  readKey: ReadKey,
  find = findEndpoint,
): Promise<Result<EndpointCall>> {
  const caller = await enterWith(scope)(c, readKey);
  if (!caller.ok) return caller;
  const endpoint = await find(name, caller.value, c.env, Date.now());
  if (!endpoint.ok) return endpoint;
  return ok(endpointCall(c, caller.value, endpoint.value));
}

export function endpointCall(
  { env }: RouteContext,
  caller: Caller,
  { settings, inputSchema }: Pick<LoadedEndpoint, "settings" | "inputSchema">,
): EndpointCall {
  return { caller, settings, inputSchema, broker: new BrokerClient(env, settings.endpointId, settings) };
}

type EnterAny = (c: RouteContext, readKey: ReadKey) => Promise<Result<EndpointCall>>;

/** The caller and the endpoint of a route about jobs. `enterAny`: where the request names it. */
export async function enterEndpoint(
  c: RouteContext,
  readKey: ReadKey,
  enterAny: EnterAny = enterAnyEndpoint,
): Promise<Result<EndpointCall>> {
  const entered = await enterAny(c, readKey);
  if (!entered.ok || entered.value.settings.kind === "queue") return entered;
  return fail({ kind: "wrong_state", message: "this endpoint is load-balanced and takes no jobs: call it under /lb/" });
}

/** The same, and the job id of the path. An id that we cannot have given out gets the usual 404, without a call. */
export async function enterJob(
  c: RouteContext,
  readKey: ReadKey,
  enterAny: EnterAny = enterAnyEndpoint,
): Promise<Result<JobRouteCall>> {
  const entered = await enterEndpoint(c, readKey, enterAny);
  if (!entered.ok) return entered;
  const jobId = c.req.param("id") ?? "";
  if (parseJobId(jobId) === null) return fail({ kind: "not_found", what: "job" });
  const { tenantId, token } = entered.value.caller;
  return ok({ ...entered.value, jobId, job: { tenantId, jobId, tokenId: token?.id } });
}
