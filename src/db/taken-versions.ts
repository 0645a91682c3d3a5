// Which version of its settings each broker has taken. Endpoints whose brokers are behind have an index of their own,
// so that a query over 10,000 endpoints of which none is behind reads no row. A deleted endpoint is in it until its broker has
// taken the deletion, and never again once that broker is empty. While an import is under way none is called: it would take settings
// that are there in part.
import { IS_IMPORTING } from "./importing.ts";

const LIST_BEHIND = `SELECT id FROM endpoints WHERE taken_version < version AND emptied_at IS NULL AND NOT ${IS_IMPORTING}
  ORDER BY id <= COALESCE((SELECT value FROM meta WHERE name = 'repaired_through'), ''), id LIMIT ?`;
const NOTE_REPAIRED_THROUGH = `INSERT INTO meta (name, value) VALUES ('repaired_through', ?)
  ON CONFLICT (name) DO UPDATE SET value = excluded.value`;
const NOTE_TAKEN = `UPDATE endpoints SET taken_version = taken.version
  FROM (SELECT json_extract(value, '$.endpointId') AS id, json_extract(value, '$.version') AS version FROM json_each(?)) AS taken
  WHERE endpoints.id = taken.id AND endpoints.taken_version < taken.version`;

/** The version of its settings that a broker has reported. */
export interface TakenVersion {
  readonly endpointId: string;
  readonly version: number;
}

/**
 * The next endpoints whose brokers are behind, after those of the last call. If more may follow, the last id is stored
 * before this returns, so that after a round that dies, or brokers that never answer, the next call begins with others.
 */
export async function takeBehind(db: D1Database, limit: number): Promise<string[]> {
  const { results } = await db.prepare(LIST_BEHIND).bind(limit).all<{ id: string }>();
  const ids = results.map((row) => row.id);
  const last = ids.at(-1);
  if (last !== undefined && ids.length === limit) await db.prepare(NOTE_REPAIRED_THROUGH).bind(last).run();
  return ids;
}

/** The first of a tenant's endpoints whose brokers are behind. */
export async function listBehindOf(db: D1Database, tenantId: string, limit: number): Promise<string[]> {
  const sql = "SELECT id FROM endpoints WHERE taken_version < version AND emptied_at IS NULL AND tenant_id = ? LIMIT ?";
  const { results } = await db.prepare(sql).bind(tenantId, limit).all<{ id: string }>();
  return results.map(({ id }) => id);
}

/** Is any broker behind? */
export async function isAnyBehind(db: D1Database): Promise<boolean> {
  const sql = "SELECT EXISTS (SELECT 1 FROM endpoints WHERE taken_version < version AND emptied_at IS NULL) AS found";
  return (await db.prepare(sql).first<number>("found")) === 1;
}

/** Stores the reported versions. A stored version never falls: an older report that arrives late changes nothing. */
export async function noteTaken(db: D1Database, taken: readonly TakenVersion[]): Promise<void> {
  if (taken.length > 0) await db.prepare(NOTE_TAKEN).bind(JSON.stringify(taken)).run();
}
