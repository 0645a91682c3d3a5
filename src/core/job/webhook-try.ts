// How far a webhook has come after a try, or after the offer of its dead letter: the schedule of tries, and when it is given up.
import { ERROR_TEXT_MAX_CHARS, LETTER_RETRY_MS, WEBHOOK_SCHEDULE_MS } from "../limits.ts";
import type { WebhookOutcome } from "./event.ts";
import type { WebhookState } from "./job.ts";

/** Its dead letter was offered to D1: kept, or due again later. Null when none is owed. */
export function settleDeadLetter(webhook: WebhookState, kept: boolean, nowMs: number): WebhookState | null {
  if (!webhook.dead || webhook.nextAtMs === null) return null;
  return { ...webhook, nextAtMs: kept ? null : nowMs + LETTER_RETRY_MS };
}

/** How far a call back has come after one try; null when that try is not the one that is awaited. */
export function settleWebhookTry(
  webhook: WebhookState,
  tryNumber: number,
  result: WebhookOutcome,
  context: { readonly nowMs: number; readonly jitter: number },
): WebhookState | null {
  if (webhook.nextAtMs === null || webhook.dead || webhook.tries + 1 !== tryNumber) return null;
  if (result.kind === "delivered") return { tries: tryNumber, nextAtMs: null, dead: false, detail: null };
  const detail = result.kind === "gone" ? "the receiver answered 410" : result.detail.slice(0, ERROR_TEXT_MAX_CHARS);
  const waitMs = WEBHOOK_SCHEDULE_MS[tryNumber];
  // Given up: from now on its dead letter is due, and nothing more goes to the receiver.
  if (result.kind === "gone" || waitMs === undefined) {
    return { tries: tryNumber, nextAtMs: context.nowMs, dead: true, detail };
  }
  const jitteredMs = Math.round(waitMs * (1 + context.jitter / 4));
  const nextAtMs = context.nowMs + Math.max(jitteredMs, result.retryAfterMs ?? 0);
  return { tries: tryNumber, nextAtMs, dead: false, detail };
}
