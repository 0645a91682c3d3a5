// Receivers of webhooks for tests inside workerd: what each call brought, and with which secrets it verifies.
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import type { Delivery } from "../../src/contract/broker.ts";
import { WEBHOOK_SECRET_PLACE } from "../../src/core/access/sealing.ts";
import { runAll } from "../../src/db/statement.ts";
import { rotateWebhookSecret } from "../../src/db/tenants.ts";
import { seal } from "../../src/outbound/credentials.ts";
import { answerUpstreams } from "./broker.ts";

export const RECEIVER_URL = "https://receiver.example.com/hook";

/** One call of a receiver. */
export interface ReceivedWebhook {
  readonly url: string;
  readonly id: string | null;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function makeWebhookSecret(): string {
  return `whsec_${btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24))))}`;
}

export function sealWebhookSecret(secret: string): Promise<string> {
  return seal(secret, env.ENCRYPTION_KEY, WEBHOOK_SECRET_PLACE);
}

/** The webhook of a job, to this receiver and with this secret kept. */
export async function webhookTo(url: string, secret = makeWebhookSecret()) {
  return { url, sealedSecret: await sealWebhookSecret(secret) };
}

/** Gives a tenant a new secret, which is returned; the former one signs beside it until then. */
export async function rotate(tenantId: string, formerUntilMs: number): Promise<string> {
  const secret = makeWebhookSecret();
  await runAll(env.DB, [rotateWebhookSecret(tenantId, await sealWebhookSecret(secret), formerUntilMs)]);
  return secret;
}

/** A webhook of a completed job as a sender gets it; members that are left out have values of no matter. */
export function deliveryOf(partial: Partial<Delivery> = {}): Delivery {
  const { jobId = "job-u1" } = partial;
  const job = { id: jobId, status: "COMPLETED", retries: 0, delayMs: 1, executionMs: 2, workerId: null } as const;
  return {
    endpointId: "ep",
    jobId,
    round: 0,
    tryNumber: 1,
    webhookId: "msg_1",
    url: RECEIVER_URL,
    tenantId: "nobody",
    sealedSecret: "of the submit",
    job: { ...job, output: null, error: null, failure: null, queue: null },
    input: { kind: "inline", bytes: new TextEncoder().encode("{}") },
    ...partial,
  };
}

/** Receivers answer by this function, upstreams complete every job; returns all calls of receivers, in order. */
export function receiveWebhooks(
  answer: (call: ReceivedWebhook) => Promise<Response> | Response,
  isReceiver: (url: string) => boolean = (url) => url.startsWith(RECEIVER_URL),
): ReceivedWebhook[] {
  const calls: ReceivedWebhook[] = [];
  answerUpstreams(async (request) => {
    if (!isReceiver(request.url)) return Response.json({ ok: true });
    const headers = Object.fromEntries(request.headers);
    const call = { url: request.url, id: headers["webhook-id"] ?? null, text: await request.text(), headers };
    calls.push(call);
    return answer(call);
  });
  return calls;
}

/** Of these secrets, those with which the public library verifies a call that has just come. */
export function verifiedBy(call: ReceivedWebhook | undefined, ...secrets: readonly string[]): string[] {
  if (call === undefined) return [];
  return secrets.filter((secret) => {
    try {
      new Webhook(secret).verify(call.text, { ...call.headers });
      return true;
    } catch {
      return false;
    }
  });
}
