// Endpoints with their upstreams, worker keys and rates, as they are stored in D1.
import type { FleetSettings } from "../contract/fleet.ts";
import { allowedOriginsSchema } from "../contract/manage/managed-endpoint.ts";
import { type EndpointSettings, endpointSettingsSchema } from "../contract/settings.ts";
import { TENANT_SHARE_DEFAULT_PERCENT } from "../core/limits.ts";
import { log } from "../log.ts";
import { FLEET_COLUMNS, type FleetRow, readFleet } from "./endpoint-fleets.ts";
import { BEFORE_NEWEST, type Page, type PageStart } from "./page.ts";
import { LIVE_WORKER_KEY, listRatesOf, selectRates } from "./rates.ts";
import { bound, type Database, runAll, statement } from "./statement.ts";

/** An endpoint with the settings for its broker, and with what decides whether a caller may use it. */
export interface LoadedEndpoint {
  readonly settings: EndpointSettings;
  /** Open to every tenant with a key. */
  readonly shared: boolean;
  /** The origins whose pages may call it. Brokers have no use for them. */
  readonly allowedOrigins: readonly string[];
  /** The JSON Schema of its jobs' inputs, as text; null: any input is taken. Its broker does not need it. */
  readonly inputSchema: string | null;
}

// Columns are read under the names that they have in the settings, whose schema checks their values.
interface EndpointRow extends FleetRow {
  readonly endpointId: string;
  readonly shared: number;
  readonly paused: number;
  readonly tenantSharePercent: number | null;
  readonly allowedOrigins: string;
  readonly inputSchema?: string | null;
}
type ItsRow = { endpointId: string; tier: string };
type UpstreamRow = ItsRow & { local: number };

/**
 * An id wins over a slug of the same text: otherwise a slug could take the place of another tenant's endpoint. A deleted
 * endpoint is found by neither.
 */
const ITS_ID = `(SELECT id FROM endpoints WHERE (id = ?1 OR slug = ?1) AND deleted_at IS NULL
  ORDER BY id = ?1 DESC LIMIT 1)`;
/** A JSON array of ids, whatever their number. Deleted endpoints are among them until their brokers are empty. */
const THEIR_IDS = "(SELECT id FROM endpoints WHERE id IN (SELECT value FROM json_each(?1)) AND emptied_at IS NULL)";

/**
 * The statements that read endpoints. `ids` is SQL with one parameter that gives the ids of the endpoints; `more`: SQL of further
 * columns of theirs.
 */
function readEndpoints(ids: string, more = ""): readonly string[] {
  return [
    `SELECT id AS endpointId, coalesce(number, 0) AS number, tenant_id AS tenantId, shared, kind, body_max_bytes AS bodyMaxBytes, version, paused,
       max_attempts AS maxAttempts, execution_timeout_ms AS executionTimeoutMs, ttl_ms AS ttlMs,
       run_retention_ms AS runRetentionMs, runsync_retention_ms AS runsyncRetentionMs, openai_routes AS openaiRoutes,
       tenant_share_percent AS tenantSharePercent, allowed_origins AS allowedOrigins, deleted_at AS deletedAtMs,
       ${FLEET_COLUMNS}${more} FROM endpoints WHERE id IN ${ids}`,
    `SELECT id, endpoint_id AS endpointId, url, dialect, local, slots, tier, rate_kind AS rateKind,
       sealed_credential AS credential FROM upstreams WHERE endpoint_id IN ${ids} AND enabled = 1 ORDER BY id`,
    `SELECT id, endpoint_id AS endpointId, digest, tier, rate_kind AS rateKind, slots, expires_at AS expiresAtMs
       FROM api_keys WHERE endpoint_id IN ${ids} AND ${LIVE_WORKER_KEY} ORDER BY id`,
    selectRates(ids),
  ];
}

const FOR_THE_EDGE = ", input_schema AS inputSchema";
const READ_ONE = readEndpoints(ITS_ID, FOR_THE_EDGE);
const READ_NUMBERED = readEndpoints(
  "(SELECT id FROM endpoints WHERE number = ?1 AND deleted_at IS NULL)",
  FOR_THE_EDGE,
);
const READ_MANY = readEndpoints(THEIR_IDS);

/** The endpoint of an id or a slug; null when there is none. One round trip, and a second one where its fleet has other tiers. */
export async function loadEndpoint(db: Database, idOrSlug: string): Promise<LoadedEndpoint | null> {
  return readOne(db, READ_ONE, idOrSlug);
}

/** The endpoint whose number stands in the ids of its jobs; null when there is none. */
export async function loadNumberedEndpoint(db: Database, number: number): Promise<LoadedEndpoint | null> {
  return readOne(db, READ_NUMBERED, number);
}

async function readOne(
  db: Database,
  statements: readonly string[],
  named: string | number,
): Promise<LoadedEndpoint | null> {
  const rows = await read(db, statements, named);
  const [row] = rows.endpoints;
  if (row === undefined) return null;
  const allowedOrigins = allowedOriginsSchema.parse(JSON.parse(row.allowedOrigins));
  const fleet = readFleet(row);
  return {
    settings: toSettings(row, fleet, await withRatesOf(db, rows, [fleet])),
    shared: row.shared === 1,
    allowedOrigins,
    inputSchema: row.inputSchema ?? null,
  };
}

/**
 * The settings of those that exist, by four statements for any number, and a fifth one where fleets have other tiers: for brokers, so
 * that deleted endpoints are among them until their brokers have emptied themselves. Unreadable ones are logged and left out.
 */
export async function loadManySettings(db: Database, endpointIds: readonly string[]): Promise<EndpointSettings[]> {
  const found = await read(db, READ_MANY, JSON.stringify(endpointIds));
  const withFleets = found.endpoints.flatMap((row) => readable(row, () => ({ row, fleet: readFleet(row) })));
  const fleets = withFleets.map(({ fleet }) => fleet);
  const rows = await withRatesOf(db, found, fleets);
  return withFleets.flatMap(({ row, fleet }) => readable(row, () => toSettings(row, fleet, rows)));
}

function readable<T>({ endpointId }: EndpointRow, make: () => T): readonly T[] {
  try {
    return [make()];
  } catch (error) {
    log("settings_unreadable", { endpoint: endpointId, error: String(error) });
    return [];
  }
}

/** The rows with the prices of the machines that the fleets may have. */
async function withRatesOf(db: Database, rows: Rows, fleets: readonly (FleetSettings | null)[]): Promise<Rows> {
  const known = new Set(rows.rates.map(({ tier }) => tier));
  const tiers = fleets.flatMap((fleet) => fleet?.candidates ?? []).map(({ tier }) => tier);
  const missing = [...new Set(tiers)].filter((tier) => !known.has(tier));
  return missing.length === 0 ? rows : { ...rows, rates: [...rows.rates, ...(await listRatesOf(db, missing))] };
}

async function read(db: Database, statements: readonly string[], named: string | number): Promise<Rows> {
  const asked = statements.map((sql) => statement(sql, named));
  const [endpoints = [], upstreams = [], workerKeys = [], rates = []] = await runAll(db, asked);
  // The types of a batch's rows are unknown; the schema of the settings checks what is made of them.
  return { endpoints, upstreams, workerKeys, rates } as Rows;
}

/** The id behind an id or a slug; null when there is no such endpoint. */
export async function findIdOf(db: Database, idOrSlug: string): Promise<string | null> {
  return bound(db, statement(`SELECT id FROM endpoints WHERE id = ${ITS_ID}`, idOrSlug)).first<string>("id");
}

/** The id of the only endpoint of a tenant with this name for people; null: there is none, or there are several. */
export async function findIdOfName(db: Database, tenantId: string, name: string): Promise<string | null> {
  const sql = "SELECT id FROM endpoints WHERE tenant_id = ? AND name = ? AND deleted_at IS NULL LIMIT 2";
  const { results } = await bound(db, statement(sql, tenantId, name)).all<{ id: string }>();
  return results.length === 1 ? (results[0]?.id ?? null) : null;
}

/** The settings alone, which the edge sends to the broker; null when there is no such endpoint. */
export async function loadEndpointSettings(db: Database, idOrSlug: string): Promise<EndpointSettings | null> {
  return (await loadEndpoint(db, idOrSlug))?.settings ?? null;
}

/** A page of the endpoints that a tenant may call, its own and shared ones, newest first; `only`: of these ids alone. */
export async function listCallable(
  db: Database,
  tenantId: string,
  { after, limit }: Page,
  only: readonly string[] | null = null,
): Promise<PageStart[]> {
  const { createdAtMs, id } = after ?? BEFORE_NEWEST;
  // One statement for each index, because `tenant_id = ? OR shared = 1` would read every row.
  const page = (whose: string) => `SELECT * FROM (SELECT id, created_at AS createdAtMs FROM endpoints
    WHERE ${whose} AND (created_at, id) < (?2, ?3) AND deleted_at IS NULL
      AND (?5 IS NULL OR id IN (SELECT value FROM json_each(?5))) ORDER BY created_at DESC, id DESC LIMIT ?4)`;
  const sql = `${page("tenant_id = ?1")} UNION ${page("shared = 1")} ORDER BY createdAtMs DESC, id DESC LIMIT ?4`;
  const ids = only === null ? null : JSON.stringify(only);
  return (await bound(db, statement(sql, tenantId, createdAtMs, id, limit, ids)).all<PageStart>()).results;
}

/** Rows of one endpoint, or of several. */
interface Rows {
  readonly endpoints: readonly EndpointRow[];
  readonly upstreams: readonly UpstreamRow[];
  readonly workerKeys: readonly ItsRow[];
  readonly rates: readonly Pick<ItsRow, "tier">[];
}

function toSettings(row: EndpointRow, fleet: FleetSettings | null, rows: Rows): EndpointSettings {
  const upstreams = rows.upstreams.filter(({ endpointId }) => endpointId === row.endpointId);
  const workerKeys = rows.workerKeys.filter(({ endpointId }) => endpointId === row.endpointId);
  const priced = [...upstreams, ...workerKeys, ...(fleet?.candidates ?? [])];
  const tiers = new Set(priced.map(({ tier }) => tier));
  const shared = row.shared === 1;
  return endpointSettingsSchema.parse({
    ...row,
    shared,
    paused: row.paused === 1,
    // An endpoint that only its owner may call has no other tenant to leave room for.
    tenantSharePercent: row.tenantSharePercent ?? (shared ? TENANT_SHARE_DEFAULT_PERCENT : 100),
    upstreams: upstreams.map((upstream) => ({ ...upstream, local: upstream.local === 1 })),
    workerKeys,
    rates: rows.rates.filter(({ tier }) => tiers.has(tier)),
    fleet,
  });
}
