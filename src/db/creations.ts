// Creations by Idempotency-Key: which thing a key has made, remembered for a day in the batch that makes it.
import { IDEMPOTENCY_MS } from "../core/limits.ts";
import { bound, type Database, type Statement, statement } from "./statement.ts";

/** A creating call as it is remembered. */
export interface CreatingCall {
  /** As the client sent it. */
  readonly key: string;
  /** Of what it asked for: hex of SHA-256 over method, path, query and body. */
  readonly fingerprint: string;
}

export interface Created {
  readonly fingerprint: string;
  readonly objectId: string;
}

/** Remembers a creation, and drops two that are older than a day: more than come. Fails where the key is in use. */
export function rememberCreation(
  tenantId: string,
  { key, fingerprint }: CreatingCall,
  objectId: string,
  nowMs: number,
): Statement[] {
  const drop = `DELETE FROM creations WHERE (tenant_id, idempotency_key) IN
    (SELECT tenant_id, idempotency_key FROM creations WHERE expires_at <= ? ORDER BY expires_at LIMIT 2)
    OR (tenant_id = ? AND idempotency_key = ? AND expires_at <= ?)`;
  const insert = `INSERT INTO creations (tenant_id, idempotency_key, fingerprint, object_id, expires_at) VALUES (?, ?, ?, ?, ?)`;
  return [
    statement(drop, nowMs, tenantId, key, nowMs),
    statement(insert, tenantId, key, fingerprint, objectId, nowMs + IDEMPOTENCY_MS),
  ];
}

/** What a key has made within the last day; null: nothing. */
export async function findCreation(
  db: Database,
  tenantId: string,
  key: string,
  nowMs: number,
): Promise<Created | null> {
  const sql = `SELECT fingerprint, object_id AS objectId FROM creations
    WHERE tenant_id = ? AND idempotency_key = ? AND expires_at > ?`;
  return bound(db, statement(sql, tenantId, key, nowMs)).first<Created>();
}

/** Did a batch end because its Idempotency-Key has made something already? */
export function isRepeatedCreation(error: unknown): boolean {
  return String(error).includes("creations.");
}
