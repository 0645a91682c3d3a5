// The entrypoint that a broker starts for one try of one webhook, and to keep one that it gives up. The broker has the
// schedule; this tries and reports.

import { WorkerEntrypoint } from "cloudflare:workers";
import { readConfig } from "../config.ts";
import type { Delivery, GivenUp, WebhookSenderApi, WebhookTry } from "../contract/broker.ts";
import { messageOf } from "../core/failure.ts";
import { log } from "../log.ts";
import { sendWebhook } from "../outbound/webhook.ts";
import { brokerOf } from "./broker-client.ts";
import { keepDeadWebhook } from "./dead-webhooks.ts";
import { repeatCall } from "./repeat-call.ts";
import { bodyText } from "./webhook-body.ts";
import { deliverySecrets } from "./webhook-secrets.ts";

const TELL_FOR_MS = 60_000;

export class WebhookSender extends WorkerEntrypoint<Env> implements WebhookSenderApi {
  /** Makes the try and reports its result to the broker. */
  async deliver(delivery: Delivery): Promise<void> {
    const work = this.#deliver(delivery);
    this.ctx.waitUntil(work);
    await work;
  }

  /** Keeps a webhook that is given up as a dead letter. False: it must be offered again. */
  async keepDead(delivery: Delivery, givenUp: GivenUp): Promise<boolean> {
    return keepDeadWebhook(this.env, delivery, givenUp);
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
    const body = await bodyText(delivery, env.PAYLOADS, "thin");
    const { url, webhookId } = delivery;
    return await sendWebhook({ url, secrets, webhookId, at: new Date(), body }, reach);
  } catch (cause) {
    const detail = `Waybill could not send it: ${messageOf(cause)}`;
    const result = { kind: "failed", detail, retryAfterMs: null } as const;
    return { result, status: null, atMs, tookMs: Date.now() - atMs };
  }
}
