// Endpoints with their upstreams, worker keys and rates, as D1 holds them.
import { type EndpointSettings, endpointSettingsSchema } from "../contract/settings.ts";
import { TENANT_SHARE_DEFAULT_PERCENT } from "../core/limits.ts";
import { log } from "../log.ts";
import { LIVE_WORKER_KEY, type RateRow, selectRates, toRate } from "./rates.ts";

/** What a caller needs to be let in, and what its broker needs to work. */
export interface LoadedEndpoint {
  readonly settings: EndpointSettings;
  /** Open to every tenant with a key. */
  readonly shared: boolean;
}

type EndpointRow = {
  id: string;
  tenant_id: string;
  shared: number;
  kind: string;
  body_max_bytes: number;
  version: number;
  paused: number;
  max_attempts: number;
  execution_timeout_ms: number;
  ttl_ms: number;
  run_retention_ms: number;
  runsync_retention_ms: number;
  openai_routes: string;
  tenant_share_percent: number | null;
};

type UpstreamRow = {
  id: string;
  endpoint_id: string;
  url: string;
  dialect: string;
  local: number;
  slots: number;
  tier: string;
  rate_kind: string;
  sealed_credential: string | null;
};

type WorkerKeyRow = {
  id: string;
  endpoint_id: string;
  digest: string;
  tier: string;
  rate_kind: string;
  slots: number;
  expires_at: number | null;
};

/** An id wins over a slug of the same text: otherwise a slug could take the place of another tenant's endpoint. */
const ITS_ID = "(SELECT id FROM endpoints WHERE id = ?1 OR slug = ?1 ORDER BY id = ?1 DESC LIMIT 1)";
/** A JSON array of ids, whatever their number. */
const THEIR_IDS = "(SELECT value FROM json_each(?1))";

/** The statements that read the endpoints whose ids are given as SQL of one parameter. */
function readEndpoints(ids: string): readonly string[] {
  return [
    `SELECT id, tenant_id, shared, kind, body_max_bytes, version, paused, max_attempts, execution_timeout_ms, ttl_ms,
       run_retention_ms, runsync_retention_ms, openai_routes, tenant_share_percent FROM endpoints WHERE id IN ${ids}`,
    `SELECT id, endpoint_id, url, dialect, local, slots, tier, rate_kind, sealed_credential FROM upstreams
       WHERE endpoint_id IN ${ids} AND enabled = 1 ORDER BY id`,
    `SELECT id, endpoint_id, digest, tier, rate_kind, slots, expires_at FROM api_keys
       WHERE endpoint_id IN ${ids} AND ${LIVE_WORKER_KEY} ORDER BY id`,
    selectRates(ids),
  ];
}

const READ_ONE = readEndpoints(ITS_ID);
const READ_MANY = readEndpoints(THEIR_IDS);

/** The endpoint of an id or a slug; null when there is none. One round trip. */
export async function loadEndpoint(db: D1Database, idOrSlug: string): Promise<LoadedEndpoint | null> {
  const { endpoints, its } = await read(db, READ_ONE, idOrSlug);
  const [row] = endpoints;
  return row === undefined ? null : { settings: toSettings(row, its), shared: row.shared === 1 };
}

/** The settings of all that are there, by four statements for any number. One that cannot be read is logged and left out. */
export async function loadManySettings(db: D1Database, endpointIds: readonly string[]): Promise<EndpointSettings[]> {
  const { endpoints, its } = await read(db, READ_MANY, JSON.stringify(endpointIds));
  return endpoints.flatMap((row) => {
    try {
      return [toSettings(row, its)];
    } catch (error) {
      log("settings_unreadable", { endpoint: row.id, error: String(error) });
      return [];
    }
  });
}

async function read(
  db: D1Database,
  statements: readonly string[],
  named: string,
): Promise<{ readonly endpoints: readonly EndpointRow[]; readonly its: ItsRows }> {
  const [endpoints, upstreams, workerKeys, rates] = await db.batch(
    statements.map((sql) => db.prepare(sql).bind(named)),
  );
  // D1 types the rows of a batch as unknown; the schema below checks what they make.
  return {
    endpoints: (endpoints?.results ?? []) as EndpointRow[],
    its: {
      upstreams: (upstreams?.results ?? []) as UpstreamRow[],
      workerKeys: (workerKeys?.results ?? []) as WorkerKeyRow[],
      rates: (rates?.results ?? []) as RateRow[],
    },
  };
}

/** The id behind an id or a slug; null when there is no such endpoint. */
export async function findIdOf(db: D1Database, idOrSlug: string): Promise<string | null> {
  return db.prepare(`SELECT id FROM endpoints WHERE id = ${ITS_ID}`).bind(idOrSlug).first<string>("id");
}

/** The settings alone, for a push to the broker. */
export async function loadEndpointSettings(db: D1Database, idOrSlug: string): Promise<EndpointSettings | null> {
  return (await loadEndpoint(db, idOrSlug))?.settings ?? null;
}

/** The endpoints that a tenant may call, its own and shared ones, oldest first. */
export async function listEndpoints(db: D1Database, tenantId: string): Promise<{ endpointId: string; slug: string }[]> {
  const { results } = await db
    .prepare("SELECT id, slug FROM endpoints WHERE tenant_id = ? OR shared = 1 ORDER BY created_at, id LIMIT 1000")
    .bind(tenantId)
    .all<{ id: string; slug: string }>();
  return results.map((row) => ({ endpointId: row.id, slug: row.slug }));
}

/** Rows of one endpoint, or of several. */
interface ItsRows {
  readonly upstreams: readonly UpstreamRow[];
  readonly workerKeys: readonly WorkerKeyRow[];
  readonly rates: readonly RateRow[];
}

function toSettings(row: EndpointRow, rows: ItsRows): EndpointSettings {
  const upstreams = rows.upstreams.filter((upstream) => upstream.endpoint_id === row.id);
  const workerKeys = rows.workerKeys.filter((key) => key.endpoint_id === row.id);
  const tiers = new Set([...upstreams, ...workerKeys].map(({ tier }) => tier));
  return endpointSettingsSchema.parse({
    endpointId: row.id,
    tenantId: row.tenant_id,
    kind: row.kind,
    bodyMaxBytes: row.body_max_bytes,
    version: row.version,
    paused: row.paused === 1,
    maxAttempts: row.max_attempts,
    executionTimeoutMs: row.execution_timeout_ms,
    ttlMs: row.ttl_ms,
    runRetentionMs: row.run_retention_ms,
    runsyncRetentionMs: row.runsync_retention_ms,
    // What only its owner may call has nobody to be shared with.
    tenantSharePercent: row.tenant_share_percent ?? (row.shared === 1 ? TENANT_SHARE_DEFAULT_PERCENT : 100),
    upstreams: upstreams.map((upstream) => ({
      id: upstream.id,
      url: upstream.url,
      dialect: upstream.dialect,
      local: upstream.local === 1,
      slots: upstream.slots,
      tier: upstream.tier,
      rateKind: upstream.rate_kind,
      credential: upstream.sealed_credential,
    })),
    workerKeys: workerKeys.map((key) => ({
      id: key.id,
      digest: key.digest,
      tier: key.tier,
      rateKind: key.rate_kind,
      slots: key.slots,
      expiresAtMs: key.expires_at,
    })),
    rates: rows.rates.filter(({ tier }) => tiers.has(tier)).map(toRate),
    shared: row.shared === 1,
    openaiRoutes: row.openai_routes,
  });
}
