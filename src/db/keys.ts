// API keys and the tenants that they stand for.
import { z } from "zod";
import type { Caller } from "../contract/identity.ts";
import { LIVE_WORKER_KEY } from "./rates.ts";

/** A stored key. `digest` is hex of HMAC-SHA-256(pepper, key). */
export interface StoredKey {
  readonly digest: string;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  readonly caller: Caller;
}

const scopesSchema = z.array(z.enum(["jobs", "worker", "manage", "admin"]));

type KeyRow = {
  digest: string;
  scopes: string;
  expires_at: number | null;
  revoked_at: number | null;
  tenant_id: string;
  waiting_max: number;
  sealed_webhook_secret: string;
};

/** The key of an id with its tenant; null when there is none. */
export async function findKey(db: D1Database, keyId: string): Promise<StoredKey | null> {
  const row = await db
    .prepare(
      `SELECT digest, scopes, expires_at, revoked_at, tenant_id, waiting_max, sealed_webhook_secret
       FROM api_keys JOIN tenants ON tenants.id = api_keys.tenant_id WHERE api_keys.id = ?`,
    )
    .bind(keyId)
    .first<KeyRow>();
  return row === null ? null : toStoredKey(row);
}

function toStoredKey(row: KeyRow): StoredKey {
  return {
    digest: row.digest,
    expiresAtMs: row.expires_at,
    revokedAtMs: row.revoked_at,
    caller: {
      tenantId: row.tenant_id,
      scopes: scopesSchema.parse(row.scopes.split(",")),
      waitingMax: row.waiting_max,
      sealedWebhookSecret: row.sealed_webhook_secret,
    },
  };
}

/** A worker key and the one endpoint that it opens. */
export interface WorkerKeyPlace {
  readonly digest: string;
  readonly endpointId: string;
  readonly slug: string;
}

/** The worker key of an id; null when there is none, or none that still opens anything. */
export async function findWorkerKey(db: D1Database, keyId: string): Promise<WorkerKeyPlace | null> {
  const row = await db
    .prepare(
      `SELECT digest, endpoints.id AS endpoint_id, slug
       FROM api_keys JOIN endpoints ON endpoints.id = api_keys.endpoint_id WHERE api_keys.id = ? AND ${LIVE_WORKER_KEY}`,
    )
    .bind(keyId)
    .first<{ digest: string; endpoint_id: string; slug: string }>();
  return row === null ? null : { digest: row.digest, endpointId: row.endpoint_id, slug: row.slug };
}
