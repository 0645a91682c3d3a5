// Prices of GPU tiers. Rows are added, never changed: a broker gets past, present and announced prices alike.
import type { EndpointSettings } from "../contract/settings.ts";

/** A row as `selectRates` reads it. */
export type RateRow = { tier: string; kind: "flex" | "active"; effective_from: number; nanodollars_per_second: number };

/** All prices of the tiers in use by enabled upstreams of one endpoint, given by its id as SQL. */
export function selectRates(endpointIdSql: string): string {
  return `SELECT tier, kind, effective_from, nanodollars_per_second FROM gpu_rates
    WHERE tier IN (SELECT tier FROM upstreams WHERE endpoint_id = ${endpointIdSql} AND enabled = 1)
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
