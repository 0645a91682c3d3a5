// API keys and the tenants that they stand for.
import { type Caller, changedLimitsSchema } from "../contract/identity.ts";
import type { WorkerKey } from "../contract/settings.ts";
import { OPERATIONS } from "../core/access/limits.ts";
import { fieldsOf } from "../core/json/value.ts";
import { ImportUnfinished, IS_IMPORTING } from "./importing.ts";
import { parseLists, type StoredLists } from "./key-lists.ts";
import { LIVE_WORKER_KEY } from "./rates.ts";
import { type Database, type Statement, statement } from "./statement.ts";

/** A stored key. `digest` is hex of HMAC-SHA-256(pepper, key). */
export interface StoredKey {
  readonly digest: string;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  readonly caller: Caller;
}

/** What every look-up begins with, so that it gives a row also where there is no key: all columns of that are null then. */
const LOOK_UP = `FROM (SELECT ${IS_IMPORTING} AS importing) LEFT JOIN api_keys ON api_keys.id = ?`;
/** A row of LOOK_UP that has no key. */
type NoKey = { readonly importing: number; readonly keyId: null };

interface KeyRow extends Omit<StoredKey, "caller">, Omit<Caller, keyof StoredLists | "limits" | "bound">, StoredLists {
  readonly importing: number;
  readonly runningMax: number | null;
  readonly tenantVersion: number;
  readonly limits: string | null;
}

/** The key with this id, and its tenant; null when there is no such key. Throws ImportUnfinished. */
export async function findKey(db: Database, keyId: string): Promise<StoredKey | null> {
  const row = await db
    .prepare(
      `SELECT importing, api_keys.id AS keyId, digest, scopes, endpoint_ids AS endpointIds, expires_at AS expiresAtMs, revoked_at AS revokedAtMs, tenant_id AS tenantId,
         waiting_max AS waitingMax, running_max AS runningMax, limits, tenants.version AS tenantVersion, sealed_webhook_secret AS sealedWebhookSecret
       ${LOOK_UP} LEFT JOIN tenants ON tenants.id = api_keys.tenant_id`,
    )
    .bind(keyId)
    .first<KeyRow | NoKey>();
  if (row?.importing === 1) throw new ImportUnfinished();
  if (row === null || row.keyId === null) return null;
  const { importing: _, digest, expiresAtMs, revokedAtMs, runningMax, tenantVersion, limits, ...caller } = row;
  const bound = { runningMax, version: tenantVersion };
  const shown = { ...caller, ...parseLists(caller), bound, limits: parseLimits(limits) };
  return { digest, expiresAtMs, revokedAtMs, caller: shown };
}

/** The limits of a tenant, which D1 has as a text. Those of operations of a later release are left out: all of its keys must go on to work. */
export function parseLimits(text: string | null): Caller["limits"] {
  const stored = fieldsOf(JSON.parse(text ?? "null"));
  if (stored === null) return null;
  const known = OPERATIONS.filter((operation) => Object.hasOwn(stored, operation));
  return changedLimitsSchema.parse(Object.fromEntries(known.map((operation) => [operation, stored[operation]])));
}

/** A key and the one endpoint that it opens to workers; both null: it is a client's key, which opens none. */
export type WorkerKeyPlace = { readonly digest: string } & (
  | { readonly endpointId: string; readonly slug: string }
  | { readonly endpointId: null; readonly slug: null }
);

/** The key with this id as a worker shows it; null when there is none, or when it is revoked or has expired. Throws ImportUnfinished. */
export async function findWorkerKey(db: Database, keyId: string): Promise<WorkerKeyPlace | null> {
  const row = await db
    .prepare(
      `SELECT importing, api_keys.id AS keyId, digest, endpoints.id AS endpointId, slug
       ${LOOK_UP} AND ${LIVE_WORKER_KEY} LEFT JOIN endpoints ON endpoints.id = api_keys.endpoint_id`,
    )
    .bind(keyId)
    .first<(WorkerKeyPlace & { readonly importing: number; readonly keyId: string }) | NoKey>();
  if (row?.importing === 1) throw new ImportUnfinished();
  if (row === null || row.keyId === null) return null;
  const { importing: _, keyId: __, ...place } = row;
  return place;
}

/** The members that every new key has. */
export interface NewKey {
  readonly id: string;
  readonly digest: string;
  /** A name for people to read. */
  readonly name: string;
  readonly createdAtMs: number;
}

/**
 * Adds a key for the workers of an endpoint. The statement itself reads the endpoint's tenant, to whom the key belongs;
 * it fails for an endpoint that does not exist or is deleted.
 */
export function insertWorkerKey(
  key: NewKey &
    Pick<WorkerKey, "tier" | "rateKind" | "slots"> & {
      readonly endpointId: string;
      readonly expiresAtMs?: number | null;
    },
): Statement {
  const { endpointId, id, digest, name, createdAtMs, tier, rateKind, slots, expiresAtMs = null } = key;
  const sql = `INSERT INTO api_keys
      (endpoint_id, tenant_id, id, digest, scopes, name, created_at, tier, rate_kind, slots, expires_at)
      VALUES (?1, (SELECT tenant_id FROM endpoints WHERE id = ?1 AND deleted_at IS NULL), ?2, ?3, 'worker', ?4, ?5, ?6, ?7, ?8, ?9)`;
  return statement(sql, endpointId, id, digest, name, createdAtMs, tier, rateKind, slots, expiresAtMs);
}

/** Revokes a key. A key that was revoked before keeps its earlier time. */
export function revokeKey(keyId: string, atMs: number): Statement {
  const sql = "UPDATE api_keys SET revoked_at = ?, version = version + 1 WHERE id = ? AND revoked_at IS NULL";
  return statement(sql, atMs, keyId);
}

/** The ids of keys that open the whole deployment, some of them. */
export function selectUsableAdminKeys(nowMs: number): Statement {
  const sql = `SELECT id FROM api_keys WHERE instr(scopes, 'admin') > 0 AND endpoint_ids IS NULL AND revoked_at IS NULL
    AND (expires_at IS NULL OR expires_at > ?) LIMIT 3`;
  return statement(sql, nowMs);
}
