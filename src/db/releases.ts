// Releases: the versions of what an endpoint's workers are started with, each with what it changed.
import { fieldChangesSchema } from "../contract/manage/change.ts";
import type { FieldChange } from "../core/manage/changes.ts";
import { bound, type Database, insertInto, type Statement, statement } from "./statement.ts";

export interface Release {
  readonly endpointId: string;
  /** 1, 2 and so on for each endpoint. */
  readonly number: number;
  readonly id: string;
  readonly createdAtMs: number;
  /** The key that made it; null: a migration, or somebody on the database itself. */
  readonly keyId: string | null;
  /** Never with a value of the environment. */
  readonly diff: readonly FieldChange[];
}

export function insertRelease({ endpointId, number, id, createdAtMs, keyId, diff }: Release): Statement {
  return insertInto("releases", {
    endpoint_id: endpointId,
    number,
    id,
    created_at: createdAtMs,
    key_id: keyId,
    diff: JSON.stringify(diff),
  });
}

type ReleaseRow = Omit<Release, "diff"> & { readonly diff: string };

/** The newest releases of an endpoint, newest first. */
export async function listReleases(db: Database, endpointId: string, limit: number): Promise<Release[]> {
  const sql = `SELECT endpoint_id AS endpointId, number, id, created_at AS createdAtMs, key_id AS keyId, diff
    FROM releases WHERE endpoint_id = ? ORDER BY number DESC LIMIT ?`;
  const { results } = await bound(db, statement(sql, endpointId, limit)).all<ReleaseRow>();
  return results.map((row) => ({ ...row, diff: fieldChangesSchema.parse(JSON.parse(row.diff)) }));
}
