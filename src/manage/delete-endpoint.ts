// Deletes an endpoint for a caller: under the version that the caller expects, and with a line in the audit.
import { fail, messageOf, ok, type Result } from "../core/failure.ts";
import { askD1 } from "../db/ask-d1.ts";
import { findDeleted } from "../db/deleted-endpoints.ts";
import { expectVersion, isUnmet } from "../db/expectations.ts";
import type { Owner } from "../db/managed-endpoints.ts";
import { log } from "../log.ts";
import { closeEndpoint } from "./close-endpoint.ts";
import { audited, type ManageContext } from "./context.ts";
import { readEndpoint } from "./endpoints.ts";

/** `applied` false: the broker will learn of it within 5 min, and until then its jobs run on. */
export interface DeletedEndpoint {
  readonly id: string;
  readonly applied: boolean;
}

/** A writer without If-Match tries again this often while others change the endpoint at once. */
const TRIES_MAX = 5;

/** Deletes the endpoint of an id or slug. One that is deleted already is found by its id, so that a repeated call is no failure. */
export async function deleteEndpoint(
  context: ManageContext,
  owner: Owner,
  idOrSlug: string,
): Promise<Result<DeletedEndpoint>> {
  const { env, ifMatch } = context;
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const found = await readEndpoint(context, owner, idOrSlug);
    if (!found.ok) return found.failure.kind === "not_found" ? repeated(context, owner, idOrSlug) : found;
    const { id, tenantId, version, name } = found.value;
    if (ifMatch !== null && version !== ifMatch) return fail({ kind: "version_passed", version });
    const changes = [{ field: "name", old: name, new: null }];
    const audit = audited(context, { tenantId, action: "endpoint.delete", objectId: id, changes });
    try {
      const closed = await closeEndpoint(env, id, [expectVersion("endpoints", id, version), audit]);
      return ok({ id, applied: closed?.applied ?? true });
    } catch (error) {
      if (isUnmet(error)) continue;
      log("d1_not_answering", { error: messageOf(error) });
      return fail({ kind: "unavailable", message: "the endpoint cannot be deleted right now" });
    }
  }
  return fail({ kind: "conflict", message: "others change it at the same time: try again" });
}

/** The answer of the first call may have been lost. */
async function repeated({ env, caller }: ManageContext, owner: Owner, id: string): Promise<Result<DeletedEndpoint>> {
  const deleted = await askD1(() => findDeleted(env.DB, owner, id));
  if (!deleted.ok) return deleted;
  const isTheirs = deleted.value !== null && (caller.endpointIds === null || caller.endpointIds.includes(id));
  return isTheirs ? ok({ id, applied: deleted.value.applied }) : fail({ kind: "not_found", what: "endpoint" });
}
