// Which version of its settings each broker has taken. What is behind stands in an index of its own, so that a look at
// 10,000 endpoints of which none is behind reads nothing.

const LIST_BEHIND = `SELECT id FROM endpoints WHERE taken_version < version
  ORDER BY id <= COALESCE((SELECT value FROM meta WHERE name = 'repaired_through'), ''), id LIMIT ?`;
const NOTE_REPAIRED_THROUGH = `INSERT INTO meta (name, value) VALUES ('repaired_through', ?)
  ON CONFLICT (name) DO UPDATE SET value = excluded.value`;
const NOTE_TAKEN = `UPDATE endpoints SET taken_version = taken.version
  FROM (SELECT json_extract(value, '$.endpointId') AS id, json_extract(value, '$.version') AS version FROM json_each(?)) AS taken
  WHERE endpoints.id = taken.id AND endpoints.taken_version < taken.version`;

/** A broker's own word on the version that it has. */
export interface TakenVersion {
  readonly endpointId: string;
  readonly version: number;
}

/**
 * The next endpoints whose brokers are behind, after those of the last call. Where not all fit, their last one is noted first, so
 * that a round that dies, or brokers that never answer, leave the next call to others.
 */
export async function takeBehind(db: D1Database, limit: number): Promise<string[]> {
  const { results } = await db.prepare(LIST_BEHIND).bind(limit).all<{ id: string }>();
  const ids = results.map((row) => row.id);
  const last = ids.at(-1);
  if (last !== undefined && ids.length === limit) await db.prepare(NOTE_REPAIRED_THROUGH).bind(last).run();
  return ids;
}

/** Never goes back: of two answers that cross, the older one changes nothing. */
export async function noteTaken(db: D1Database, taken: readonly TakenVersion[]): Promise<void> {
  if (taken.length > 0) await db.prepare(NOTE_TAKEN).bind(JSON.stringify(taken)).run();
}
