// The secrets that sign a tenant's webhook at a try: D1 has them, because a rotation must reach webhooks of jobs that
// came before it, which are tried for days. While D1 is down its last answer holds, and without one the secret that the
// job has kept.
import { readConfig } from "../config.ts";
import { WEBHOOK_SECRET_PLACE } from "../core/access/sealing.ts";
import { within } from "../db/deadline.ts";
import { StaleCache } from "../db/stale-cache.ts";
import { findWebhookSecrets, type WebhookSecrets } from "../db/tenants.ts";
import { log } from "../log.ts";
import { open } from "../outbound/credentials.ts";

/** Far longer than D1 takes for one row, and short beside the time after which a sender is taken for lost. */
const D1_ANSWER_MAX_MS = 3_000;

const known = new StaleCache<WebhookSecrets>();

/**
 * The opened secrets for a try that begins now, the newest first. `kept`: the sealed secret that the job got at its
 * submit. Of a tenant without a row, and while D1 is down and has not answered this isolate for a day, it signs alone.
 */
export async function deliverySecrets(
  env: Env,
  { tenantId, sealedSecret: kept }: { readonly tenantId: string; readonly sealedSecret: string },
  nowMs: number,
): Promise<readonly string[]> {
  let found: WebhookSecrets | null = null;
  try {
    found = await known.get(tenantId, nowMs, () => ask(env, tenantId));
  } catch (error) {
    log("webhook_secrets_unread", { tenant: tenantId, error: String(error) });
  }
  return openAll(env, found === null ? [kept] : validAt(found, nowMs));
}

/** The same as D1 has them at this moment; null: no such tenant. Throws while D1 is down. */
export async function presentSecrets(env: Env, tenantId: string, nowMs: number): Promise<readonly string[] | null> {
  const found = await ask(env, tenantId);
  return found === null ? null : openAll(env, validAt(found, nowMs));
}

function ask(env: Env, tenantId: string): Promise<WebhookSecrets | null> {
  return within(D1_ANSWER_MAX_MS, findWebhookSecrets(env.DB, tenantId), "D1");
}

function validAt({ sealedSecret, sealedFormer, formerUntilMs }: WebhookSecrets, nowMs: number): readonly string[] {
  if (sealedFormer === null || formerUntilMs === null || nowMs >= formerUntilMs) return [sealedSecret];
  return [sealedSecret, sealedFormer];
}

function openAll(env: Env, sealed: readonly string[]): Promise<readonly string[]> {
  const { encryptionKey } = readConfig(env);
  return Promise.all(sealed.map((one) => open(one, encryptionKey, WEBHOOK_SECRET_PLACE)));
}
