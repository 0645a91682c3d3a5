// The body of a webhook as text, put together from the delivery and, where its payloads are in R2, from there; and the
// place where the body of a dead letter stands.
import type { Delivery } from "../contract/broker.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { webhookBody } from "../outbound/webhook.ts";
import { spliceBody } from "../payload/splice.ts";

/**
 * The body with its payloads, or without them where R2 has lost one: that must not hold up the news that the job ended.
 * `whenAway`: what to do if R2 does not answer; `throw` is for one who can come again.
 */
export async function bodyText(delivery: Delivery, bucket: R2Bucket, whenAway: "thin" | "throw"): Promise<string> {
  const whole = await spliceText(webhookBody(delivery), bucket);
  if (whole.kind === "ok") return whole.text;
  if (whole.kind === "storage_failed" && whenAway === "throw") throw new Error(whole.message);
  const thin = await spliceText(webhookBody(delivery, { forceTruncated: true }), bucket);
  if (thin.kind !== "ok") throw new Error("the body could not be put together");
  return thin.text;
}

/** The R2 key of a dead letter's body. It is not below the endpoint's: a letter outlives its endpoint. */
export function deadBodyKey(tenantId: string, webhookId: string): string {
  return `webhooks/${tenantId}/${webhookId}`;
}

async function spliceText(parts: readonly (string | PayloadRef)[], bucket: R2Bucket) {
  const spliced = await spliceBody(parts, bucket);
  if (spliced.kind !== "ok") return spliced;
  const bytes = new Uint8Array(await new Response(spliced.body).arrayBuffer());
  // A byte order mark within a payload is part of it.
  return { kind: "ok", text: new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(bytes) } as const;
}
