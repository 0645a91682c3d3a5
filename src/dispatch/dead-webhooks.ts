// Keeps a webhook that is given up: first its body in R2, so that it can be sent again when its job is long gone, then
// its row in D1. Without R2 the row is kept all the same, and the body follows once R2 is back.
import type { Delivery, GivenUp } from "../contract/broker.ts";
import { messageOf } from "../core/failure.ts";
import { DEAD_BODY_CALL_MAX_MS, DEAD_BODY_OFFERED_MS } from "../core/job/webhook-limits.ts";
import { POST_TIMEOUT_MS } from "../core/limits.ts";
import { keepDeadLetter } from "../db/dead-letters.ts";
import { within } from "../db/deadline.ts";
import { log } from "../log.ts";
import { bodyText, deadBodyKey } from "./webhook-body.ts";

/** False: the letter must be offered again, because D1 has no row of it, or R2 no body and may still get it. */
export async function keepDeadWebhook(env: Env, delivery: Delivery, givenUp: GivenUp): Promise<boolean> {
  const { tenantId, webhookId, endpointId, jobId, url } = delivery;
  const key = deadBodyKey(tenantId, webhookId);
  const isStored = await storeBody(env.PAYLOADS, key, delivery);
  const letter = { webhookId, endpointId, jobId, url, ...givenUp };
  try {
    const bodyStoredAtMs = isStored ? givenUp.givenUpAtMs : null;
    const kept = await within(POST_TIMEOUT_MS, keepDeadLetter(env.DB, tenantId, letter, bodyStoredAtMs), "D1");
    await dropBodies(env.PAYLOADS, [
      ...kept.dropped.map((dropped) => deadBodyKey(tenantId, dropped)),
      // It was sent again and delivered before this broker learned that its letter is kept.
      ...(kept.isDelivered ? [key] : []),
    ]);
    return isStored || givenUp.givenUpAtMs >= kept.givenUpAtMs + DEAD_BODY_OFFERED_MS;
  } catch (error) {
    log("dead_letter_failed", { endpoint: endpointId, job: jobId, error: String(error) });
    return false;
  }
}

/** Deletes bodies of dead letters. If R2 does not answer, the bucket's rule deletes them when they are 30 days old. */
export async function dropBodies(bucket: R2Bucket, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  try {
    await within(DEAD_BODY_CALL_MAX_MS, bucket.delete([...keys]), "R2");
  } catch (error) {
    log("dead_body_left", { bodies: keys.length, error: String(error) });
  }
}

async function storeBody(bucket: R2Bucket, key: string, delivery: Delivery): Promise<boolean> {
  const store = async () => {
    // The body never changes. While D1 is down it is there from the first offer, and to put it again each minute costs
    // twelve times as much as to ask for it.
    if ((await bucket.head(key)) === null) await bucket.put(key, await bodyText(delivery, bucket, "throw"));
  };
  try {
    await within(DEAD_BODY_CALL_MAX_MS, store(), "R2");
    return true;
  } catch (error) {
    log("dead_body_failed", { endpoint: delivery.endpointId, job: delivery.jobId, error: messageOf(error) });
    return false;
  }
}
