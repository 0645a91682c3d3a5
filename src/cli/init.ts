// The first tenant and the first admin key of a deployment: the only rows that the command line writes by itself, because without
// such a key nobody can call the API that makes all others.
import { randomBytes, randomUUID } from "node:crypto";
import { KEY_RANDOM_BYTES, makeApiKey } from "../core/access/api-key.ts";
import { WEBHOOK_SECRET_PLACE } from "../core/access/sealing.ts";
import { makeWebhookSecret, WEBHOOK_SECRET_BYTES } from "../core/access/webhook-secret.ts";
import { toHex } from "../core/bytes/hex.ts";
import { textOf } from "../core/json/value.ts";
import { insertFingerprint, SELECT_FINGERPRINTS } from "../db/fingerprints.ts";
import { MARK } from "../db/importing.ts";
import { selectUsableAdminKeys } from "../db/keys.ts";
import { insertClientKey } from "../db/managed-keys.ts";
import type { Statement } from "../db/statement.ts";
import { insertTenant } from "../db/tenants.ts";
import { digestKey, keyFingerprint, seal } from "../outbound/credentials.ts";
import type { AdminSecrets } from "./admin-secrets.ts";
import type { Execute } from "./d1.ts";

/** The database to write to, and the two secrets of the deployment. */
export interface InitContext {
  readonly secrets: AdminSecrets;
  readonly execute: Execute;
}

/** The key opens everything. Neither it nor the secret can be read again. */
export interface FirstTenant {
  readonly tenantId: string;
  readonly key: string;
  readonly webhookSecret: string;
}

/** Is called with what is about to be written, so that it is not lost if the answer of the write is. */
export type KeepFirst = (first: FirstTenant) => void;

/** Makes them, unless there is a usable admin key, by which all else can be made. */
export async function initDeployment(context: InitContext, name: string, keep?: KeepFirst): Promise<FirstTenant> {
  // In one call with what is read next, because each call takes a second.
  const [keys = [], fingerprints = []] = await context.execute(selectUsableAdminKeys(Date.now()), SELECT_FINGERPRINTS);
  if (keys.length > 0) {
    const ids = keys.map((row) => textOf(row, "id")).join(", ");
    throw new Error(
      `there is a key of the scope admin already (${ids}): npm run admin -- tenant create and key create make the others with it`,
    );
  }
  return make(context, name, fingerprints, keep);
}

/** Makes them, whatever there is. */
export async function makeFirstTenant(context: InitContext, name: string): Promise<FirstTenant> {
  const [fingerprints = []] = await context.execute(SELECT_FINGERPRINTS);
  return make(context, name, fingerprints);
}

async function make(
  { secrets, execute }: InitContext,
  name: string,
  stored: readonly unknown[],
  keep?: KeepFirst,
): Promise<FirstTenant> {
  if (stored.some((row) => textOf(row, "name") === MARK))
    throw new Error(
      "an import has begun in this database and not ended: npm run admin -- import with the same file ends it",
    );
  const fingerprints = await checkSecrets(secrets, stored);
  const tenantId = `ten-${randomUUID()}`;
  const webhookSecret = makeWebhookSecret(randomBytes(WEBHOOK_SECRET_BYTES));
  const sealedWebhookSecret = await seal(webhookSecret, secrets.encryptionKey, WEBHOOK_SECRET_PLACE);
  const { id, key } = makeApiKey(randomBytes(KEY_RANDOM_BYTES));
  const digest = toHex(await digestKey(key, secrets.pepper));
  const createdAtMs = Date.now();
  keep?.({ tenantId, key, webhookSecret });
  // All of it or none: a tenant without a key would be in the way of the next try.
  await execute(
    ...fingerprints,
    insertTenant({ id: tenantId, name, sealedWebhookSecret, createdAtMs }),
    insertClientKey({
      ...{ id, digest, tenantId, name: "first", createdAtMs },
      ...{ scopes: ["jobs", "manage", "admin"], endpointIds: null, expiresAtMs: null },
    }),
  );
  return { tenantId, key, webhookSecret };
}

/**
 * Keys and credentials that are made under other secrets would be useless: refuses when D1 was set up with different ones, of which
 * `rows` are the fingerprints. Returns the statements that remember the secrets of the first use.
 */
async function checkSecrets(secrets: AdminSecrets, rows: readonly unknown[]): Promise<Statement[]> {
  const prints = {
    pepper: await keyFingerprint(secrets.pepper),
    encryption_key: await keyFingerprint(secrets.encryptionKey),
  };
  const stored = new Map(rows.map((row) => [textOf(row, "name"), textOf(row, "value")]));
  return Object.entries(prints).flatMap(([name, print]) => {
    const known = stored.get(name);
    if (known === undefined) return [insertFingerprint(name, print)];
    if (known === print) return [];
    throw new Error(`the ${name.replace("_", " ")} is not the one that this database was set up with`);
  });
}
