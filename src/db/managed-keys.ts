// API keys as they are managed. Those of workers are in worker-keys.ts: no statement here finds or changes one.
import type { Scope } from "../contract/identity.ts";
import { expectThat } from "./expectations.ts";
import { listColumns, parseLists, type StoredLists } from "./key-lists.ts";
import type { Owner } from "./managed-endpoints.ts";
import { BEFORE_NEWEST, type Page } from "./page.ts";
import { assignments, bound, type Database, insertInto, type Statement, statement } from "./statement.ts";

/** A key without its digest. */
export interface ManagedKey {
  readonly id: string;
  readonly tenantId: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** The only endpoints that it opens; null: all of its tenant's and all shared ones. */
  readonly endpointIds: readonly string[] | null;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  readonly createdAtMs: number;
  readonly version: number;
}

type Row = Omit<ManagedKey, keyof StoredLists> & StoredLists;

const COLUMNS = `id, tenant_id AS tenantId, name, scopes, endpoint_ids AS endpointIds, expires_at AS expiresAtMs,
  revoked_at AS revokedAtMs, created_at AS createdAtMs, version`;

function toKey(row: Row): ManagedKey {
  return { ...row, ...parseLists(row) };
}

/** The key of an id; null: there is none of this owner's. */
export async function findClientKey(db: Database, owner: Owner, id: string): Promise<ManagedKey | null> {
  const sql = `SELECT ${COLUMNS} FROM api_keys WHERE id = ?1 AND endpoint_id IS NULL AND (?2 IS NULL OR tenant_id = ?2)`;
  const row = await bound(db, statement(sql, id, owner)).first<Row>();
  return row === null ? null : toKey(row);
}

/** A page of the owner's keys, newest first, revoked ones included. */
export async function listClientKeys(db: Database, owner: Owner, { after, limit }: Page): Promise<ManagedKey[]> {
  const { createdAtMs, id } = after ?? BEFORE_NEWEST;
  const place = owner === null ? "" : "tenant_id = ?4 AND";
  const sql = `SELECT ${COLUMNS} FROM api_keys WHERE ${place} endpoint_id IS NULL AND (created_at, id) < (?1, ?2)
    ORDER BY created_at DESC, id DESC LIMIT ?3`;
  const params = [createdAtMs, id, limit, ...(owner === null ? [] : [owner])];
  const { results } = await bound(db, statement(sql, ...params)).all<Row>();
  return results.map(toKey);
}

/** Adds a key. `digest`: hex of HMAC-SHA-256(pepper, key). */
export function insertClientKey(
  key: Omit<ManagedKey, "revokedAtMs" | "version"> & { readonly digest: string },
): Statement {
  return insertInto("api_keys", {
    id: key.id,
    tenant_id: key.tenantId,
    digest: key.digest,
    created_at: key.createdAtMs,
    ...toColumns(key),
  });
}

/** What of a key can be changed. */
export type KeySettings = Pick<ManagedKey, "name" | "scopes" | "endpointIds" | "expiresAtMs">;

/** Gives a key these settings. */
export function updateClientKey(id: string, settings: KeySettings): Statement {
  const { set, values } = assignments(toColumns(settings));
  const sql = `UPDATE api_keys SET ${set}, version = version + 1 WHERE id = ? AND endpoint_id IS NULL`;
  return statement(sql, ...values, id);
}

function toColumns({ name, expiresAtMs, ...lists }: KeySettings) {
  return { name, ...listColumns(lists), expires_at: expiresAtMs };
}

/** SQL: another key than ?1 that operates the deployment at ?2; where ?3 is 1, for ever. Its index is admin_keys. */
const OTHER_ADMIN = `SELECT 1 FROM api_keys WHERE instr(scopes, 'admin') > 0 AND id <> ?1 AND revoked_at IS NULL
  AND endpoint_ids IS NULL AND (expires_at IS NULL OR (?3 = 0 AND expires_at > ?2))`;

/** Is there a key beside this one with which the deployment can be operated? `forEver`: one without an expiry. */
export async function hasOtherAdmin(db: Database, id: string, nowMs: number, forEver: boolean): Promise<boolean> {
  const sql = `SELECT EXISTS (${OTHER_ADMIN}) AS found`;
  return (await bound(db, statement(sql, id, nowMs, Number(forEver))).first<number>("found")) === 1;
}

/** Ends the batch unless `hasOtherAdmin`: two calls at once must not revoke the last two keys. */
export function expectOtherAdmin(id: string, nowMs: number, forEver: boolean): Statement {
  return expectThat("other admin", `EXISTS (${OTHER_ADMIN})`, id, nowMs, Number(forEver));
}

/** Ends the batch unless a key is still as the caller has it: isolates keep one for up to 30 s after it was revoked. */
export function expectLiveKey(
  { keyId, ...lists }: { readonly keyId: string } & Pick<ManagedKey, "scopes" | "endpointIds">,
  nowMs: number,
): Statement {
  const { scopes, endpoint_ids: endpointIds } = listColumns(lists);
  const isLive = `EXISTS (SELECT 1 FROM api_keys
    WHERE id = ? AND scopes = ? AND endpoint_ids IS ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?))`;
  return expectThat("live key", isLive, keyId, scopes, endpointIds, nowMs);
}

/** The ids of the endpoints that a tenant may call, by what they are named: an id or a slug. Others are not in it. */
export async function findCallable(
  db: Database,
  tenantId: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const sql = `SELECT value AS name, (SELECT id FROM endpoints WHERE (id = value OR slug = value) AND (tenant_id = ?1 OR shared = 1)
        AND deleted_at IS NULL ORDER BY id = value DESC LIMIT 1) AS id FROM json_each(?2)`;
  const { results } = await bound(db, statement(sql, tenantId, JSON.stringify(names))).all<{
    name: string;
    id: string | null;
  }>();
  return new Map(results.flatMap(({ name, id }) => (id === null ? [] : [[name, id] as const])));
}
