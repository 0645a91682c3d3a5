// Webhooks of a broker: which are due, how many are in flight to a host, and when to look again.
// The schedule itself is core's (transition.ts, webhook_result); the row of the job is the truth.
import type { Delivery, JobView } from "../contract/broker.ts";
import type { Job } from "../core/job.ts";
import { WAKE_RESEND_MS, WEBHOOK_HOST_IN_FLIGHT_MAX, WEBHOOK_TIMEOUT_MS } from "../core/limits.ts";
import type { PayloadRef } from "../core/payload-ref.ts";
import type { LiveIndex } from "./live-index.ts";
import type { StoredJob } from "./store.ts";

/** A courier that has not reported by then is taken for lost; the receiver may get the same id twice. */
const COURIER_MAX_MS = WEBHOOK_TIMEOUT_MS * 2;

export class WebhookOutbox {
  readonly #index: LiveIndex;
  readonly #inFlight = new Map<string, { readonly host: string; readonly untilMs: number }>();
  #wakeSentAtMs = 0;

  constructor(index: LiveIndex) {
    this.#index = index;
  }

  /** Takes the webhooks that may be sent now; each is in flight until `settle` or until its courier is given up. */
  take(nowMs: number): string[] {
    for (const [uuid, flight] of this.#inFlight) if (flight.untilMs <= nowMs) this.#inFlight.delete(uuid);
    const perHost = new Map<string, number>();
    for (const { host } of this.#inFlight.values()) perHost.set(host, (perHost.get(host) ?? 0) + 1);
    const taken: string[] = [];
    for (const { uuid, host } of this.#index.dueWebhooks(nowMs)) {
      const busy = perHost.get(host) ?? 0;
      if (this.#inFlight.has(uuid) || busy >= WEBHOOK_HOST_IN_FLIGHT_MAX) continue;
      perHost.set(host, busy + 1);
      this.#inFlight.set(uuid, { host, untilMs: nowMs + COURIER_MAX_MS });
      taken.push(uuid);
    }
    return taken;
  }

  settle(uuid: string): void {
    this.#inFlight.delete(uuid);
  }

  /** True when a wake-up should be sent now: something is due that is not in flight, and none was sent lately. */
  wantsWake(nowMs: number): boolean {
    if (nowMs < this.#wakeSentAtMs + WAKE_RESEND_MS && this.#wakeSentAtMs !== 0) return false;
    const waiting = this.#index.dueWebhooks(nowMs).some(({ uuid }) => !this.#inFlight.has(uuid));
    if (waiting) this.#wakeSentAtMs = nowMs;
    return waiting;
  }

  /** The wake-up arrived: the next due webhook may send another at once. */
  woke(): void {
    this.#wakeSentAtMs = 0;
  }

  nextAtMs(nowMs: number): number {
    const next = this.#index.nextWebhookAtMs();
    if (next > nowMs) return next;
    return nowMs + WAKE_RESEND_MS;
  }
}

/** The id of one finish's webhook: the same on every try, and without a dot. */
export function webhookIdOf(job: Job): string {
  return `msg_${job.uuid}_${job.attempts}`;
}

/** What a courier is told. */
export function toDelivery(endpointId: string, stored: StoredJob, view: JobView, input: PayloadRef): Delivery {
  const { job, webhook } = stored;
  if (webhook === null) throw new Error("a delivery without a webhook");
  return {
    endpointId,
    jobId: view.id,
    tryNumber: (job.webhook?.tries ?? 0) + 1,
    webhookId: webhookIdOf(job),
    url: webhook.url,
    sealedSecret: webhook.sealedSecret,
    job: view,
    input,
  };
}
