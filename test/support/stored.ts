// Rows that a test needs in the database before its broker starts, made as the Worker makes them and gathered into one batch.
import type { Scope } from "../../src/contract/identity.ts";
import type { EndpointSettings, Upstream, WorkerKey } from "../../src/contract/settings.ts";
import { KEY_RANDOM_BYTES, makeApiKey } from "../../src/core/access/api-key.ts";
import { ENDPOINT_ID_BYTES, makeEndpointId } from "../../src/core/access/endpoint-name.ts";
import { CALLS_SET_MAX, type ChangedLimits, OPERATIONS } from "../../src/core/access/limits.ts";
import { credentialPlace, WEBHOOK_SECRET_PLACE } from "../../src/core/access/sealing.ts";
import { toHex } from "../../src/core/bytes/hex.ts";
import { insertWorkerKey } from "../../src/db/keys.ts";
import { insertClientKey } from "../../src/db/managed-keys.ts";
import type { Statement } from "../../src/db/statement.ts";
import { insertTenant } from "../../src/db/tenants.ts";
import { insertUpstream } from "../../src/db/upstreams.ts";
import { digestKey, seal } from "../../src/outbound/credentials.ts";
import { insertEndpoint } from "./endpoint-row.ts";

/** The secrets of the deployment that will read the rows. */
export interface StoredSecrets {
  readonly pepper: string;
  readonly encryptionKey: string;
}

/** An endpoint of a test; what is left out has its default. */
export interface StoredEndpoint {
  readonly tenantId: string;
  readonly slug: string;
  readonly maxAttempts?: number | undefined;
  readonly kind?: EndpointSettings["kind"] | undefined;
  readonly bodyMaxBytes?: number | undefined;
  readonly openaiRoutes?: string | undefined;
  /** Open to every tenant of the broker. */
  readonly shared?: boolean | undefined;
}

/** Limits of calls that no test reaches: for those that measure what lies behind the limits. */
export const NO_LIMITS: ChangedLimits = Object.fromEntries(
  OPERATIONS.map((operation) => [operation, { calls: CALLS_SET_MAX, open: null }]),
);

/** Gathers rows; `statements` is to be run as one batch, in this order. */
export class StoredRows {
  readonly statements: Statement[] = [];
  readonly #secrets: StoredSecrets;

  constructor(secrets: StoredSecrets) {
    this.#secrets = secrets;
  }

  async tenant(
    name: string,
    limits: ChangedLimits | null = null,
  ): Promise<{ readonly tenantId: string; readonly webhookSecret: string }> {
    const tenantId = `ten-${crypto.randomUUID()}`;
    const webhookSecret = `whsec_${btoa(String.fromCharCode(...random(32)))}`;
    const sealedWebhookSecret = await seal(webhookSecret, this.#secrets.encryptionKey, WEBHOOK_SECRET_PLACE);
    this.statements.push(insertTenant({ id: tenantId, name, limits, sealedWebhookSecret, createdAtMs: Date.now() }));
    return { tenantId, webhookSecret };
  }

  async key(tenantId: string, scopes: readonly Scope[]): Promise<{ readonly keyId: string; readonly key: string }> {
    const { key, ...stored } = await this.#makeKey();
    this.statements.push(insertClientKey({ ...stored, tenantId, scopes, endpointIds: null, expiresAtMs: null }));
    return { keyId: stored.id, key };
  }

  endpoint(endpoint: StoredEndpoint): { readonly endpointId: string } {
    const id = makeEndpointId(random(ENDPOINT_ID_BYTES));
    const [drawn = 0] = crypto.getRandomValues(new Uint32Array(1));
    const number = 1 + (drawn % 0xffff_ffff);
    this.statements.push(insertEndpoint({ ...endpoint, id, number, createdAtMs: Date.now() }));
    return { endpointId: id };
  }

  /** `credential` is in the clear here, null for none. */
  async upstream(endpointId: string, upstream: Omit<Upstream, "id">): Promise<{ readonly upstreamId: string }> {
    const id = `up-${crypto.randomUUID()}`;
    const { credential: plain } = upstream;
    const credential = plain === null ? null : await seal(plain, this.#secrets.encryptionKey, credentialPlace(id));
    this.statements.push(insertUpstream(endpointId, { ...upstream, id, credential }, Date.now()));
    return { upstreamId: id };
  }

  async workerKey(
    endpointId: string,
    price: Pick<WorkerKey, "tier" | "rateKind" | "slots">,
  ): Promise<{ readonly keyId: string; readonly key: string; readonly endpointId: string }> {
    const { key, ...stored } = await this.#makeKey();
    this.statements.push(insertWorkerKey({ ...stored, ...price, endpointId }));
    return { keyId: stored.id, key, endpointId };
  }

  async #makeKey() {
    const { id, key } = makeApiKey(random(KEY_RANDOM_BYTES));
    const digest = toHex(await digestKey(key, this.#secrets.pepper));
    return { id, key, digest, name: "test", createdAtMs: Date.now() };
  }
}

function random(bytes: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(bytes));
}
