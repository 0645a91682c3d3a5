// Creates and changes tenants.
import { readConfig } from "../config.ts";
import { WEBHOOK_SECRET_PLACE } from "../core/access/sealing.ts";
import { makeWebhookSecret, WEBHOOK_SECRET_BYTES } from "../core/access/webhook-secret.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { TENANT_WAITING_DEFAULT_MAX } from "../core/limits.ts";
import { fieldChanges } from "../core/manage/changes.ts";
import { givenOf } from "../core/manage/given.ts";
import { askD1 } from "../db/ask-d1.ts";
import { expectVersion } from "../db/expectations.ts";
import { findTenant, insertTenant, type Tenant, updateTenant } from "../db/tenants.ts";
import { seal } from "../outbound/credentials.ts";
import { changeRow, createOnce, type Made } from "./commit.ts";
import { audited, type ManageContext, ownerOf } from "./context.ts";

/** The tenant of an id: any for the scope admin, else the caller's own. A key that is for some endpoints only may not read it. */
export async function readTenant(
  { env, caller }: Pick<ManageContext, "env" | "caller">,
  id: string,
): Promise<Result<Tenant>> {
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const found = await askD1(() => findTenant(env.DB, ownerOf(caller), id));
  if (!found.ok) return found;
  return found.value === null ? fail({ kind: "not_found", what: "tenant" }) : ok(found.value);
}

/** What an operator may set of a tenant's limits. */
type TenantLimits = { readonly [Each in "waitingMax" | "runningMax" | "limits"]: Tenant[Each] | undefined };

/** Creates a tenant, once for each Idempotency-Key, and the secret that signs its webhooks: it can be read only now. */
export async function createTenant(
  context: ManageContext,
  wanted: Pick<Tenant, "name"> & Partial<TenantLimits>,
): Promise<Result<Made & { readonly webhookSecret: string }>> {
  const { env, caller, nowMs } = context;
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const id = `ten-${crypto.randomUUID()}`;
  const { name, waitingMax = TENANT_WAITING_DEFAULT_MAX, runningMax = null, limits = null } = wanted;
  const webhookSecret = makeWebhookSecret(crypto.getRandomValues(new Uint8Array(WEBHOOK_SECRET_BYTES)));
  const sealedWebhookSecret = await seal(webhookSecret, readConfig(env).encryptionKey, WEBHOOK_SECRET_PLACE);
  const changes = fieldChanges({}, { name, waitingMax, runningMax, limits });
  const statements = [
    insertTenant({ id, name, waitingMax, runningMax, limits, sealedWebhookSecret, createdAtMs: nowMs }),
    audited(context, { tenantId: id, action: "tenant.create", objectId: id, changes }),
  ];
  const made = await createOnce(context, id, statements);
  return made.ok ? ok({ ...made.value, webhookSecret }) : made;
}

/** Changes a tenant. Calls that the edge lets in by a cached key go by the former limits for up to 30 s. */
export async function changeTenant(
  context: ManageContext,
  id: string,
  patch: { readonly name?: string | undefined } & Partial<TenantLimits>,
): Promise<Result<Tenant>> {
  const changed = await changeRow(
    context,
    () => readTenant(context, id),
    async (now) => {
      const { name, waitingMax, runningMax, limits } = now;
      const before = { name, waitingMax, runningMax, limits };
      const next = { ...before, ...givenOf(patch) };
      const changes = fieldChanges(before, next);
      if (changes.length === 0) return ok(null);
      return ok([
        expectVersion("tenants", now.id, now.version),
        updateTenant(now.id, next),
        audited(context, { tenantId: now.id, action: "tenant.update", objectId: now.id, changes }),
      ]);
    },
  );
  return changed.ok ? ok(changed.value.row) : changed;
}
