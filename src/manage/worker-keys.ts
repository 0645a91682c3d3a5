// Makes and revokes the keys with which workers fetch an endpoint's jobs.
import type { WorkerKey } from "../contract/settings.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { fieldChanges } from "../core/manage/changes.ts";
import { toTimeText } from "../core/manage/time-text.ts";
import { askD1 } from "../db/ask-d1.ts";
import { expectVersion } from "../db/expectations.ts";
import { insertWorkerKey, revokeKey } from "../db/keys.ts";
import { findManagedWorkerKey, type ManagedWorkerKey } from "../db/worker-keys.ts";
import { drawKey } from "./api-key.ts";
import { changeRow, createOnce, type Made } from "./commit.ts";
import { audited, type ManageContext, ownerOf } from "./context.ts";
import { readEndpoint, refuseGone } from "./endpoints.ts";
import { type AskedExpiry, readExpiry } from "./expiry.ts";
import { pushSettings } from "./push.ts";
import { checkRoom } from "./settings-room.ts";
import { checkTier } from "./tiers.ts";

/** A worker's key as it was made: `key` is its text, for this answer alone. */
export interface MadeWorkerKey extends Made {
  readonly key: string;
  readonly endpointId: string;
  /** The endpoint's broker takes the key already; else it asks for it when a worker comes with it. */
  readonly applied: boolean;
}

export interface WantedWorkerKey extends Pick<WorkerKey, "tier" | "rateKind" | "slots">, AskedExpiry {
  readonly name: string;
}

/** A key of the workers of an endpoint that the caller may see. */
export async function readWorkerKey(
  context: Pick<ManageContext, "env" | "caller">,
  idOrSlug: string,
  id: string,
): Promise<Result<ManagedWorkerKey>> {
  const endpoint = await readEndpoint(context, ownerOf(context.caller), idOrSlug);
  if (!endpoint.ok) return endpoint;
  const found = await askD1(() => findManagedWorkerKey(context.env.DB, endpoint.value.id, id));
  if (!found.ok) return found;
  return found.value === null ? fail({ kind: "not_found", what: "key" }) : ok(found.value);
}

/** Makes a key, once for each Idempotency-Key. */
export async function createWorkerKey(
  context: ManageContext,
  idOrSlug: string,
  { expiresAt, expiresInSeconds, ...wanted }: WantedWorkerKey,
): Promise<Result<MadeWorkerKey>> {
  const { env, caller, nowMs } = context;
  const endpoint = await readEndpoint(context, ownerOf(caller), idOrSlug);
  if (!endpoint.ok) return endpoint;
  const { id: endpointId, tenantId, kind } = endpoint.value;
  if (kind === "load_balancer") return fail({ kind: "wrong_state", message: noPulling(endpointId) });
  const tier = await checkTier(env, wanted.tier);
  if (!tier.ok) return tier;
  const room = await checkRoom(env, endpointId);
  if (!room.ok) return room;
  const expiry = readExpiry({ expiresAt, expiresInSeconds }, nowMs);
  if (!expiry.ok) return expiry;
  const { key, ...drawn } = await drawKey(env);
  const settings = { ...wanted, expiresAtMs: expiry.value ?? null };
  const ends = toTimeText(settings.expiresAtMs);
  const changes = fieldChanges({}, { endpointId, ...wanted, expiresAt: ends });
  const statements = [
    insertWorkerKey({ ...drawn, ...settings, endpointId, createdAtMs: nowMs }),
    audited(context, { tenantId, action: "worker_key.create", objectId: drawn.id, changes }),
  ];
  const made = await createOnce(context, drawn.id, statements, refuseGone);
  if (!made.ok) return made;
  return ok({ ...made.value, key, endpointId, applied: await pushSettings(env, endpointId) });
}

/** Revokes a key of workers; jobs that they hold are lost to them. One that was revoked before keeps its time. */
export async function revokeWorkerKey(
  context: ManageContext,
  idOrSlug: string,
  id: string,
): Promise<Result<{ readonly workerKey: ManagedWorkerKey; readonly applied: boolean }>> {
  const { env, nowMs } = context;
  const changed = await changeRow(
    context,
    () => readWorkerKey(context, idOrSlug, id),
    async (now) => {
      if (now.revokedAtMs !== null) return ok(null);
      const changes = [{ field: "revokedAt", old: null, new: toTimeText(nowMs) }];
      return ok([
        expectVersion("api_keys", id, now.version),
        revokeKey(id, nowMs),
        audited(context, { tenantId: now.tenantId, action: "worker_key.revoke", objectId: id, changes }),
      ]);
    },
    refuseGone,
  );
  if (!changed.ok) return changed;
  const workerKey = changed.value.row;
  return ok({ workerKey, applied: await pushSettings(env, workerKey.endpointId) });
}

function noPulling(endpointId: string): string {
  return (
    "this endpoint is load-balanced, so its workers do not pull: add each as an upstream that is called, by " +
    `POST /v1/endpoints/${endpointId}/upstreams with the dialect http`
  );
}
