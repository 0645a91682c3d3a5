// Which endpoint a path names, for whom. A foreign one and an unknown one are the same answer.
import type { Caller } from "../../contract/identity.ts";
import { isEndpointName } from "../../core/access/endpoint-name.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { findIdOf, type LoadedEndpoint, loadEndpoint, loadNumberedEndpoint } from "../../db/endpoints.ts";
import { log } from "../../log.ts";
import { StaleCache } from "./stale-cache.ts";

const endpoints = new StaleCache<LoadedEndpoint>();
/** What a path may call an endpoint → its id. Ids are never reused, so what was true once stays true. */
const endpointIds = new StaleCache<string>();

/** The endpoint of an id or slug, if it is the caller's own or shared. */
export async function findEndpoint(
  idOrSlug: string,
  caller: Caller,
  env: Env,
  nowMs: number,
): Promise<Result<LoadedEndpoint>> {
  if (!isEndpointName(idOrSlug)) return fail({ kind: "not_found" });
  return find(idOrSlug, caller, nowMs, () => loadEndpoint(env.DB, idOrSlug));
}

/** The same by the number that stands in the ids of its jobs. */
export async function findNumberedEndpoint(
  number: number,
  caller: Caller,
  env: Env,
  nowMs: number,
): Promise<Result<LoadedEndpoint>> {
  // No name has a space in it.
  return find(`number ${number}`, caller, nowMs, () => loadNumberedEndpoint(env.DB, number));
}

async function find(
  key: string,
  caller: Caller,
  nowMs: number,
  load: () => Promise<LoadedEndpoint | null>,
): Promise<Result<LoadedEndpoint>> {
  let found: LoadedEndpoint | null;
  try {
    found = await endpoints.get(key, nowMs, load);
  } catch (error) {
    log("endpoint_lookup_failed", { error: String(error) });
    return fail({ kind: "unavailable", message: "the endpoint cannot be looked up right now" });
  }
  const isTheirs = found !== null && (found.shared || found.settings.tenantId === caller.tenantId);
  return found !== null && isTheirs ? ok(found) : fail({ kind: "not_found" });
}

/** The id that a name is known to stand for; undefined: nobody has asked for it yet. */
export function knownEndpointId(name: string): string | undefined {
  return endpointIds.peek(name);
}

/** Asked of D1 once in the life of an isolate; that there is none, for a short while. While D1 is down: `ifDown`. */
export async function findEndpointId(name: string, env: Env, ifDown: string): Promise<string | null> {
  const known = knownEndpointId(name);
  if (known !== undefined) return known;
  if (!isEndpointName(name)) return null;
  try {
    return await endpointIds.get(name, Date.now(), () => findIdOf(env.DB, name));
  } catch (error) {
    log("endpoint_lookup_failed", { error: String(error) });
    return ifDown;
  }
}

/** Notes what a name stands for that has been found on the way. */
export async function noteEndpointId(name: string, endpointId: string): Promise<void> {
  await endpointIds.get(name, Date.now(), async () => endpointId);
}
