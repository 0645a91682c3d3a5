// The deletion of an endpoint: its row stays as the record that its id was used, its slug and its secrets do not. From then on
// no lookup of a caller finds it (endpoints.ts); its broker gets its settings until it has emptied itself.
import type { Owner } from "./managed-endpoints.ts";
import { bound, type Database, type Statement, statement } from "./statement.ts";

/** Only the first deletion counts, so each statement but the last one looks whether it is that. */
const STILL_THERE = "EXISTS (SELECT 1 FROM endpoints WHERE id = ?1 AND deleted_at IS NULL)";

/**
 * Deletes an endpoint, its upstreams with their sealed credentials and the environment of its workers, and revokes their keys. To be run as one
 * batch, in this order; it changes nothing where the endpoint is deleted already or does not exist.
 */
export function deleteEndpoint(endpointId: string, atMs: number): readonly Statement[] {
  return [
    statement(`DELETE FROM upstreams WHERE endpoint_id = ?1 AND ${STILL_THERE}`, endpointId),
    statement(
      `UPDATE api_keys SET revoked_at = ?2 WHERE endpoint_id = ?1 AND revoked_at IS NULL AND ${STILL_THERE}`,
      endpointId,
      atMs,
    ),
    // Slugs are unique, and no path can name one with a space: the former slug is free, and nothing finds the endpoint. A template
    // that it had may be removed.
    statement(
      `UPDATE endpoints SET deleted_at = ?2, slug = 'deleted ' || id, sealed_env = NULL, template_id = NULL
       WHERE id = ?1 AND deleted_at IS NULL`,
      endpointId,
      atMs,
    ),
  ];
}

/** Notes that the broker of a deleted endpoint has nothing left. From then on the cron does not call it. */
export async function noteEmptied(db: Database, endpointId: string, atMs: number): Promise<void> {
  const sql = `UPDATE endpoints SET emptied_at = ?2 WHERE id = ?1 AND deleted_at IS NOT NULL AND emptied_at IS NULL`;
  await bound(db, statement(sql, endpointId, atMs)).all();
}

/** A deleted endpoint of this owner's; null: none has this id. `applied`: its broker has taken the deletion. */
export async function findDeleted(
  db: Database,
  owner: Owner,
  id: string,
): Promise<{ readonly applied: boolean } | null> {
  const sql = `SELECT taken_version >= version OR emptied_at IS NOT NULL AS applied FROM endpoints
    WHERE id = ?1 AND (?2 IS NULL OR tenant_id = ?2) AND deleted_at IS NOT NULL`;
  const applied = await bound(db, statement(sql, id, owner)).first<number>("applied");
  return applied === null ? null : { applied: applied === 1 };
}
