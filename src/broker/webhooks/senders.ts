// Starts senders of due webhooks, composes what each is sent, and offers dead letters of webhooks that are given up.
import type { Delivery } from "../../contract/broker.ts";
import { webhookIdOf } from "../../core/job/id.ts";
import type { WebhookState } from "../../core/job/job.ts";
import { DELIVERY_MOST_BYTES, deliveryBytes, senderBytes } from "../jobs/egress-bytes.ts";
import type { OverJobs } from "../jobs/jobs.ts";
import { viewJob } from "../jobs/view.ts";
import type { StoredJob } from "../store/job-row.ts";
import type { Wake } from "../wake.ts";
import type { WebhookOutbox } from "./outbox.ts";
import type { OwedWebhook } from "./owed.ts";

interface Parts extends OverJobs {
  readonly webhooks: WebhookOutbox;
  readonly wake: Wake;
}

export class WebhookSenders {
  readonly #parts: Parts;
  readonly #sendMore = (): void => void this.send(Date.now());

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Starts senders and offers dead letters, as this turn may send them; the rest follows later. Returns how many. */
  send(nowMs: number): number {
    const { egress, index } = this.#parts;
    const schedule = index.webhooks;
    let sent = 0;
    while (egress.fits(DELIVERY_MOST_BYTES)) {
      const key = schedule.take(nowMs);
      if (key === undefined) break;
      this.#sendOne(key, nowMs);
      sent += 1;
    }
    if (schedule.hasReady(nowMs) || schedule.isBehind(nowMs)) egress.again(this.#sendMore);
    return sent;
  }

  #sendOne(key: string, nowMs: number): void {
    const { index, owedWebhooks, jobs, egress, platform } = this.#parts;
    const kept = owedWebhooks.find(key);
    const stored = jobs.load(kept?.uuid ?? key);
    const state = kept?.state ?? stored?.job.webhook ?? null;
    if (stored === null || state === null) index.webhooks.drop(key);
    else {
      const delivery = this.#compose(kept, stored, state);
      index.webhooks.weigh(key, senderBytes(delivery));
      egress.count(deliveryBytes(delivery));
      if (!state.dead) platform.deliver(delivery);
      else platform.launch(this.#offerDeadLetter(key, delivery, stored.job.round, state, nowMs), "keepDeadLetter");
    }
  }

  /** `jobRound`: of the job as it is, which the dead letter of an owed webhook is not about. */
  async #offerDeadLetter(
    key: string,
    delivery: Delivery,
    jobRound: number,
    { tries, detail }: WebhookState,
    nowMs: number,
  ): Promise<void> {
    const { platform, webhooks, wake } = this.#parts;
    const isKept = await platform.keepDead(delivery, { tries, detail: detail ?? "", givenUpAtMs: nowMs });
    webhooks.settleDeadLetter(key, isKept, jobRound);
    await wake.arm(Date.now());
  }

  /** `kept`: the webhook of a finish that a retry has wiped; null: the webhook is that of the newest finish. */
  #compose(kept: OwedWebhook | null, stored: StoredJob, state: WebhookState): Delivery {
    const { platform, owedWebhooks, store } = this.#parts;
    const { job, webhook, inputPlace } = stored;
    const to = kept ?? webhook;
    if (to === null) throw new Error("a delivery without a webhook");
    const { round } = kept ?? job;
    const view =
      kept === null
        ? viewJob(job, store.readOutput(stored), null)
        : { ...kept.view, failure: null, output: owedWebhooks.readOutput(kept) };
    return {
      endpointId: platform.endpointId,
      jobId: view.id,
      round,
      tryNumber: state.tries + 1,
      webhookId: webhookIdOf({ uuid: job.uuid, round }),
      url: to.url,
      tenantId: job.tenantId,
      sealedSecret: to.sealedSecret,
      job: view,
      input: store.readPayload(job.uuid, "input", inputPlace),
    };
  }
}
