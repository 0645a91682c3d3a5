// One try of one webhook: RunPod's body, signed by Standard Webhooks, sent within 15 s. Only the receiver's status is
// kept: a tenant may point the webhook at somebody else's server, and must read nothing of its answer.
import { Webhook } from "standardwebhooks";
import type { Delivery, WebhookTry } from "../contract/broker.ts";
import type { Reach } from "../core/access/reach.ts";
import type { WebhookOutcome } from "../core/job/event.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { WEBHOOK_PAYLOAD_MAX_BYTES, WEBHOOK_TIMEOUT_MS } from "../core/limits.ts";
import { callUrl } from "./call.ts";
import { parseRetryAfter } from "./retry-after.ts";

const USER_AGENT = "Waybill-Webhook/1";
const IDLE_MS = 10_000;
const ANSWER_MAX_BYTES = 1_024;
const RETRY_AFTER_MAX_MS = 86_400_000;

/** A body as text and references, in order; code with access to the bucket splices it. */
export type BodyParts = readonly (string | PayloadRef)[];

/**
 * RunPod's body of a finished job, keys in alphabetical order, unknown ones left out. It has `input` and `output` byte
 * for byte while they are at most WEBHOOK_PAYLOAD_MAX_BYTES together; else, or with `forceTruncated`, the status URL.
 */
export function webhookBody(
  delivery: Pick<Delivery, "endpointId" | "job" | "input" | "url">,
  options: { readonly forceTruncated: boolean } = { forceTruncated: false },
): BodyParts {
  const { job, input } = delivery;
  const payloadBytes = sizeOf(input) + (job.output === null ? 0 : sizeOf(job.output));
  const truncated = options.forceTruncated || payloadBytes > WEBHOOK_PAYLOAD_MAX_BYTES;
  const entries: [string, string | PayloadRef | null][] = [
    ["delayTime", jsonOf(job.delayMs)],
    ["error", jsonOf(job.error)],
    ["executionTime", jsonOf(job.executionMs)],
    ["id", jsonOf(job.id)],
    ["input", truncated ? null : input],
    ["output", truncated ? null : job.output],
    ["retries", job.retries > 0 ? jsonOf(job.retries) : null],
    ["status", jsonOf(job.status)],
    ["statusUrl", truncated ? jsonOf(`/v2/${delivery.endpointId}/status/${job.id}`) : null],
    ["truncated", truncated ? "true" : null],
    ["webhook", jsonOf(delivery.url)],
    ["workerId", jsonOf(job.workerId)],
  ];
  const parts: (string | PayloadRef)[] = [];
  for (const [name, value] of entries) {
    if (value === null) continue;
    parts.push(`${parts.length === 0 ? "{" : ","}${JSON.stringify(name)}:`, value);
  }
  return [...parts, "}"];
}

/**
 * The headers that `standardwebhooks` verifies with any one of the secrets, each `whsec_…`: there is a signature by
 * each, as the standard has it for the time of a rotation. `at` is the time of this try.
 */
export function signWebhook(
  secrets: readonly string[],
  webhookId: string,
  at: Date,
  body: string,
): Record<string, string> {
  return {
    "webhook-id": webhookId,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": secrets.map((secret) => new Webhook(secret).sign(webhookId, at, body)).join(" "),
  };
}

/** Sends a body once. 2xx is delivered, 410 gone, everything else failed with the status or the kind of failure. */
export async function sendWebhook(
  call: Pick<Delivery, "url" | "webhookId"> & {
    readonly secrets: readonly string[];
    readonly at: Date;
    readonly body: string;
  },
  reach: Reach,
): Promise<WebhookTry> {
  const { at } = call;
  const result = await callUrl(
    {
      url: call.url,
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        ...signWebhook(call.secrets, call.webhookId, at, call.body),
      },
      body: call.body,
      totalMs: WEBHOOK_TIMEOUT_MS,
      idleMs: IDLE_MS,
    },
    reach,
  );
  const status = result.kind === "response" || result.kind === "redirect" ? result.status : null;
  const made = { status, atMs: at.getTime(), tookMs: Date.now() - at.getTime() };
  return { result: await readResult(result, at), ...made };
}

/** What the schedule makes of a call. */
async function readResult(result: Awaited<ReturnType<typeof callUrl>>, at: Date): Promise<WebhookOutcome> {
  switch (result.kind) {
    case "response": {
      await readAway(result.body);
      result.close();
      if (result.status < 300) return { kind: "delivered" };
      if (result.status === 410) return { kind: "gone" };
      const asked = parseRetryAfter(result.headers.get("retry-after"), at.getTime());
      const retryAfterMs = asked === null ? null : Math.min(asked, RETRY_AFTER_MAX_MS);
      return { kind: "failed", detail: `the receiver answered ${result.status}`, retryAfterMs };
    }
    case "redirect":
      return failed(`the receiver answered ${result.status}; redirects are not followed`);
    case "url_refused":
      return failed(`the URL ${result.message}`);
    case "not_made":
      return failed(`the request cannot be sent: ${result.detail}`);
    case "not_sent":
      return failed(`the receiver could not be reached: ${result.detail}`);
    case "timeout":
      return failed(`the receiver did not answer within ${WEBHOOK_TIMEOUT_MS / 1_000} s`);
    case "protocol":
      return failed(`the receiver broke HTTP: ${result.detail}`);
    case "cut":
      return failed(`the receiver broke off: ${result.detail}`);
    case "reset":
      return failed(`the receiver ${result.detail}`);
    case "aborted":
      return failed("the call was given up");
  }
}

/** Reads a short answer to its end, so that the connection can be used again; a long answer is cut. */
async function readAway(body: AsyncIterable<Uint8Array>): Promise<void> {
  let read = 0;
  try {
    for await (const chunk of body) {
      read += chunk.length;
      if (read > ANSWER_MAX_BYTES) return;
    }
  } catch {
    // The status has arrived, and it does not matter how the body ended.
  }
}

function failed(detail: string): WebhookOutcome {
  return { kind: "failed", detail, retryAfterMs: null };
}

function sizeOf(ref: PayloadRef): number {
  return ref.kind === "inline" ? ref.bytes.length : ref.sizeBytes;
}

function jsonOf(value: string | number | null): string | null {
  return value === null ? null : JSON.stringify(value);
}
