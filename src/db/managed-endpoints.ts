// Endpoints as their owners manage them. Another tenant's endpoint is as unknown as none, and so is a deleted one: every statement
// takes the owner.
import {
  type EndpointSetting,
  type ManagedEndpoint,
  managedEndpointSchema,
} from "../contract/manage/managed-endpoint.ts";
import { BEFORE_NEWEST, type Page } from "./page.ts";
import { boundedPage, type Cut, cutRows, type SizedRow } from "./page-size.ts";
import {
  assignments,
  bound,
  type Database,
  insertInto,
  type SqlValue,
  type Statement,
  statement,
} from "./statement.ts";

/** Whose things may be seen: one tenant's, or everybody's (null), for callers who operate the deployment. */
export type Owner = string | null;

const COLUMNS = `id, tenant_id AS tenantId, coalesce(number, 0) AS number, slug, name, kind, version, release,
  created_at AS createdAtMs, paused, max_attempts AS maxAttempts, execution_timeout_ms AS executionTimeoutMs, ttl_ms AS ttlMs,
  run_retention_ms AS runRetentionMs, runsync_retention_ms AS runsyncRetentionMs, body_max_bytes AS bodyMaxBytes, shared,
  openai_routes AS openaiRoutes, tenant_share_percent AS tenantSharePercent, input_schema AS inputSchema, fleet, sealed_env AS sealedEnv,
  allowed_origins AS allowedOrigins, template_id AS templateId`;

type Row = {
  readonly paused: number;
  readonly shared: number;
  readonly fleet: string;
  readonly allowedOrigins: string;
};

function toManaged(row: Row): ManagedEndpoint {
  return managedEndpointSchema.parse({
    ...row,
    paused: row.paused === 1,
    shared: row.shared === 1,
    fleet: JSON.parse(row.fleet),
    allowedOrigins: JSON.parse(row.allowedOrigins),
  });
}

/** Characters of what is large of an endpoint. */
const SIZE = "length(fleet) + coalesce(length(sealed_env), 0) + coalesce(length(input_schema), 0)";

/** The endpoint of an id or a slug; an id wins over a slug of the same text. Null: there is none of this owner's. */
export async function findManaged(db: Database, owner: Owner, idOrSlug: string): Promise<ManagedEndpoint | null> {
  const sql = `SELECT ${COLUMNS} FROM endpoints
    WHERE (id = ?1 OR slug = ?1) AND (?2 IS NULL OR tenant_id = ?2) AND deleted_at IS NULL
    ORDER BY id = ?1 DESC LIMIT 1`;
  const row = await bound(db, statement(sql, idOrSlug, owner)).first<Row>();
  return row === null ? null : toManaged(row);
}

/** A page of the owner's endpoints, newest first, cut where it is large; `only`: of these ids alone. */
export async function listManaged(
  db: Database,
  owner: Owner,
  { after, limit }: Page,
  only: readonly string[] | null = null,
): Promise<(ManagedEndpoint & Cut)[]> {
  const { createdAtMs, id } = after ?? BEFORE_NEWEST;
  // One statement each, so that an index gives the page in its order: `?1 IS NULL OR tenant_id = ?1` would read every row.
  const place = owner === null ? "" : "tenant_id = ?4 AND";
  const among = only === null ? "" : `AND id IN (SELECT value FROM json_each(?${owner === null ? 4 : 5}))`;
  const rows = `SELECT * FROM endpoints WHERE ${place} (created_at, id) < (?1, ?2) AND deleted_at IS NULL ${among}
    ORDER BY created_at DESC, id DESC LIMIT ?3`;
  const sql = boundedPage(COLUMNS, rows, SIZE);
  const params = [createdAtMs, id, limit, ...(owner === null ? [] : [owner])];
  if (only !== null) params.push(JSON.stringify(only));
  const { results } = await bound(db, statement(sql, ...params)).all<Row & SizedRow>();
  return cutRows(results, toManaged);
}

/** The column of each setting. */
const COLUMN_OF: Readonly<Record<keyof EndpointSetting, string>> = {
  slug: "slug",
  name: "name",
  release: "release",
  paused: "paused",
  maxAttempts: "max_attempts",
  executionTimeoutMs: "execution_timeout_ms",
  ttlMs: "ttl_ms",
  runRetentionMs: "run_retention_ms",
  runsyncRetentionMs: "runsync_retention_ms",
  bodyMaxBytes: "body_max_bytes",
  shared: "shared",
  openaiRoutes: "openai_routes",
  tenantSharePercent: "tenant_share_percent",
  inputSchema: "input_schema",
  fleet: "fleet",
  sealedEnv: "sealed_env",
  allowedOrigins: "allowed_origins",
  templateId: "template_id",
};

/** Adds an endpoint with all of its columns. The database refuses a slug or number that is in use. */
export function insertManaged(endpoint: Omit<ManagedEndpoint, "version">): Statement {
  const { id, tenantId, number, kind, createdAtMs, ...settings } = endpoint;
  return insertInto("endpoints", {
    id,
    tenant_id: tenantId,
    number,
    kind,
    version: 1,
    // A broker that was never called gets its settings with its first call, so the cron need not send them.
    taken_version: 1,
    created_at: createdAtMs,
    deleted_at: null,
    emptied_at: null,
    ...toColumns(settings),
  });
}

/** Changes the settings that are given, at least one, unless the endpoint is deleted. The database raises the version. */
export function updateManaged(id: string, change: EndpointSetting): Statement {
  const { set, values } = assignments(toColumns(change));
  return statement(`UPDATE endpoints SET ${set} WHERE id = ? AND deleted_at IS NULL`, ...values, id);
}

function toColumns(settings: EndpointSetting): Record<string, SqlValue> {
  const columns = Object.entries(COLUMN_OF).flatMap(([name, column]) => {
    // The keys of COLUMN_OF are the names of the settings, which the type of its entries does not say.
    const value = settings[name as keyof EndpointSetting];
    return value === undefined ? [] : [[column, toSql(value)] as const];
  });
  return Object.fromEntries(columns);
}

function toSql(value: NonNullable<EndpointSetting[keyof EndpointSetting]> | null): SqlValue {
  if (typeof value === "boolean") return Number(value);
  return typeof value === "object" && value !== null ? JSON.stringify(value) : value;
}

/** Did a batch end because its slug or its number is another endpoint's? */
export function takenBy(error: unknown): "slug" | "number" | null {
  const text = String(error);
  if (text.includes("endpoints.slug")) return "slug";
  return text.includes("endpoints.number") ? "number" : null;
}
