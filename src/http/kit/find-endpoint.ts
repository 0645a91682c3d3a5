// Finds the endpoint that a path names for a caller. Another tenant's endpoint and an unknown one get the same answer.
import type { Caller } from "../../contract/identity.ts";
import { isEndpointName } from "../../core/access/endpoint-name.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { findIdOf, findIdOfName, type LoadedEndpoint, loadEndpoint, loadNumberedEndpoint } from "../../db/endpoints.ts";
import { StaleCache } from "../../db/stale-cache.ts";
import { log } from "../../log.ts";
import { opens } from "../../manage/context.ts";
import { refuseCaller, refuseToAsk } from "./failed-callers.ts";

const endpoints = new StaleCache<LoadedEndpoint>();
/**
 * Ids of endpoints by the names that a path may use. Ids are never reused. The slug of a deleted endpoint may get another one:
 * a worker with a key of that one is found in D1, and noted here.
 */
const endpointIds = new StaleCache<string>();

/** The endpoint of an id or slug, if it is the caller's own or shared. */
export async function findEndpoint(
  idOrSlug: string,
  caller: Caller,
  env: Env,
  nowMs: number,
): Promise<Result<LoadedEndpoint>> {
  if (!isEndpointName(idOrSlug)) return fail({ kind: "not_found", what: "endpoint" });
  return find(idOrSlug, caller, nowMs, () => loadEndpoint(env.DB, idOrSlug));
}

/**
 * The origins whose pages may call the endpoint of an id or slug, for a browser that asks before it sends a key. Names that there
 * are not count as a call without a valid key, so that to ask for many of them does not cost a statement each.
 */
export async function findAllowedOrigins(
  name: string,
  headers: Headers,
  env: Env,
  nowMs: number,
): Promise<readonly string[]> {
  if (!isEndpointName(name)) return [];
  const isUnknown = endpoints.isUnknown(name, nowMs);
  if (isUnknown && refuseToAsk(headers, nowMs) !== null) return [];
  const found = await lookUp(() => endpoints.get(name, nowMs, () => loadEndpoint(env.DB, name)));
  if (!found.ok) return [];
  if (found.value === null && isUnknown) await refuseCaller(headers, env, nowMs);
  return found.value?.allowedOrigins ?? [];
}

/** The same for whoever manages it: a key of its tenant, or any with the scope admin. Being shared opens it to nobody else. */
export async function findOwnEndpoint(
  idOrSlug: string,
  caller: Caller,
  env: Env,
  nowMs: number,
): Promise<Result<LoadedEndpoint>> {
  if (!isEndpointName(idOrSlug)) return fail({ kind: "not_found", what: "endpoint" });
  return find(idOrSlug, caller, nowMs, () => loadEndpoint(env.DB, idOrSlug), mayManage);
}

/** Ids of endpoints by their tenant and their name for people. A name that changes is followed within 30 s. */
const namedIds = new StaleCache<string>();
/** As of contract/manage/runpod-endpoint.ts. An endpoint may have no name, which is no name to find it by. */
const PEOPLES_NAME = /^.{1,200}$/su;

const NOT_NAMED = { kind: "not_found", what: "flash endpoint" } as const;

/** The same for an id, a slug, or the name for people of an endpoint of the caller's tenant, if no other one has it. */
export async function findEndpointByAnyName(
  name: string,
  caller: Caller,
  env: Env,
  nowMs: number,
): Promise<Result<LoadedEndpoint>> {
  const found = await findEndpoint(name, caller, env, nowMs);
  if (found.ok || found.failure.kind !== "not_found") return found;
  if (!PEOPLES_NAME.test(name)) return fail(NOT_NAMED);
  const { tenantId } = caller;
  const load = () => findIdOfName(env.DB, tenantId, name);
  const id = await lookUp(() => namedIds.get(`${tenantId} ${name}`, nowMs, load));
  if (!id.ok) return id;
  if (id.value === null) return fail(NOT_NAMED);
  const named = await findEndpoint(id.value, caller, env, nowMs);
  return named.ok || named.failure.kind !== "not_found" ? named : fail(NOT_NAMED);
}

/** The same for the number that is part of the ids of the endpoint's jobs. */
export async function findNumberedEndpoint(
  number: number,
  caller: Caller,
  env: Env,
  nowMs: number,
): Promise<Result<LoadedEndpoint>> {
  // A name cannot contain a space, so this key cannot be the key of a name.
  return find(`number ${number}`, caller, nowMs, () => loadNumberedEndpoint(env.DB, number));
}

async function find(
  key: string,
  caller: Caller,
  nowMs: number,
  load: () => Promise<LoadedEndpoint | null>,
  may = mayUse,
): Promise<Result<LoadedEndpoint>> {
  const found = await lookUp(() => endpoints.get(key, nowMs, load));
  if (!found.ok) return found;
  const endpoint = found.value;
  return endpoint !== null && may(caller, endpoint) ? ok(endpoint) : fail({ kind: "not_found", what: "endpoint" });
}

/** `unavailable` where D1 does not answer and no cache does. */
async function lookUp<T>(ask: () => Promise<T>): Promise<Result<T>> {
  try {
    return ok(await ask());
  } catch (error) {
    log("endpoint_lookup_failed", { error: String(error) });
    return fail({ kind: "unavailable", message: "the endpoint cannot be looked up right now" });
  }
}

function mayUse(caller: Caller, { shared, settings }: LoadedEndpoint): boolean {
  return opens(caller, settings.endpointId) && (shared || settings.tenantId === caller.tenantId);
}

function mayManage(caller: Caller, { settings }: LoadedEndpoint): boolean {
  const { endpointId, tenantId } = settings;
  return opens(caller, endpointId) && (tenantId === caller.tenantId || caller.scopes.includes("admin"));
}

/** The id that belongs to a name, if it is cached; undefined: it has not been looked up yet. */
export function knownEndpointId(name: string): string | undefined {
  return endpointIds.peek(name);
}

/** Queries D1 once in an isolate's life; that there is no id is cached only briefly. While D1 is down: `ifDown`. */
export async function findEndpointId(name: string, env: Env, ifDown: string): Promise<string | null> {
  const known = knownEndpointId(name);
  if (known !== undefined) return known;
  if (!isEndpointName(name)) return null;
  const found = await lookUp(() => endpointIds.get(name, Date.now(), () => findIdOf(env.DB, name)));
  return found.ok ? found.value : ifDown;
}

/** Caches the id of a name that was found in another way. */
export function noteEndpointId(name: string, endpointId: string): void {
  endpointIds.note(name, endpointId, Date.now());
}
