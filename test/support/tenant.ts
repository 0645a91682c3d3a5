// A tenant of its own for each test: with a key, an endpoint and upstreams, written by the statements of src/db.
import { env } from "cloudflare:workers";
import type { Scope } from "../../src/contract/identity.ts";
import type { EndpointSettings, Upstream, WorkerKey } from "../../src/contract/settings.ts";
import { KEY_RANDOM_BYTES, makeApiKey } from "../../src/core/access/api-key.ts";
import type { ChangedLimits } from "../../src/core/access/limits.ts";
import { credentialPlace, WEBHOOK_SECRET_PLACE } from "../../src/core/access/sealing.ts";
import { toHex } from "../../src/core/bytes/hex.ts";
import { insertWorkerKey, type NewKey } from "../../src/db/keys.ts";
import { insertClientKey } from "../../src/db/managed-keys.ts";
import { runAll, type Statement } from "../../src/db/statement.ts";
import { insertTenant } from "../../src/db/tenants.ts";
import { insertUpstream } from "../../src/db/upstreams.ts";
import { digestKey, seal } from "../../src/outbound/credentials.ts";
import { insertEndpoint } from "./endpoint-row.ts";

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
  readonly runningMax?: number;
  readonly limits?: ChangedLimits;
  readonly shared?: boolean;
  readonly paused?: boolean;
  readonly maxAttempts?: number;
  readonly executionTimeoutMs?: number;
  readonly kind?: EndpointSettings["kind"];
  readonly bodyMaxBytes?: number;
  readonly openaiRoutes?: string;
  readonly tenantSharePercent?: number;
  readonly allowedOrigins?: string[];
  /** As JSON text. */
  readonly inputSchema?: string;
}

/** Makes a tenant with one endpoint. Without `upstreams` its jobs wait for ever. */
export async function makeTenant(options: TestTenantOptions = {}): Promise<TestTenant> {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const endpointId = `ep-${crypto.randomUUID()}`;
  const slug = `slug-${crypto.randomUUID()}`;
  const webhookSecret = `whsec_${btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24))))}`;
  const sealedWebhookSecret = await seal(webhookSecret, env.ENCRYPTION_KEY, WEBHOOK_SECRET_PLACE);
  const createdAtMs = Date.now();
  const { scopes = ["jobs"], waitingMax, runningMax, limits, upstreams = [], workerKeys = [], ...settings } = options;
  const { key, ...stored } = await makeKey();
  const workers = await Promise.all(workerKeys.map(async (worker) => ({ ...worker, ...(await makeKey()) })));
  await runAll(env.DB, [
    insertTenant({ id: tenantId, name: tenantId, waitingMax, runningMax, limits, sealedWebhookSecret, createdAtMs }),
    insertClientKey({ ...stored, tenantId, scopes, endpointIds: null, expiresAtMs: null }),
    insertEndpoint({ ...settings, id: endpointId, number: drawNumber(), tenantId, slug, createdAtMs }),
    ...(await Promise.all(upstreams.map((upstream) => sealedUpstream(endpointId, upstream, createdAtMs)))),
    ...workers.map((worker) => insertWorkerKey({ tier: "a4000", rateKind: "flex", slots: 1, ...worker, endpointId })),
    // Each upstream and worker key has raised it; tests count on from the first version.
    { sql: "UPDATE endpoints SET version = 1 WHERE id = ? AND version > 1", params: [endpointId] },
  ]);
  return { tenantId, key, endpointId, slug, webhookSecret, workerKeys: workers.map((worker) => worker.key) };
}

/** For the endpoint of a test; none is drawn twice in so few. */
export function drawNumber(): number {
  return 1 + ((crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % 0xffff_ffff);
}

async function makeKey(): Promise<NewKey & { readonly key: string }> {
  const { id, key } = makeApiKey(crypto.getRandomValues(new Uint8Array(KEY_RANDOM_BYTES)));
  return { id, key, digest: toHex(await digestKey(key, env.PEPPER)), name: "test", createdAtMs: Date.now() };
}

/** An HTTP upstream that nobody listens at, but for what is given. */
async function sealedUpstream(endpointId: string, upstream: Partial<Upstream>, nowMs: number): Promise<Statement> {
  const id = upstream.id ?? `up-${crypto.randomUUID()}`;
  const { credential: plain = null } = upstream;
  const credential = plain === null ? null : await seal(plain, env.ENCRYPTION_KEY, credentialPlace(id));
  const price = { slots: 1, tier: "a4000", rateKind: "flex" } as const;
  const base = { url: "http://127.0.0.1:9/", dialect: "http", local: false, ...price } as const;
  return insertUpstream(endpointId, { ...base, ...upstream, id, credential }, nowMs);
}
