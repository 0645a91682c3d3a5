// /v1/keys: the keys of a tenant's clients and operators. Keys of workers belong to an endpoint, under whose path they are.
import * as z from "zod";
import {
  type CreateKey,
  createdKeySchema,
  createKeySchema,
  keySchema,
  type PatchKey,
  patchKeySchema,
  type RotateKey,
  revokedKeySchema,
  rotatedKeySchema,
  rotateKeySchema,
  type ShownKey,
} from "../../contract/manage/key.ts";
import { pageShape, paginationSchema } from "../../contract/manage/page.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { listClientKeys, type ManagedKey } from "../../db/managed-keys.ts";
import { FRESH_MS } from "../../db/stale-cache.ts";
import { changeKey, createKey, readKey, revokeKey, rotateKey } from "../../manage/keys.ts";
import { forgetKey } from "../kit/auth.ts";
import { contextOf } from "../kit/manage-context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { loadPage } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";
import { askedTenant, listOwner, ownerShape } from "./owner.ts";

const paramsSchema = z.object({ key: z.string().meta({ description: "Id of a key: wb_live_{id}_…" }) });
const querySchema = z.strictObject({ ...pageShape, ...ownerShape });
const shared = { plane: "v1", tag: "Keys", scopes: ["manage", "admin"] } as const;
const PATH = "/v1/keys";

export const KEY_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: PATH,
    id: "listKeys",
    summary: "List keys",
    description:
      "Newest first, revoked ones included, without keys of workers. With the scope admin `?tenant` names another tenant, " +
      "or all of them with `*`.",
    kind: "reads",
    query: querySchema,
    answers: {
      200: {
        description: "A page of keys",
        schema: z.object({ keys: z.array(keySchema), pagination: paginationSchema }),
      },
    },
    handle: list,
  }),
  operation({
    ...shared,
    method: "POST",
    path: PATH,
    id: "createKey",
    summary: "Create a key",
    description:
      "The key is in this answer alone. A caller gives no scope that it lacks: admin stands for all, manage for jobs.",
    kind: "creates",
    body: createKeySchema,
    answers: { 201: { description: "The new key", schema: createdKeySchema } },
    handle: create,
  }),
  operation({
    ...shared,
    method: "GET",
    path: `${PATH}/:key`,
    id: "getKey",
    summary: "Read a key",
    description: "Everything but the key itself.",
    kind: "reads",
    params: paramsSchema,
    answers: { 200: { description: "The key", schema: keySchema } },
    handle: read,
  }),
  operation({
    ...shared,
    method: "PATCH",
    path: `${PATH}/:key`,
    id: "updateKey",
    summary: "Change a key",
    description:
      "A field that is left out stays. The change holds everywhere within 30 s. A key that has ended stays so.",
    kind: "changes",
    params: paramsSchema,
    body: patchKeySchema,
    answers: { 200: { description: "The key as it is now", schema: keySchema } },
    handle: change,
  }),
  operation({
    ...shared,
    method: "POST",
    path: `${PATH}/:key/rotate`,
    id: "rotateKey",
    summary: "Replace a key",
    description: "Makes a key with the same settings; the old one ends after the overlap.",
    kind: "creates",
    params: paramsSchema,
    body: rotateKeySchema,
    answers: { 201: { description: "The new key, and when the old one ends", schema: rotatedKeySchema } },
    handle: rotate,
  }),
  operation({
    ...shared,
    method: "DELETE",
    path: `${PATH}/:key`,
    id: "revokeKey",
    summary: "Revoke a key",
    description:
      "Takes effect everywhere within 30 s. The last key with which the deployment can be operated cannot be revoked.",
    kind: "changes",
    params: paramsSchema,
    answers: { 200: { description: "The revoked key", schema: revokedKeySchema } },
    handle: revoke,
  }),
];

type Params = z.infer<typeof paramsSchema>;

async function list({
  env,
  caller,
  query,
}: OperationCall<unknown, z.infer<typeof querySchema>, unknown>): Promise<Result<Reply>> {
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const owner = listOwner(caller, query.tenant);
  if (!owner.ok) return owner;
  const found = await loadPage(query, (page) => listClientKeys(env.DB, owner.value, page));
  if (!found.ok) return found;
  const { rows, pagination } = found.value;
  return ok({ status: 200, body: { keys: rows.map(show), pagination } });
}

async function create(call: OperationCall<unknown, unknown, CreateKey>): Promise<Result<Reply>> {
  const tenantId = askedTenant(call.caller, call.body.tenantId);
  if (!tenantId.ok) return tenantId;
  const made = await createKey(contextOf(call), { ...call.body, tenantId: tenantId.value });
  if (!made.ok) return made;
  const { id, replayed, key } = made.value;
  const found = await readKey(call, id);
  if (!found.ok) return found;
  return ok({
    status: 201,
    body: { ...show(found.value), ...(replayed ? {} : { key }) },
    version: found.value.version,
  });
}

async function read(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  const found = await readKey(call, call.params.key);
  return found.ok ? ok({ status: 200, body: show(found.value), version: found.value.version }) : found;
}

async function change(call: OperationCall<Params, unknown, PatchKey>): Promise<Result<Reply>> {
  const changed = await changeKey(contextOf(call), call.params.key, call.body);
  if (!changed.ok) return changed;
  forgetKey(changed.value.id);
  return ok({ status: 200, body: show(changed.value), version: changed.value.version });
}

async function rotate(call: OperationCall<Params, unknown, RotateKey>): Promise<Result<Reply>> {
  const made = await rotateKey(contextOf(call), call.params.key, call.body.overlapSeconds * 1_000);
  if (!made.ok) return made;
  const { id, key, replayed, replaced } = made.value;
  const found = await readKey(call, id);
  if (!found.ok) return found;
  const body = { ...show(found.value), ...(replayed ? {} : { key }) };
  const { version } = found.value;
  if (replaced === null) return ok({ status: 201, body, version });
  forgetKey(replaced.id);
  // Isolates that have kept the old key go by its former expiry until they read it again.
  const effectiveAt = toTimeText(Math.max(replaced.expiresAtMs, call.nowMs + FRESH_MS));
  const old = { id: replaced.id, expiresAt: toTimeText(replaced.expiresAtMs), effectiveAt };
  return ok({ status: 201, body: { ...body, replaced: old }, version });
}

async function revoke(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  const revoked = await revokeKey(contextOf(call), call.params.key);
  if (!revoked.ok) return revoked;
  const { id, revokedAtMs, version } = revoked.value;
  forgetKey(id);
  const effectiveAt = toTimeText((revokedAtMs ?? call.nowMs) + FRESH_MS);
  return ok({ status: 200, body: { ...show(revoked.value), effectiveAt }, version });
}

function show({ createdAtMs, expiresAtMs, revokedAtMs, scopes, endpointIds, ...key }: ManagedKey): ShownKey {
  return {
    ...key,
    scopes: [...scopes],
    endpointIds: endpointIds === null ? null : [...endpointIds],
    expiresAt: toTimeText(expiresAtMs),
    revokedAt: toTimeText(revokedAtMs),
    createdAt: toTimeText(createdAtMs),
  };
}
