// The entrypoint that a broker starts for one try of one webhook. The broker has the schedule; this tries and reports.

import { WorkerEntrypoint } from "cloudflare:workers";
import { readConfig } from "../config.ts";
import type { Delivery, WebhookSenderApi, WebhookTry } from "../contract/broker.ts";
import { messageOf } from "../core/failure.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { log } from "../log.ts";
import { sendWebhook, webhookBody } from "../outbound/webhook.ts";
import { spliceBody } from "../payload/splice.ts";
import { brokerOf } from "./broker-client.ts";
import { repeatCall } from "./repeat-call.ts";
import { deliverySecrets } from "./webhook-secrets.ts";

const TELL_FOR_MS = 60_000;

export class WebhookSender extends WorkerEntrypoint<Env> implements WebhookSenderApi {
  /** Makes the try and reports its result to the broker. */
  async deliver(delivery: Delivery): Promise<void> {
    const work = this.#deliver(delivery);
    this.ctx.waitUntil(work);
    await work;
  }

  async #deliver(delivery: Delivery): Promise<void> {
    const { endpointId, jobId, round, tryNumber } = delivery;
    const tried = await tryDelivery(delivery, this.env);
    try {
      const call = (): Promise<void> =>
        brokerOf(this.env, endpointId).finishWebhook({ jobId, round, tryNumber, ...tried });
      await repeatCall(call, { forMs: TELL_FOR_MS });
    } catch (cause) {
      // The broker tries again by its own schedule; the receiver recognises the repeated id.
      log("webhook_untold", { endpointId, jobId, reason: messageOf(cause) });
    }
  }
}

/** One try of a delivery. Never throws: a failure on our side is a failed try like any other. */
export async function tryDelivery(delivery: Delivery, env: Env): Promise<WebhookTry> {
  const { reach } = readConfig(env);
  const atMs = Date.now();
  try {
    const secrets = await deliverySecrets(env, delivery, atMs);
    const body = await bodyText(delivery, env.PAYLOADS);
    const { url, webhookId } = delivery;
    return await sendWebhook({ url, secrets, webhookId, at: new Date(), body }, reach);
  } catch (cause) {
    const detail = `Waybill could not send it: ${messageOf(cause)}`;
    const result = { kind: "failed", detail, retryAfterMs: null } as const;
    return { result, status: null, atMs, tookMs: Date.now() - atMs };
  }
}

async function bodyText(delivery: Delivery, bucket: R2Bucket): Promise<string> {
  const whole = await spliceText(webhookBody(delivery), bucket);
  if (whole !== null) return whole;
  // A payload that R2 does not return must not hold up the news that the job ended.
  const thin = await spliceText(webhookBody(delivery, { forceTruncated: true }), bucket);
  if (thin === null) throw new Error("the body could not be put together");
  return thin;
}

async function spliceText(parts: readonly (string | PayloadRef)[], bucket: R2Bucket): Promise<string | null> {
  const spliced = await spliceBody(parts, bucket);
  if (spliced.kind !== "ok") return null;
  const bytes = new Uint8Array(await new Response(spliced.body).arrayBuffer());
  // A byte order mark within a payload is part of it.
  return new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(bytes);
}
