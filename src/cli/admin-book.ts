// Tenants, keys, endpoints and upstreams as the operator's command writes them: SQL text through whatever runs it.
// The database itself raises the version of an endpoint with each change, so that its broker knows that its settings are old.
import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { KEY_RANDOM_BYTES, makeApiKey } from "../core/access/api-key.ts";
import { TENANT_WAITING_DEFAULT_MAX } from "../core/limits.ts";
import { keyFingerprint, seal } from "../outbound/credentials.ts";

/** Where to write, and the two secrets of the deployment. */
export interface AdminContext {
  readonly secrets: { readonly pepper: string; readonly encryptionKey: string };
  readonly execute: (sql: string) => Promise<unknown[][]>;
}

export interface NewUpstream {
  readonly endpointId: string;
  readonly url: string;
  readonly dialect: "runpod" | "http" | "openai";
  readonly local: boolean;
  readonly slots: number;
  readonly tier: string;
  readonly rateKind: "flex" | "active";
  readonly credential: string | null;
}

/** As http/kit/find-endpoint.ts takes it from a path. */
const SLUG = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;
const ENDPOINT_ID = /^[0-9a-f]{16}$/;

/** One SQL value: text is quoted, so that no name can end the statement. */
export function literal(value: string | number | null): string {
  if (value === null) return "NULL";
  if (typeof value === "number") return String(value);
  if (value.includes("\0")) throw new Error("a value must not contain a NUL character");
  return `'${value.replaceAll("'", "''")}'`;
}

function insert(table: string, row: Readonly<Record<string, string | number | null>>): string {
  return `INSERT INTO ${table} (${Object.keys(row).join(", ")}) VALUES (${Object.values(row).map(literal).join(", ")});`;
}

/**
 * Keys and credentials made under other secrets would be useless: refuses when D1 was set up with different ones, and
 * remembers those of the first use.
 */
export async function checkSecrets(context: AdminContext): Promise<void> {
  const { pepper, encryptionKey } = context.secrets;
  const prints = { pepper: await keyFingerprint(pepper), encryption_key: await keyFingerprint(encryptionKey) };
  const [rows = []] = await context.execute("SELECT name, value FROM meta;");
  const stored = new Map(rows.map((row) => [text(row, "name"), text(row, "value")]));
  const missing: string[] = [];
  for (const [name, print] of Object.entries(prints)) {
    const known = stored.get(name);
    if (known === undefined) missing.push(insert("meta", { name, value: print }));
    else if (known !== print)
      throw new Error(`the ${name.replace("_", " ")} is not the one that this database was set up with`);
  }
  if (missing.length > 0) await context.execute(missing.join("\n"));
}

/** A tenant and the secret that signs its webhooks, which is shown this once. */
export async function createTenant(
  context: AdminContext,
  tenant: { readonly name: string; readonly waitingMax?: number },
): Promise<{ readonly tenantId: string; readonly webhookSecret: string }> {
  await checkSecrets(context);
  const tenantId = `ten-${randomUUID()}`;
  const webhookSecret = `whsec_${randomBytes(32).toString("base64")}`;
  await context.execute(
    insert("tenants", {
      id: tenantId,
      name: tenant.name,
      waiting_max: tenant.waitingMax ?? TENANT_WAITING_DEFAULT_MAX,
      sealed_webhook_secret: await seal(webhookSecret, context.secrets.encryptionKey, "webhook"),
      created_at: Date.now(),
    }),
  );
  return { tenantId, webhookSecret };
}

/** A tenant's key, which is shown this once: D1 has only its digest. */
export async function createKey(
  context: AdminContext,
  key: {
    readonly tenantId: string;
    readonly scopes: readonly ("jobs" | "manage" | "admin")[];
    readonly name: string;
  },
): Promise<{ readonly keyId: string; readonly key: string }> {
  await checkSecrets(context);
  const { key: made, row } = makeKey(context, key.name, key.scopes.join(","));
  await context.execute(insert("api_keys", { ...row, tenant_id: key.tenantId }));
  return { keyId: row.id, key: made };
}

/** A key for the workers of one endpoint, with what their jobs cost. Also shown this once. */
export async function createWorkerKey(
  context: AdminContext,
  worker: {
    readonly endpointId: string;
    readonly tier: string;
    readonly rateKind: "flex" | "active";
    readonly slots: number;
    readonly name: string;
  },
): Promise<{ readonly keyId: string; readonly key: string; readonly endpointId: string }> {
  await checkSecrets(context);
  const { endpointId } = worker;
  const { key, row } = makeKey(context, worker.name, "worker");
  const bound = { ...row, endpoint_id: endpointId, tier: worker.tier, rate_kind: worker.rateKind, slots: worker.slots };
  // The tenant is the endpoint's, read by the statement itself: an endpoint that is gone by now makes no key.
  const statement = `INSERT INTO api_keys (tenant_id, ${Object.keys(bound).join(", ")}) VALUES (
    (SELECT tenant_id FROM endpoints WHERE id = ${literal(endpointId)}), ${Object.values(bound).map(literal).join(", ")});`;
  await context.execute(statement);
  return { keyId: row.id, key, endpointId };
}

/** A new key and the columns that every key has. */
function makeKey(context: AdminContext, name: string, scopes: string) {
  const { id, key } = makeApiKey(randomBytes(KEY_RANDOM_BYTES));
  const digest = createHmac("sha256", context.secrets.pepper).update(key).digest("hex");
  return { key, row: { id, digest, scopes, name, created_at: Date.now() } };
}

/** The id behind an id or a slug, null when there is no such endpoint, and the tiers that have a price. */
export async function findPlace(
  execute: AdminContext["execute"],
  idOrSlug: string,
): Promise<{ readonly endpointId: string | null; readonly tiers: readonly string[] }> {
  const named = literal(idOrSlug);
  // As db/endpoints.ts: an id wins over a slug of the same text.
  const [endpoints = [], tiers = []] = await execute(
    `SELECT id FROM endpoints WHERE id = ${named} OR slug = ${named} ORDER BY id = ${named} DESC LIMIT 1;
     SELECT id FROM gpu_tiers ORDER BY vram_gb, id;`,
  );
  const endpointId = text(endpoints[0], "id");
  return { endpointId: endpointId === "" ? null : endpointId, tiers: tiers.map((row) => text(row, "id")) };
}

export async function createEndpoint(
  context: AdminContext,
  endpoint: {
    readonly tenantId: string;
    readonly slug: string;
    readonly name?: string;
    readonly shared?: boolean;
    readonly maxAttempts?: number;
    readonly kind?: "queue" | "load_balancer";
    readonly bodyMaxBytes?: number;
    readonly openaiRoutes?: string;
    readonly tenantSharePercent?: number;
  },
): Promise<{ readonly endpointId: string }> {
  if (!SLUG.test(endpoint.slug)) throw new Error(`the slug "${endpoint.slug}" may hold letters, digits, - and _ only`);
  if (ENDPOINT_ID.test(endpoint.slug)) throw new Error(`the slug "${endpoint.slug}" has the form of an endpoint id`);
  const endpointId = randomBytes(8).toString("hex");
  const attempts = endpoint.maxAttempts === undefined ? {} : { max_attempts: endpoint.maxAttempts };
  const body = endpoint.bodyMaxBytes === undefined ? {} : { body_max_bytes: endpoint.bodyMaxBytes };
  const routes = endpoint.openaiRoutes === undefined ? {} : { openai_routes: endpoint.openaiRoutes };
  const shared = endpoint.shared === true ? 1 : 0;
  const row = {
    id: endpointId,
    tenant_id: endpoint.tenantId,
    slug: endpoint.slug,
    name: endpoint.name ?? "",
    shared,
    kind: endpoint.kind ?? "queue",
    ...attempts,
    ...body,
    ...routes,
    tenant_share_percent: endpoint.tenantSharePercent ?? null,
  };
  await context.execute(insert("endpoints", { ...row, created_at: Date.now() }));
  return { endpointId };
}

export async function addUpstream(
  context: AdminContext,
  upstream: NewUpstream,
): Promise<{ readonly upstreamId: string }> {
  await checkSecrets(context);
  const upstreamId = `up-${randomUUID()}`;
  const { encryptionKey } = context.secrets;
  const sealed =
    upstream.credential === null ? null : await seal(upstream.credential, encryptionKey, `upstream:${upstreamId}`);
  const statement = insert("upstreams", {
    id: upstreamId,
    endpoint_id: upstream.endpointId,
    url: upstream.url,
    dialect: upstream.dialect,
    local: upstream.local ? 1 : 0,
    slots: upstream.slots,
    tier: upstream.tier,
    rate_kind: upstream.rateKind,
    sealed_credential: sealed,
    created_at: Date.now(),
  });
  await context.execute(statement);
  return { upstreamId };
}

/** Removes an upstream. Answers the endpoint whose broker is to be told. */
export async function removeUpstream(
  context: AdminContext,
  upstreamId: string,
): Promise<{ readonly endpointId: string }> {
  const endpointId = await endpointOf(context, upstreamId);
  await context.execute(`DELETE FROM upstreams WHERE id = ${literal(upstreamId)};`);
  return { endpointId };
}

/** Takes an upstream out of service, or back: jobs on it run on, no new one is started. */
export async function switchUpstream(
  context: AdminContext,
  upstreamId: string,
  enabled: boolean,
): Promise<{ readonly endpointId: string }> {
  const endpointId = await endpointOf(context, upstreamId);
  await context.execute(`UPDATE upstreams SET enabled = ${enabled ? 1 : 0} WHERE id = ${literal(upstreamId)};`);
  return { endpointId };
}

async function endpointOf(context: AdminContext, upstreamId: string): Promise<string> {
  const [rows] = await context.execute(`SELECT endpoint_id FROM upstreams WHERE id = ${literal(upstreamId)};`);
  const endpointId = text(rows?.[0], "endpoint_id");
  if (endpointId === "") throw new Error(`there is no upstream ${upstreamId}`);
  return endpointId;
}

/** Gives an upstream another address. */
export async function moveUpstream(context: AdminContext, upstreamId: string, url: string): Promise<void> {
  await context.execute(`UPDATE upstreams SET url = ${literal(url)} WHERE id = ${literal(upstreamId)};`);
}

/**
 * Ends a key. A tenant's is refused everywhere within 30 s, or when D1 answers again; of a worker's it answers the
 * endpoint whose broker is to be told.
 */
export async function revokeKey(
  context: AdminContext,
  keyId: string,
): Promise<{ readonly endpointId: string } | undefined> {
  const [rows] = await context.execute(`SELECT id, endpoint_id FROM api_keys WHERE id = ${literal(keyId)};`);
  if (text(rows?.[0], "id") === "") throw new Error(`there is no key ${keyId}`);
  const revoke = `UPDATE api_keys SET revoked_at = ${Date.now()} WHERE id = ${literal(keyId)} AND revoked_at IS NULL;`;
  const endpointId = text(rows?.[0], "endpoint_id");
  await context.execute(revoke);
  return endpointId === "" ? undefined : { endpointId };
}

export async function setWaitingMax(context: AdminContext, tenantId: string, waitingMax: number): Promise<void> {
  const [rows] = await context.execute(`SELECT id FROM tenants WHERE id = ${literal(tenantId)};`);
  if (text(rows?.[0], "id") === "") throw new Error(`there is no tenant ${tenantId}`);
  await context.execute(`UPDATE tenants SET waiting_max = ${waitingMax} WHERE id = ${literal(tenantId)};`);
}

/** What there is: tenants, endpoints, upstreams and keys, without any secret. */
export async function listAll(
  context: AdminContext,
): Promise<{ tenants: unknown[]; endpoints: unknown[]; upstreams: unknown[]; keys: unknown[] }> {
  const [tenants = [], endpoints = [], upstreams = [], keys = []] = await context.execute(
    `SELECT id, name, waiting_max FROM tenants ORDER BY created_at;
     SELECT id, tenant_id, slug, name, kind, shared, openai_routes, version, paused, tenant_share_percent
       FROM endpoints ORDER BY created_at;
     SELECT id, endpoint_id, url, dialect, local, slots, tier, rate_kind, enabled FROM upstreams ORDER BY created_at;
     SELECT id, tenant_id, name, scopes, expires_at, revoked_at, endpoint_id, tier, rate_kind, slots
       FROM api_keys ORDER BY created_at;`,
  );
  return { tenants, endpoints, upstreams, keys };
}

function text(row: unknown, column: string): string {
  if (typeof row !== "object" || row === null) return "";
  const value = Object.entries(row).find(([name]) => name === column)?.[1];
  return typeof value === "string" ? value : "";
}
