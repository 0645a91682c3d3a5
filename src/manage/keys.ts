// Makes, changes, rotates and revokes the API keys of tenants. Nobody gives what they lack, and the deployment keeps a key by which it
// can be operated.
import type { Scope } from "../contract/identity.ts";
import { isKeyOver } from "../core/access/api-key.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { fieldChanges } from "../core/manage/changes.ts";
import { toTimeText } from "../core/manage/time-text.ts";
import { askD1 } from "../db/ask-d1.ts";
import { expectVersion, isWithoutOwner } from "../db/expectations.ts";
import { revokeKey as revokeStored } from "../db/keys.ts";
import {
  expectOtherAdmin,
  findCallable,
  findClientKey,
  hasOtherAdmin,
  insertClientKey,
  type KeySettings,
  type ManagedKey,
  updateClientKey,
} from "../db/managed-keys.ts";
import type { Statement } from "../db/statement.ts";
import { drawKey } from "./api-key.ts";
import { changeRow, createOnce, findMade, type Made } from "./commit.ts";
import { audited, type ManageContext, ownerOf } from "./context.ts";
import { type AskedExpiry, readExpiry } from "./expiry.ts";

/** A key as it was made: `key` is its text, for this answer alone. */
export interface MadeKey extends Made {
  readonly key: string;
}

/** The key of an id. A key for some endpoints only sees none here: what it is itself /v1/me tells it. */
export async function readKey(
  { env, caller }: Pick<ManageContext, "env" | "caller">,
  id: string,
): Promise<Result<ManagedKey>> {
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const found = await askD1(() => findClientKey(env.DB, ownerOf(caller), id));
  if (!found.ok) return found;
  return found.value === null ? fail({ kind: "not_found", what: "key" }) : ok(found.value);
}

/** A key that is asked for; `endpointIds` may have slugs. */
export interface WantedKey extends AskedExpiry {
  readonly tenantId: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly endpointIds?: readonly string[] | undefined;
}

/** Makes a key, once for each Idempotency-Key. */
export async function createKey(context: ManageContext, wanted: WantedKey): Promise<Result<MadeKey>> {
  const { env, caller, nowMs } = context;
  const { tenantId, name, scopes } = wanted;
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const lacked = lackedScope(context, scopes);
  if (lacked !== null) return fail({ kind: "forbidden", scope: lacked });
  const expiry = readExpiry(wanted, nowMs);
  if (!expiry.ok) return expiry;
  const endpointIds = await resolve(context, tenantId, wanted.endpointIds ?? null);
  if (!endpointIds.ok) return endpointIds;
  const settings = { name, scopes, endpointIds: endpointIds.value, expiresAtMs: expiry.value ?? null };
  const { key, ...drawn } = await drawKey(env);
  const made = await createOnce(context, drawn.id, insertion(context, tenantId, drawn, settings), refuseTenant);
  return made.ok ? ok({ ...made.value, key }) : made;
}

/** A change of a key: members that are left out stay. */
export interface KeyPatch extends AskedExpiry {
  readonly name?: string | undefined;
  readonly scopes?: readonly Scope[] | undefined;
  /** Ids or slugs; null: no restriction. */
  readonly endpointIds?: readonly string[] | null | undefined;
}

/** Changes a key that still works. */
export async function changeKey(context: ManageContext, id: string, patch: KeyPatch): Promise<Result<ManagedKey>> {
  const changed = await changeRow(
    context,
    () => readKey(context, id),
    (now) => planChange(context, now, patch),
  );
  return changed.ok ? ok(changed.value.row) : changed;
}

async function planChange(
  context: ManageContext,
  now: ManagedKey,
  patch: KeyPatch,
): Promise<Result<readonly Statement[] | null>> {
  const { nowMs } = context;
  const usable = checkUsable(now, nowMs);
  if (!usable.ok) return usable;
  const added = (patch.scopes ?? []).filter((scope) => !now.scopes.includes(scope));
  const lacked = lackedScope(context, [...added, ...now.scopes.filter(isAdmin)]);
  if (lacked !== null) return fail({ kind: "forbidden", scope: lacked });
  const expiry = readExpiry(patch, nowMs);
  if (!expiry.ok) return expiry;
  const endpointIds =
    patch.endpointIds === undefined ? ok(now.endpointIds) : await resolve(context, now.tenantId, patch.endpointIds);
  if (!endpointIds.ok) return endpointIds;
  const next = {
    name: patch.name ?? now.name,
    scopes: patch.scopes ?? now.scopes,
    endpointIds: endpointIds.value,
    expiresAtMs: expiry.value === undefined ? now.expiresAtMs : expiry.value,
  };
  const changes = fieldChanges(auditedFields(now), auditedFields(next));
  if (changes.length === 0) return ok(null);
  const guard = operates(next) && lasts(now, next) ? ok([]) : await keepOperable(context, now);
  if (!guard.ok) return guard;
  const { id, tenantId } = now;
  return ok([
    expectVersion("api_keys", id, now.version),
    ...guard.value,
    updateClientKey(id, next),
    audited(context, { tenantId, action: "key.update", objectId: id, changes }),
  ]);
}

/** The new key of a rotation, and how the old one ends; null: the call is a repeated one, which ends nothing. */
export interface Rotated extends MadeKey {
  readonly replaced: { readonly id: string; readonly expiresAtMs: number } | null;
}

/** Makes a key with the settings of another one, which ends after the overlap, or at its own expiry if that comes first. */
export async function rotateKey(context: ManageContext, id: string, overlapMs: number): Promise<Result<Rotated>> {
  const { env, nowMs } = context;
  const found = await readKey(context, id);
  if (!found.ok) return found;
  const old = found.value;
  const lacked = lackedScope(context, old.scopes);
  if (lacked !== null) return fail({ kind: "forbidden", scope: lacked });
  // Before the old key is judged: it may have ended by the rotation that is repeated.
  const known = await findMade(context);
  if (!known.ok) return known;
  if (known.value !== null) return ok({ ...known.value, key: "", replaced: null });
  const usable = checkUsable(old, nowMs);
  if (!usable.ok) return usable;
  const { key, ...drawn } = await drawKey(env);
  const expiresAtMs = Math.min(nowMs + overlapMs, old.expiresAtMs ?? Number.MAX_SAFE_INTEGER);
  const changes = [
    ...fieldChanges(auditedFields(old), auditedFields({ ...old, expiresAtMs })),
    { field: "replacedBy", old: null, new: drawn.id },
  ];
  const statements = [
    expectVersion("api_keys", id, old.version),
    ...insertion(context, old.tenantId, drawn, old),
    updateClientKey(id, { ...old, expiresAtMs }),
    audited(context, { tenantId: old.tenantId, action: "key.rotate", objectId: id, changes }),
  ];
  const made = await createOnce(context, drawn.id, statements);
  if (!made.ok) return made;
  return ok({ ...made.value, key, replaced: made.value.replayed ? null : { id, expiresAtMs } });
}

/** Revokes a key. One that was revoked before keeps its time. */
export async function revokeKey(context: ManageContext, id: string): Promise<Result<ManagedKey>> {
  const { nowMs } = context;
  const changed = await changeRow(
    context,
    () => readKey(context, id),
    async (now) => {
      if (now.revokedAtMs !== null) return ok(null);
      const lacked = lackedScope(context, now.scopes.filter(isAdmin));
      if (lacked !== null) return fail({ kind: "forbidden", scope: lacked });
      const guard = await keepOperable(context, now);
      if (!guard.ok) return guard;
      const changes = [{ field: "revokedAt", old: null, new: toTimeText(nowMs) }];
      return ok([
        expectVersion("api_keys", id, now.version),
        ...guard.value,
        revokeStored(id, nowMs),
        audited(context, { tenantId: now.tenantId, action: "key.revoke", objectId: id, changes }),
      ]);
    },
  );
  return changed.ok ? ok(changed.value.row) : changed;
}

/** The statements that add a key, and its line in the audit. */
function insertion(
  context: ManageContext,
  tenantId: string,
  drawn: { readonly id: string; readonly digest: string },
  { name, scopes, endpointIds, expiresAtMs }: KeySettings,
): Statement[] {
  const { nowMs } = context;
  const settings = { name, scopes, endpointIds, expiresAtMs };
  const changes = fieldChanges({}, auditedFields(settings));
  return [
    insertClientKey({ ...drawn, ...settings, tenantId, createdAtMs: nowMs }),
    audited(context, { tenantId, action: "key.create", objectId: drawn.id, changes }),
  ];
}

const isAdmin = (scope: Scope): boolean => scope === "admin";

/**
 * A scope that the caller cannot give, because it has not got it; null: it has all. The scope admin stands for all, and who manages a
 * tenant can send its jobs elsewhere anyway, so that manage stands for jobs.
 */
function lackedScope({ caller }: ManageContext, scopes: readonly Scope[]): Scope | null {
  if (caller.scopes.includes("admin")) return null;
  const given = caller.scopes.includes("manage") ? [...caller.scopes, "jobs"] : caller.scopes;
  return scopes.find((scope) => !given.includes(scope)) ?? null;
}

/** A key that has ended stays so: who has its text may be the one for whom it was ended. */
function checkUsable(key: ManagedKey, nowMs: number): Result<null> {
  if (!isKeyOver(key, nowMs)) return ok(null);
  const how = key.revokedAtMs === null ? "has expired" : "is revoked";
  return fail({ kind: "conflict", message: `the key ${how}: make another one` });
}

/** Can the deployment be operated with a key of these settings, as long as it lasts? */
function operates({ scopes, endpointIds }: Pick<ManagedKey, "scopes" | "endpointIds">): boolean {
  return scopes.includes("admin") && endpointIds === null;
}

function lasts(now: KeySettings, next: KeySettings): boolean {
  return next.expiresAtMs === null || now.expiresAtMs !== null;
}

/** The expectation under which this key may go: another one is left with which the deployment can be operated as long. */
async function keepOperable({ env, nowMs }: ManageContext, now: ManagedKey): Promise<Result<readonly Statement[]>> {
  if (!operates(now) || isKeyOver(now, nowMs)) return ok([]);
  const forEver = now.expiresAtMs === null;
  const other = await askD1(() => hasOtherAdmin(env.DB, now.id, nowMs, forEver));
  if (!other.ok) return other;
  if (other.value) return ok([expectOtherAdmin(now.id, nowMs, forEver)]);
  const which = forEver ? "the last key of the scope admin that does not expire" : "the last key of the scope admin";
  return fail({ kind: "conflict", message: `this is ${which}: without it nobody could operate the deployment` });
}

/** The ids of endpoints by what a request calls them. An endpoint that the tenant may not call is as unknown as none. */
async function resolve(
  { env }: ManageContext,
  tenantId: string,
  names: readonly string[] | null,
): Promise<Result<readonly string[] | null>> {
  if (names === null) return ok(null);
  const found = await askD1(() => findCallable(env.DB, tenantId, names));
  if (!found.ok) return found;
  const unknown = names.find((name) => !found.value.has(name));
  if (unknown === undefined) return ok([...new Set(found.value.values())]);
  const message = `the tenant may call no endpoint with the id or slug ${unknown}`;
  return fail({ kind: "invalid", field: "endpointIds", message });
}

function auditedFields({ name, scopes, endpointIds, expiresAtMs }: KeySettings): Record<string, unknown> {
  const expiresAt = toTimeText(expiresAtMs);
  return { name, scopes, endpointIds, expiresAt };
}

function refuseTenant(error: unknown): Result<never> {
  if (isWithoutOwner(error)) return fail({ kind: "not_found", what: "tenant" });
  throw error;
}
