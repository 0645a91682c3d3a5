// Deletes an endpoint, for whatever API asked for it: D1 first, from where on no caller finds it, then its broker, which ends its jobs
// and is empty a day later. What a lost push leaves undone the cron repairs.
import { fail, ok, type Result } from "../core/failure.ts";
import { askD1 } from "../db/ask-d1.ts";
import { deleteEndpoint as deleteRows, findDeleted } from "../db/deleted-endpoints.ts";
import { expectVersion } from "../db/expectations.ts";
import type { Owner } from "../db/managed-endpoints.ts";
import { removeRow } from "./commit.ts";
import { audited, type ManageContext, opens } from "./context.ts";
import { readEndpoint } from "./endpoints.ts";
import { pushSettings } from "./push.ts";

/** `applied` false: the broker will learn of it within 5 min, and until then its jobs run on. */
export interface DeletedEndpoint {
  readonly id: string;
  readonly applied: boolean;
}

/** Deletes the endpoint of an id or slug. One that is deleted already is found by its id, so that a repeated call is no failure. */
export async function deleteEndpoint(
  context: ManageContext,
  owner: Owner,
  idOrSlug: string,
): Promise<Result<DeletedEndpoint>> {
  const removed = await removeRow(
    context,
    () => readEndpoint(context, owner, idOrSlug),
    async ({ id, tenantId, version, name }) => {
      const changes = [{ field: "name", old: name, new: null }];
      return ok([
        expectVersion("endpoints", id, version),
        audited(context, { tenantId, action: "endpoint.delete", objectId: id, changes }),
        ...deleteRows(id, context.nowMs),
      ]);
    },
  );
  if (!removed.ok) return removed.failure.kind === "not_found" ? repeated(context, owner, idOrSlug) : removed;
  const { id } = removed.value;
  return ok({ id, applied: await pushSettings(context.env, id) });
}

/** The answer of the first call may have been lost. */
async function repeated({ env, caller }: ManageContext, owner: Owner, id: string): Promise<Result<DeletedEndpoint>> {
  const deleted = await askD1(() => findDeleted(env.DB, owner, id));
  if (!deleted.ok) return deleted;
  const { value } = deleted;
  return value !== null && opens(caller, id)
    ? ok({ id, applied: value.applied })
    : fail({ kind: "not_found", what: "endpoint" });
}
