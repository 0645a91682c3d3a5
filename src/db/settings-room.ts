// How long the settings of an endpoint are: its broker stores them in one row, and a page of the cron holds those of many in memory.
import { LIVE_WORKER_KEY } from "./rates.ts";
import { bound, type Database, statement } from "./statement.ts";

/** About what an upstream takes as JSON beside its address and its credential, and what a worker's key takes in all. */
const UPSTREAM_CHARS = 200;
const WORKER_KEY_CHARS = 250;

/** About the characters of the endpoint's upstreams, disabled ones included, and of the keys of its workers that are still good. */
export async function countSettingsChars(db: Database, endpointId: string): Promise<number> {
  const sql = `SELECT (SELECT coalesce(sum(length(url) + coalesce(length(sealed_credential), 0) + ${UPSTREAM_CHARS}), 0)
      FROM upstreams WHERE endpoint_id = ?1)
    + (SELECT ${WORKER_KEY_CHARS} * count(*) FROM api_keys WHERE endpoint_id = ?1 AND ${LIVE_WORKER_KEY}) AS chars`;
  return (await bound(db, statement(sql, endpointId)).first<number>("chars")) ?? 0;
}
