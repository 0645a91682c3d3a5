// The audit: who changed which setting, when, and from what to what. A line is written in the batch of its change.
import { fieldChangesSchema } from "../contract/manage/change.ts";
import type { FieldChange } from "../core/manage/changes.ts";
import { bound, type Database, type Statement, statement } from "./statement.ts";

/** A change of one thing. `changes` must hold no secret. */
export interface AuditEntry {
  readonly tenantId: string;
  readonly atMs: number;
  /** The key that was used; null: a migration, or somebody on the database itself. */
  readonly keyId: string | null;
  /** `endpoint.update`, `key.revoke` and the like. */
  readonly action: string;
  readonly objectId: string;
  readonly changes: readonly FieldChange[];
  readonly requestId: string | null;
}

/** A line as it is read. `number` grows with each line of the deployment. */
export interface AuditLine extends AuditEntry {
  readonly number: number;
}

export function insertAudit({ tenantId, atMs, keyId, action, objectId, changes, requestId }: AuditEntry): Statement {
  const sql = `INSERT INTO audit_lines (tenant_id, at, key_id, action, object_id, changes, request_id)
    VALUES (?, ?, ?, ?, ?, ?, ?)`;
  return statement(sql, tenantId, atMs, keyId, action, objectId, JSON.stringify(changes), requestId);
}

type AuditRow = Omit<AuditLine, "changes"> & { readonly changes: string };

const COLUMNS = `number, tenant_id AS tenantId, at AS atMs, key_id AS keyId, action, object_id AS objectId, changes,
  request_id AS requestId`;

/** Lines of a tenant (null: of all), newest first, before a number. */
export async function listAudit(
  db: Database,
  { tenantId, before, limit }: { readonly tenantId: string | null; readonly before: number; readonly limit: number },
): Promise<AuditLine[]> {
  // Two statements, because one with `?1 IS NULL OR` would use no index.
  const asked =
    tenantId === null
      ? statement(`SELECT ${COLUMNS} FROM audit_lines WHERE number < ? ORDER BY number DESC LIMIT ?`, before, limit)
      : statement(
          `SELECT ${COLUMNS} FROM audit_lines WHERE tenant_id = ? AND number < ? ORDER BY number DESC LIMIT ?`,
          tenantId,
          before,
          limit,
        );
  const { results } = await bound(db, asked).all<AuditRow>();
  return results.map((row) => ({ ...row, changes: fieldChangesSchema.parse(JSON.parse(row.changes)) }));
}

/** Lines that are looked through for an earlier change: more than are written while a client repeats a call. */
const EARLIER_LINES_MAX = 1_000;

/** Was this done to a thing of the tenant, as far as its newest lines show? */
export async function wasDone(db: Database, tenantId: string, action: string, objectId: string): Promise<boolean> {
  const sql = `SELECT count(*) AS found FROM
    (SELECT action, object_id FROM audit_lines WHERE tenant_id = ? ORDER BY number DESC LIMIT ${EARLIER_LINES_MAX})
    WHERE action = ? AND object_id = ?`;
  return ((await bound(db, statement(sql, tenantId, action, objectId)).first<number>("found")) ?? 0) > 0;
}
