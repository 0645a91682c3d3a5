// The state of a webhook after a try, or after its dead letter was offered: when it is tried next, or given up.
import { LETTER_RETRY_MS, WEBHOOK_SCHEDULE_MS } from "../limits.ts";
import type { WebhookOutcome } from "./event.ts";
import type { WebhookState } from "./job.ts";

/** The detail stands in the job's row at each try, and in a dead letter. */
const DETAIL_MAX_CHARS = 4_000;

/** What a try came to, as one sentence. `status`: the receiver's, where there was one. */
export function sentenceOf(result: WebhookOutcome, status: number | null): string {
  if (result.kind === "failed") return result.detail.slice(0, DETAIL_MAX_CHARS);
  if (result.kind === "gone") return "the receiver answered 410";
  return status === null ? "the receiver took it" : `the receiver answered ${status}`;
}

/** The state after the dead letter was offered to D1, which may have kept it. Null when none is owed. */
export function settleDeadLetter(webhook: WebhookState, kept: boolean, nowMs: number): WebhookState | null {
  if (!webhook.dead || webhook.nextAtMs === null) return null;
  return { ...webhook, nextAtMs: kept ? null : nowMs + LETTER_RETRY_MS };
}

/** The state after one try; null when the result of another try is awaited. */
export function settleWebhookTry(
  webhook: WebhookState,
  tryNumber: number,
  result: WebhookOutcome,
  context: { readonly nowMs: number; readonly jitter: number },
): WebhookState | null {
  if (webhook.nextAtMs === null || webhook.dead || webhook.tries + 1 !== tryNumber) return null;
  if (result.kind === "delivered") return { tries: tryNumber, nextAtMs: null, dead: false, detail: null };
  const detail = sentenceOf(result, null);
  const waitMs = WEBHOOK_SCHEDULE_MS[tryNumber];
  // The webhook is given up: its dead letter is due now, and the receiver is not called again.
  if (result.kind === "gone" || waitMs === undefined) {
    return { tries: tryNumber, nextAtMs: context.nowMs, dead: true, detail };
  }
  const jitteredMs = Math.round(waitMs * (1 + context.jitter / 4));
  const nextAtMs = context.nowMs + Math.max(jitteredMs, result.retryAfterMs ?? 0);
  return { tries: tryNumber, nextAtMs, dead: false, detail };
}
