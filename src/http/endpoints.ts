// Which endpoint a path names, for whom. A foreign one and an unknown one are the same answer.
import type { Caller } from "../contract/identity.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { type LoadedEndpoint, loadEndpoint } from "../db/endpoints.ts";
import { log } from "../log.ts";
import { LastGood } from "./last-good.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;

const endpoints = new LastGood<LoadedEndpoint>();

/** The endpoint of an id or slug, if it is the caller's own or shared. */
export async function findEndpoint(
  idOrSlug: string,
  caller: Caller,
  env: Env,
  nowMs: number,
): Promise<Result<LoadedEndpoint>> {
  if (!NAME.test(idOrSlug)) return fail({ kind: "not_found" });
  let found: LoadedEndpoint | null;
  try {
    found = await endpoints.get(idOrSlug, nowMs, () => loadEndpoint(env.DB, idOrSlug));
  } catch (error) {
    log("endpoint_lookup_failed", { error: String(error) });
    return fail({ kind: "unavailable", message: "the endpoint cannot be looked up right now" });
  }
  if (found === null || (!found.shared && found.settings.tenantId !== caller.tenantId))
    return fail({ kind: "not_found" });
  return ok(found);
}
