// The rows of upstreams. Triggers in D1 raise the version of the endpoint with each change; their own is raised here.
import type { Upstream } from "../contract/settings.ts";
import { BEFORE_NEWEST, type Page } from "./page.ts";
import { assignments, bound, type Database, insertInto, type Statement, statement } from "./statement.ts";

/** An upstream as it is managed: its credential is sealed. */
export interface ManagedUpstream extends Upstream {
  readonly endpointId: string;
  readonly name: string;
  readonly enabled: boolean;
  /** Tier, rate and slots are an operator's, not the tenant's own. */
  readonly pricedByOperator: boolean;
  readonly version: number;
  readonly createdAtMs: number;
}

/**
 * Adds an upstream, enabled and at an operator's price unless it is said otherwise. Its `credential` is sealed at `credentialPlace(id)`, or null when it needs
 * none.
 */
export function insertUpstream(
  endpointId: string,
  upstream: Upstream & Partial<Pick<ManagedUpstream, "name" | "enabled" | "pricedByOperator">>,
  createdAtMs: number,
): Statement {
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
    enabled: upstream.enabled === false ? 0 : 1,
    name: upstream.name ?? "",
    priced_by_operator: upstream.pricedByOperator === false ? 0 : 1,
    created_at: createdAtMs,
  });
}

const COLUMNS = `id, endpoint_id AS endpointId, url, dialect, local, slots, tier, rate_kind AS rateKind,
  sealed_credential AS credential, enabled, name,
  priced_by_operator AS pricedByOperator, version, created_at AS createdAtMs`;

type Switch = "local" | "enabled" | "pricedByOperator";
type Row = Omit<ManagedUpstream, Switch> & { readonly [Name in Switch]: number };

function toManaged({ local, enabled, pricedByOperator, ...row }: Row): ManagedUpstream {
  return { ...row, local: local === 1, enabled: enabled === 1, pricedByOperator: pricedByOperator === 1 };
}

/** An upstream of this endpoint; null: it has none with this id. */
export async function findUpstream(db: Database, endpointId: string, id: string): Promise<ManagedUpstream | null> {
  const sql = `SELECT ${COLUMNS} FROM upstreams WHERE id = ? AND endpoint_id = ?`;
  const row = await bound(db, statement(sql, id, endpointId)).first<Row>();
  return row === null ? null : toManaged(row);
}

/** A page of an endpoint's upstreams, newest first. */
export async function listUpstreams(
  db: Database,
  endpointId: string,
  { after, limit }: Page,
): Promise<ManagedUpstream[]> {
  const { createdAtMs, id } = after ?? BEFORE_NEWEST;
  const sql = `SELECT ${COLUMNS} FROM upstreams WHERE endpoint_id = ? AND (created_at, id) < (?, ?)
    ORDER BY created_at DESC, id DESC LIMIT ?`;
  const { results } = await bound(db, statement(sql, endpointId, createdAtMs, id, limit)).all<Row>();
  return results.map(toManaged);
}

/** What of an upstream can be changed. */
export type UpstreamSettings = Pick<
  ManagedUpstream,
  "url" | "slots" | "tier" | "rateKind" | "credential" | "enabled" | "name" | "pricedByOperator"
>;

/** Gives an upstream the settings that are given, at least one. */
export function updateUpstream(id: string, settings: Partial<UpstreamSettings>): Statement {
  const { url, slots, tier, rateKind, credential, enabled, name, pricedByOperator } = settings;
  const { set, values } = assignments({
    url,
    slots,
    tier,
    rate_kind: rateKind,
    sealed_credential: credential,
    enabled: enabled === undefined ? undefined : Number(enabled),
    name,
    priced_by_operator: pricedByOperator === undefined ? undefined : Number(pricedByOperator),
  });
  return statement(`UPDATE upstreams SET ${set}, version = version + 1 WHERE id = ?`, ...values, id);
}

export function deleteUpstream(upstreamId: string): Statement {
  return statement("DELETE FROM upstreams WHERE id = ?", upstreamId);
}
