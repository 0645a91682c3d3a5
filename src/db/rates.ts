// Prices of GPU tiers. Rows are added, never changed: a broker gets past, present and announced prices alike.
import { statement } from "./statement.ts";

/** A worker key that still opens its endpoint. */
export const LIVE_WORKER_KEY = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > unixepoch() * 1000)";

/** All prices of the tiers that enabled upstreams and live worker keys of endpoints use; their ids are given as SQL. */
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
