// Prices of GPU tiers. Rows are added, never changed, so that a broker gets past, present and announced prices.
import { bound, type Database, statement } from "./statement.ts";

/** SQL condition: the worker key is neither revoked nor expired, so that it still opens its endpoint. */
export const LIVE_WORKER_KEY = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > unixepoch() * 1000)";

/** All prices of the tiers of endpoints' enabled upstreams and live worker keys. `ids`: SQL that gives their ids. */
export function selectRates(ids: string): string {
  return `SELECT tier, kind, effective_from AS effectiveFromMs, nanodollars_per_second AS nanodollarsPerSecond FROM gpu_rates
    WHERE tier IN (
      SELECT tier FROM upstreams WHERE endpoint_id IN ${ids} AND enabled = 1
      UNION SELECT tier FROM api_keys WHERE endpoint_id IN ${ids} AND ${LIVE_WORKER_KEY}
    )
    ORDER BY tier, kind, effective_from`;
}

/** The tiers that have a price, smallest first. */
export const SELECT_TIERS = statement("SELECT id FROM gpu_tiers ORDER BY vram_gb, id");

/** Nano-dollars per second of each tier at a time, by the tier's id, for work that is not always on. */
export async function findFlexRates(db: Database, atMs: number): Promise<ReadonlyMap<string, number>> {
  // SQLite takes the other columns of an aggregate by max() from the row that has it.
  const sql = `SELECT tier, nanodollars_per_second AS rate, max(effective_from) FROM gpu_rates
    WHERE kind = 'flex' AND effective_from <= ? GROUP BY tier`;
  const { results } = await bound(db, statement(sql, atMs)).all<{ tier: string; rate: number }>();
  return new Map(results.map(({ tier, rate }) => [tier, rate]));
}
