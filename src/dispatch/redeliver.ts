// Sends dead letters again when their tenant asks for it: one signed try at once, by the guard and the call of every
// webhook, under the same webhook id. What comes of it stands in D1, and in the log of the endpoint's broker.
import { readConfig } from "../config.ts";
import type { WebhookTry } from "../contract/broker.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import {
  DEAD_BODY_CALL_MAX_MS,
  REDELIVERED_AT_ONCE_MAX,
  REDELIVERIES_UNDER_WAY_MAX,
} from "../core/job/webhook-limits.ts";
import { sentenceOf } from "../core/job/webhook-try.ts";
import {
  findDeadLetter,
  type NumberedDeadLetter,
  nextRedeliverable,
  noteBodyGone,
  noteRedelivered,
  noteRefused,
} from "../db/dead-letters.ts";
import { within } from "../db/deadline.ts";
import { log } from "../log.ts";
import { sendWebhook } from "../outbound/webhook.ts";
import { BrokerClient } from "./broker-client.ts";
import { dropBodies } from "./dead-webhooks.ts";
import { deadBodyKey } from "./webhook-body.ts";
import { presentSecrets } from "./webhook-secrets.ts";

/** What a dead letter came to that was sent again. */
export interface Redelivery {
  readonly delivered: boolean;
  /** The receiver's HTTP status, if there was one. */
  readonly status?: number;
  readonly detail: string;
  readonly tookMs: number;
}

/** What several came to. */
export interface Redeliveries {
  readonly delivered: number;
  readonly failed: number;
  /** Letters behind these that can be sent again. */
  readonly remaining: number;
  /** The `after` of the next call; null: there are no further ones. */
  readonly next: number | null;
}

const NO_LETTER = fail({ kind: "not_found", what: "webhook" });
const NO_BODY = fail({ kind: "wrong_state", message: "the body of this webhook is not kept: it cannot be sent again" });
const NO_RECORD = fail({ kind: "unavailable", message: "dead webhooks cannot be read right now" });
const NO_STORAGE = fail({ kind: "unavailable", message: "the body of this webhook cannot be read right now" });

/** The log is for people: a broker that does not answer must not hold up the answer for long. */
const BROKER_ANSWER_MAX_MS = 3_000;

/** Sends one dead letter again. A delivered one leaves the list; of another one tries and detail change. */
export async function redeliver(env: Env, tenantId: string, webhookId: string): Promise<Result<Redelivery>> {
  const nowMs = Date.now();
  const read = await orNull(() => findDeadLetter(env.DB, tenantId, webhookId, nowMs));
  if (read === null) return NO_RECORD;
  const letter = read.value;
  if (letter === null) return NO_LETTER;
  const secrets = await orNull(() => presentSecrets(env, tenantId, nowMs));
  if (secrets === null) return NO_RECORD;
  return secrets.value === null ? NO_LETTER : sendAgain(env, tenantId, letter, secrets.value);
}

/**
 * Sends the oldest dead letters again that have a number beyond `after` (null: from the first one on). A client that
 * goes on with `next` comes to each once, also where some fail again.
 */
export async function redeliverSome(
  env: Env,
  tenantId: string,
  { after, limit }: { readonly after: number | null; readonly limit: number },
): Promise<Result<Redeliveries>> {
  const nowMs = Date.now();
  const lettersMax = Math.max(1, Math.min(limit, REDELIVERED_AT_ONCE_MAX));
  const read = await orNull(() =>
    Promise.all([
      nextRedeliverable(env.DB, tenantId, { after: after ?? 0, limit: lettersMax, nowMs }),
      presentSecrets(env, tenantId, nowMs),
    ]),
  );
  if (read === null) return NO_RECORD;
  const [{ letters, inAll }, secrets] = read.value;
  if (secrets === null) return ok({ delivered: 0, failed: 0, remaining: 0, next: null });
  let delivered = 0;
  const left = letters.values();
  const sendThose = async (): Promise<void> => {
    for (const letter of left) {
      const sent = await sendAgain(env, tenantId, letter, secrets);
      if (sent.ok && sent.value.delivered) delivered += 1;
    }
  };
  await Promise.all(Array.from({ length: REDELIVERIES_UNDER_WAY_MAX }, sendThose));
  const remaining = inAll - letters.length;
  const next = remaining > 0 ? (letters.at(-1)?.number ?? null) : null;
  return ok({ delivered, failed: letters.length - delivered, remaining, next });
}

async function sendAgain(
  env: Env,
  tenantId: string,
  letter: NumberedDeadLetter,
  secrets: readonly string[],
): Promise<Result<Redelivery>> {
  const { webhookId, url } = letter;
  if (!letter.redeliverable) return NO_BODY;
  const body = await orNull(() => within(DEAD_BODY_CALL_MAX_MS, readBody(env, tenantId, webhookId), "R2"));
  if (body === null) return NO_STORAGE;
  if (body.value === null) {
    await orNull(() => noteBodyGone(env.DB, tenantId, webhookId));
    return NO_BODY;
  }
  const call = { url, secrets, webhookId, at: new Date(), body: body.value };
  const tried = await sendWebhook(call, readConfig(env).reach);
  await note(env, tenantId, letter, tried);
  const detail = sentenceOf(tried.result, tried.status);
  const status = tried.status === null ? {} : { status: tried.status };
  return ok({ delivered: tried.result.kind === "delivered", ...status, detail, tookMs: tried.tookMs });
}

async function readBody(env: Env, tenantId: string, webhookId: string): Promise<string | null> {
  const object = await env.PAYLOADS.get(deadBodyKey(tenantId, webhookId));
  return object === null ? null : object.text();
}

/**
 * Notes what a try came to. The receiver has had it, so that a record which does not answer changes nothing of that.
 */
async function note(env: Env, tenantId: string, letter: NumberedDeadLetter, tried: WebhookTry): Promise<void> {
  const { webhookId, endpointId, jobId, tries } = letter;
  const { result, status, atMs, tookMs } = tried;
  const delivered = result.kind === "delivered";
  const detail = sentenceOf(result, status);
  const noted = await orNull(() =>
    delivered
      ? noteRedelivered(env.DB, tenantId, webhookId, Date.now())
      : noteRefused(env.DB, tenantId, webhookId, detail),
  );
  // While D1 lists the letter it can be sent again, so its body stays.
  if (delivered && noted !== null) await dropBodies(env.PAYLOADS, [deadBodyKey(tenantId, webhookId)]);
  const entry = { atMs, jobId, webhookId, tryNumber: tries + 1, delivered, status, detail, tookMs };
  const logIt = () => new BrokerClient(env, endpointId).call("noteDelivery", { tenantId, tried: entry });
  await orNull(() => within(BROKER_ANSWER_MAX_MS, logIt(), "the broker"));
}

/** What a call to D1, R2 or a broker gives; null: it failed, which is logged. */
async function orNull<T>(call: () => Promise<T>): Promise<{ readonly value: T } | null> {
  try {
    return { value: await call() };
  } catch (error) {
    log("redelivery_call_failed", { error: String(error) });
    return null;
  }
}
