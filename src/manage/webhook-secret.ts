// Gives a tenant a new secret for its webhooks. For a time each webhook is signed with the former one, too, so that a receiver can
// change over without missing one.
import { readConfig } from "../config.ts";
import { WEBHOOK_SECRET_PLACE } from "../core/access/sealing.ts";
import { makeWebhookSecret, WEBHOOK_SECRET_BYTES } from "../core/access/webhook-secret.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { HIDDEN } from "../core/manage/changes.ts";
import { toTimeText } from "../core/manage/time-text.ts";
import { askD1 } from "../db/ask-d1.ts";
import { findWebhookSecrets, rotateWebhookSecret } from "../db/tenants.ts";
import { seal } from "../outbound/credentials.ts";
import { createOnce } from "./commit.ts";
import { audited, type ManageContext } from "./context.ts";

export interface RotatedSecret {
  /** Null: an earlier call with the same Idempotency-Key has rotated it. */
  readonly secret: string | null;
  readonly formerUntilMs: number | null;
}

/** Until when the former secret of a tenant signs, too; null: it does not, or not any more. */
export async function readFormerUntil(
  { env, nowMs }: Pick<ManageContext, "env" | "nowMs">,
  tenantId: string,
): Promise<Result<number | null>> {
  const found = await askD1(() => findWebhookSecrets(env.DB, tenantId));
  if (!found.ok) return found;
  if (found.value === null) return fail({ kind: "not_found", what: "tenant" });
  const { formerUntilMs } = found.value;
  return ok(formerUntilMs !== null && formerUntilMs > nowMs ? formerUntilMs : null);
}

/** Rotates the secret of a tenant, once for each Idempotency-Key. The new one can be read only now. */
export async function rotateSecret(
  context: ManageContext,
  tenantId: string,
  overlapMs: number,
): Promise<Result<RotatedSecret>> {
  const { env, nowMs } = context;
  const known = await readFormerUntil(context, tenantId);
  if (!known.ok) return known;
  const secret = makeWebhookSecret(crypto.getRandomValues(new Uint8Array(WEBHOOK_SECRET_BYTES)));
  const sealed = await seal(secret, readConfig(env).encryptionKey, WEBHOOK_SECRET_PLACE);
  const formerUntilMs = nowMs + overlapMs;
  const changes = [
    { field: "webhookSecret", old: HIDDEN, new: HIDDEN },
    { field: "formerValidUntil", old: null, new: toTimeText(formerUntilMs) },
  ];
  const statements = [
    rotateWebhookSecret(tenantId, sealed, formerUntilMs),
    audited(context, { tenantId, action: "webhook_secret.rotate", objectId: tenantId, changes }),
  ];
  const made = await createOnce(context, tenantId, statements);
  if (!made.ok) return made;
  const until = await readFormerUntil(context, tenantId);
  return until.ok ? ok({ secret: made.value.replayed ? null : secret, formerUntilMs: until.value }) : until;
}
