// The keys of an endpoint's workers as they are managed. Triggers in D1 raise the version of the endpoint with each change.
import type { WorkerKey } from "../contract/settings.ts";
import { BEFORE_NEWEST, type Page } from "./page.ts";
import { bound, type Database, statement } from "./statement.ts";

/** A worker's key without its digest. */
export interface ManagedWorkerKey extends Pick<WorkerKey, "id" | "tier" | "rateKind" | "slots" | "expiresAtMs"> {
  readonly endpointId: string;
  readonly tenantId: string;
  readonly name: string;
  readonly revokedAtMs: number | null;
  readonly createdAtMs: number;
  readonly version: number;
}

const COLUMNS = `id, endpoint_id AS endpointId, tenant_id AS tenantId, name, tier, rate_kind AS rateKind, slots,
  expires_at AS expiresAtMs, revoked_at AS revokedAtMs, created_at AS createdAtMs, version`;

/** A key of this endpoint's workers; null: it has none with this id. */
export async function findManagedWorkerKey(
  db: Database,
  endpointId: string,
  id: string,
): Promise<ManagedWorkerKey | null> {
  const sql = `SELECT ${COLUMNS} FROM api_keys WHERE id = ? AND endpoint_id = ?`;
  return bound(db, statement(sql, id, endpointId)).first<ManagedWorkerKey>();
}

/** A page of an endpoint's worker keys, newest first, revoked ones included. */
export async function listWorkerKeys(
  db: Database,
  endpointId: string,
  { after, limit }: Page,
): Promise<ManagedWorkerKey[]> {
  const { createdAtMs, id } = after ?? BEFORE_NEWEST;
  const sql = `SELECT ${COLUMNS} FROM api_keys WHERE endpoint_id = ? AND (created_at, id) < (?, ?)
    ORDER BY created_at DESC, id DESC LIMIT ?`;
  const { results } = await bound(db, statement(sql, endpointId, createdAtMs, id, limit)).all<ManagedWorkerKey>();
  return results;
}
