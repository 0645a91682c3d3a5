// Prices of GPU tiers. Rows are added, never changed: a broker gets past, present and announced prices alike.
import type { EndpointSettings } from "../contract/settings.ts";

/** A row as `selectRates` reads it. */
export type RateRow = { tier: string; kind: "flex" | "active"; effective_from: number; nanodollars_per_second: number };

/** A worker key that still opens its endpoint. */
export const LIVE_WORKER_KEY = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > unixepoch() * 1000)";

/** All prices of the tiers that enabled upstreams and live worker keys of endpoints use; their ids are given as SQL. */
export function selectRates(ids: string): string {
  return `SELECT tier, kind, effective_from, nanodollars_per_second FROM gpu_rates
    WHERE tier IN (
      SELECT tier FROM upstreams WHERE endpoint_id IN ${ids} AND enabled = 1
      UNION SELECT tier FROM api_keys WHERE endpoint_id IN ${ids} AND ${LIVE_WORKER_KEY}
    )
    ORDER BY tier, kind, effective_from`;
}

export function toRate(row: RateRow): EndpointSettings["rates"][number] {
  return {
    tier: row.tier,
    kind: row.kind,
    nanodollarsPerSecond: row.nanodollars_per_second,
    effectiveFromMs: row.effective_from,
  };
}
