// The rows of upstreams. Triggers in D1 raise the version of the endpoint with each change.
import type { Upstream } from "../contract/settings.ts";
import { insertInto, type Statement, statement } from "./statement.ts";

/** Adds an enabled upstream. Its `credential` is sealed at `credentialPlace(id)`, or null when it needs none. */
export function insertUpstream(endpointId: string, upstream: Upstream, createdAtMs: number): Statement {
  return insertInto("upstreams", {
    id: upstream.id,
    endpoint_id: endpointId,
    url: upstream.url,
    dialect: upstream.dialect,
    local: upstream.local ? 1 : 0,
    slots: upstream.slots,
    tier: upstream.tier,
    rate_kind: upstream.rateKind,
    sealed_credential: upstream.credential,
    enabled: 1,
    created_at: createdAtMs,
  });
}

export function deleteUpstream(upstreamId: string): Statement {
  return statement("DELETE FROM upstreams WHERE id = ?", upstreamId);
}

/** An upstream that is not enabled keeps its row, and gets no job. */
export function updateEnabled(upstreamId: string, enabled: boolean): Statement {
  return statement("UPDATE upstreams SET enabled = ? WHERE id = ?", enabled ? 1 : 0, upstreamId);
}

export function updateUrl(upstreamId: string, url: string): Statement {
  return statement("UPDATE upstreams SET url = ? WHERE id = ?", url, upstreamId);
}

/** One row with the `endpoint_id`, or none. */
export function selectEndpointOf(upstreamId: string): Statement {
  return statement("SELECT endpoint_id FROM upstreams WHERE id = ?", upstreamId);
}

/** All upstreams without their credentials, oldest first. */
export const SELECT_UPSTREAMS = statement(
  `SELECT id, endpoint_id, url, dialect, local, slots, tier, rate_kind, enabled FROM upstreams
    ORDER BY created_at`,
);
