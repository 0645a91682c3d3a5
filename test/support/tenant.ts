// A tenant of its own for each test: with a key, an endpoint and upstreams, written straight to D1.
import { env } from "cloudflare:workers";
import type { Scope } from "../../src/contract/identity.ts";
import type { EndpointSettings, Upstream, WorkerKey } from "../../src/contract/settings.ts";
import { KEY_RANDOM_BYTES, makeApiKey } from "../../src/core/access/api-key.ts";
import { WEBHOOK_SECRET_PLACE } from "../../src/core/access/sealing.ts";
import {
  EXECUTION_TIMEOUT_DEFAULT_MS,
  LB_BODY_DEFAULT_MAX_BYTES,
  TENANT_WAITING_DEFAULT_MAX,
} from "../../src/core/limits.ts";
import { seal } from "../../src/outbound/credentials.ts";

export interface TestTenant {
  readonly tenantId: string;
  /** The API key, as a client sends it. */
  readonly key: string;
  readonly endpointId: string;
  readonly slug: string;
  /** The keys of the endpoint's workers, in the order of the option. */
  readonly workerKeys: readonly string[];
  /** `whsec_…`, as the tenant's receiver knows it. */
  readonly webhookSecret: string;
}

export interface TestTenantOptions {
  /** Every field of an upstream may be left out; `credential` is plain text here and sealed on its way. */
  readonly upstreams?: readonly Partial<Upstream>[];
  readonly workerKeys?: readonly Partial<Pick<WorkerKey, "tier" | "rateKind" | "slots">>[];
  readonly scopes?: readonly Scope[];
  /** Waiting jobs that the tenant may have in an endpoint. */
  readonly waitingMax?: number;
  readonly shared?: boolean;
  readonly paused?: boolean;
  readonly maxAttempts?: number;
  readonly executionTimeoutMs?: number;
  readonly kind?: EndpointSettings["kind"];
  readonly bodyMaxBytes?: number;
  readonly openaiRoutes?: string;
}

/** Makes a tenant with one endpoint. Without `upstreams` its jobs wait for ever. */
export async function makeTenant(options: TestTenantOptions = {}): Promise<TestTenant> {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const endpointId = `ep-${crypto.randomUUID()}`;
  const slug = `slug-${crypto.randomUUID()}`;
  const webhookSecret = `whsec_${btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24))))}`;
  const sealedWebhookSecret = await seal(webhookSecret, env.ENCRYPTION_KEY, WEBHOOK_SECRET_PLACE);
  const nowMs = Date.now();
  const { id: keyId, key } = makeKey();
  const workers = (options.workerKeys ?? []).map((worker) => ({ ...worker, ...makeKey() }));
  await env.DB.batch([
    env.DB.prepare(
      "INSERT INTO tenants (id, name, waiting_max, sealed_webhook_secret, created_at) VALUES (?, ?, ?, ?, ?)",
    ).bind(tenantId, tenantId, options.waitingMax ?? TENANT_WAITING_DEFAULT_MAX, sealedWebhookSecret, nowMs),
    env.DB.prepare(
      "INSERT INTO api_keys (id, tenant_id, digest, scopes, name, created_at) VALUES (?, ?, ?, ?, 'test', ?)",
    ).bind(keyId, tenantId, await digest(key), (options.scopes ?? ["jobs"]).join(","), nowMs),
    env.DB.prepare(
      `INSERT INTO endpoints (id, tenant_id, slug, kind, body_max_bytes, shared, paused, max_attempts,
         execution_timeout_ms, openai_routes, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ).bind(
      endpointId,
      tenantId,
      slug,
      options.kind ?? "queue",
      options.bodyMaxBytes ?? LB_BODY_DEFAULT_MAX_BYTES,
      options.shared === true ? 1 : 0,
      options.paused === true ? 1 : 0,
      options.maxAttempts ?? 2,
      options.executionTimeoutMs ?? EXECUTION_TIMEOUT_DEFAULT_MS,
      options.openaiRoutes ?? "inference",
      nowMs,
    ),
    ...(await Promise.all((options.upstreams ?? []).map((upstream) => insertUpstream(endpointId, upstream, nowMs)))),
    ...(await Promise.all(workers.map((worker) => insertWorkerKey(endpointId, worker, nowMs)))),
    // Each upstream and worker key has raised it; tests count on from the first version.
    env.DB.prepare("UPDATE endpoints SET version = 1 WHERE id = ? AND version > 1").bind(endpointId),
  ]);
  return { tenantId, key, endpointId, slug, webhookSecret, workerKeys: workers.map((worker) => worker.key) };
}

function makeKey(): { readonly id: string; readonly key: string } {
  return makeApiKey(crypto.getRandomValues(new Uint8Array(KEY_RANDOM_BYTES)));
}

async function insertWorkerKey(
  endpointId: string,
  worker: Partial<WorkerKey> & { readonly id: string; readonly key: string },
  nowMs: number,
): Promise<D1PreparedStatement> {
  return env.DB.prepare(
    `INSERT INTO api_keys (id, tenant_id, digest, scopes, name, created_at, endpoint_id, tier, rate_kind, slots)
     SELECT ?, tenant_id, ?, 'worker', 'test', ?, id, ?, ?, ? FROM endpoints WHERE id = ?`,
  ).bind(
    worker.id,
    await digest(worker.key),
    nowMs,
    worker.tier ?? "a4000",
    worker.rateKind ?? "flex",
    worker.slots ?? 1,
    endpointId,
  );
}

async function insertUpstream(
  endpointId: string,
  upstream: Partial<Upstream>,
  nowMs: number,
): Promise<D1PreparedStatement> {
  const id = upstream.id ?? `up-${crypto.randomUUID()}`;
  const credential = upstream.credential ?? null;
  return env.DB.prepare(
    `INSERT INTO upstreams (id, endpoint_id, url, dialect, local, slots, tier, rate_kind, sealed_credential, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).bind(
    id,
    endpointId,
    upstream.url ?? "http://127.0.0.1:9/",
    upstream.dialect ?? "http",
    upstream.local === true ? 1 : 0,
    upstream.slots ?? 1,
    upstream.tier ?? "a4000",
    upstream.rateKind ?? "flex",
    credential === null ? null : await seal(credential, env.ENCRYPTION_KEY, `upstream:${id}`),
    nowMs,
  );
}

/** HMAC-SHA-256 under the pepper, in hex: how the management side stores a key. */
async function digest(key: string): Promise<string> {
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const pepper = await crypto.subtle.importKey("raw", encoder.encode(env.PEPPER), algorithm, false, ["sign"]);
  const bytes = new Uint8Array(await crypto.subtle.sign("HMAC", pepper, encoder.encode(key)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
