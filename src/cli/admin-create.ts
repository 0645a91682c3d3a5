// Makes tenants, keys, endpoints and upstreams: ids and secrets at random, sealed or digested, stored through src/db.
import { randomBytes, randomInt, randomUUID } from "node:crypto";
import type { Scope } from "../contract/identity.ts";
import type { Upstream, WorkerKey } from "../contract/settings.ts";
import { KEY_RANDOM_BYTES, makeApiKey } from "../core/access/api-key.ts";
import { ENDPOINT_ID_BYTES, makeEndpointId, slugProblem } from "../core/access/endpoint-name.ts";
import { credentialPlace, WEBHOOK_SECRET_PLACE } from "../core/access/sealing.ts";
import { toHex } from "../core/bytes/hex.ts";
import { textOf } from "../core/json/value.ts";
import { insertEndpoint, type NewEndpoint } from "../db/endpoints.ts";
import { insertFingerprint, SELECT_FINGERPRINTS } from "../db/fingerprints.ts";
import { insertKey, insertWorkerKey } from "../db/keys.ts";
import type { Statement } from "../db/statement.ts";
import { insertTenant } from "../db/tenants.ts";
import { insertUpstream } from "../db/upstreams.ts";
import { digestKey, keyFingerprint, seal } from "../outbound/credentials.ts";
import type { AdminSecrets } from "./admin-secrets.ts";
import type { Execute } from "./d1.ts";

/** The database to write to, and the two secrets of the deployment. */
export interface AdminContext {
  readonly secrets: AdminSecrets;
  readonly execute: Execute;
}

/**
 * Keys and credentials made under other secrets would be useless: refuses when D1 was set up with different ones, and
 * remembers the secrets of the first use.
 */
async function checkSecrets({ secrets, execute }: AdminContext): Promise<void> {
  const prints = {
    pepper: await keyFingerprint(secrets.pepper),
    encryption_key: await keyFingerprint(secrets.encryptionKey),
  };
  const [rows = []] = await execute(SELECT_FINGERPRINTS);
  const stored = new Map(rows.map((row) => [textOf(row, "name"), textOf(row, "value")]));
  const missing: Statement[] = [];
  for (const [name, print] of Object.entries(prints)) {
    const known = stored.get(name);
    if (known === undefined) missing.push(insertFingerprint(name, print));
    else if (known !== print)
      throw new Error(`the ${name.replace("_", " ")} is not the one that this database was set up with`);
  }
  if (missing.length > 0) await execute(...missing);
}

/** Makes a tenant and the secret that signs its webhooks, which is shown only now. */
export async function createTenant(
  context: AdminContext,
  tenant: { readonly name: string; readonly waitingMax?: number | undefined },
): Promise<{ readonly tenantId: string; readonly webhookSecret: string }> {
  await checkSecrets(context);
  const tenantId = `ten-${randomUUID()}`;
  const webhookSecret = `whsec_${randomBytes(32).toString("base64")}`;
  const sealedWebhookSecret = await seal(webhookSecret, context.secrets.encryptionKey, WEBHOOK_SECRET_PLACE);
  await context.execute(insertTenant({ ...tenant, id: tenantId, sealedWebhookSecret, createdAtMs: Date.now() }));
  return { tenantId, webhookSecret };
}

/** Makes a key of a tenant, which is shown only now, because D1 stores only its digest. */
export async function createKey(
  context: AdminContext,
  wanted: {
    readonly tenantId: string;
    readonly scopes: readonly Exclude<Scope, "worker">[];
    readonly name: string;
  },
): Promise<{ readonly keyId: string; readonly key: string }> {
  const { key, ...made } = await makeKey(context);
  await context.execute(insertKey({ ...wanted, ...made }));
  return { keyId: made.id, key };
}

/** Makes a key for the workers of one endpoint, with the price of their jobs. It too is shown only now. */
export async function createWorkerKey(
  context: AdminContext,
  wanted: Pick<WorkerKey, "tier" | "rateKind" | "slots"> & { readonly endpointId: string; readonly name: string },
): Promise<{ readonly keyId: string; readonly key: string; readonly endpointId: string }> {
  const { key, ...made } = await makeKey(context);
  await context.execute(insertWorkerKey({ ...wanted, ...made }));
  return { keyId: made.id, key, endpointId: wanted.endpointId };
}

/** Makes a new key, and the values that D1 stores for it. */
async function makeKey(context: AdminContext) {
  await checkSecrets(context);
  const { id, key } = makeApiKey(randomBytes(KEY_RANDOM_BYTES));
  return { id, key, digest: toHex(await digestKey(key, context.secrets.pepper)), createdAtMs: Date.now() };
}

/** Where there are four million endpoints, a drawn number is taken already once in a thousand times. */
const NUMBER_DRAWS = 5;

/** Makes an endpoint; whether its routes may be open must have been checked before (checkRoutes). */
export async function createEndpoint(
  context: AdminContext,
  wanted: Omit<NewEndpoint, "id" | "number" | "createdAtMs">,
): Promise<{ readonly endpointId: string }> {
  const problem = slugProblem(wanted.slug);
  if (problem !== null) throw new Error(`the slug "${wanted.slug}" ${problem}`);
  const endpointId = makeEndpointId(randomBytes(ENDPOINT_ID_BYTES));
  for (let drawsLeft = NUMBER_DRAWS; ; drawsLeft -= 1) {
    try {
      const number = randomInt(1, 2 ** 32);
      await context.execute(insertEndpoint({ ...wanted, id: endpointId, number, createdAtMs: Date.now() }));
      return { endpointId };
    } catch (error) {
      if (drawsLeft === 1 || !String(error).includes("endpoints.number")) throw error;
    }
  }
}

/** Adds an upstream; `credential` is in the clear, null when the upstream needs none. */
export async function addUpstream(
  context: AdminContext,
  { endpointId, ...wanted }: Omit<Upstream, "id"> & { readonly endpointId: string },
): Promise<{ readonly upstreamId: string }> {
  await checkSecrets(context);
  const id = `up-${randomUUID()}`;
  const { encryptionKey } = context.secrets;
  const credential =
    wanted.credential === null ? null : await seal(wanted.credential, encryptionKey, credentialPlace(id));
  await context.execute(insertUpstream(endpointId, { ...wanted, id, credential }, Date.now()));
  return { upstreamId: id };
}
