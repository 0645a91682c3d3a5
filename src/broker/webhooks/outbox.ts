// Webhooks of a broker: which are due, how many are in flight to a host, what a sender is told, and what its report means.
// The schedule itself is core's (settleWebhookTry). The truth is the row of the job, or of the owed webhook after a retry.

import type { Delivery, WebhookResult } from "../../contract/broker.ts";
import type { JobView } from "../../contract/job-view.ts";
import { parseJobId, showJobId } from "../../core/job/id.ts";
import type { Job, WebhookState } from "../../core/job/job.ts";
import { settleDeadLetter, settleWebhookTry } from "../../core/job/webhook-try.ts";
import { WAKE_RESEND_MS } from "../../core/limits.ts";
import type { WebhookSchedule } from "../../core/scheduling/webhook-schedule.ts";
import type { DeadLetter } from "../../db/dead-letters.ts";
import type { Egress } from "../jobs/egress.ts";
import { DELIVERY_MOST_BYTES, deliveryBytes, senderBytes } from "../jobs/egress-bytes.ts";
import type { Jobs } from "../jobs/jobs.ts";
import type { LiveIndex } from "../jobs/live-index.ts";
import type { StoredJob } from "../store/job-row.ts";
import type { BrokerStore } from "../store/jobs.ts";
import { type OwedWebhook, type OwedWebhooks, owedKey } from "./owed.ts";

interface Parts {
  readonly endpointId: string;
  readonly store: BrokerStore;
  readonly index: LiveIndex;
  readonly jobs: Jobs;
  readonly owed: OwedWebhooks;
  readonly egress: Egress;
  /** Deletes objects of R2; not waited for. */
  readonly dropPayloads: (keys: readonly string[]) => void;
  /** Starts a sender; not waited for. */
  readonly deliver: (delivery: Delivery) => void;
  /** Starts to make a webhook that is given up visible; not waited for. `done` hears whether D1 took it. */
  readonly keepDeadLetter: (tenantId: string, deadLetter: DeadLetter, done: (kept: boolean) => void) => void;
}

export class WebhookOutbox {
  readonly #parts: Parts;
  /** Keys: the uuid of a job for its newest finish, else the key of an owed webhook. */
  readonly #schedule: WebhookSchedule;
  readonly #sendMore = (): void => void this.send(Date.now());
  #wakeSentAtMs = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#schedule = parts.index.webhooks;
    for (const { key, state, ...to } of parts.owed.takeLeft()) this.#plan(key, to, state);
  }

  /** Starts senders for what may be sent in this turn, and offers dead letters of what is given up. The rest follows in the next turns. */
  send(nowMs: number): number {
    const { egress } = this.#parts;
    let sent = 0;
    while (egress.fits(DELIVERY_MOST_BYTES)) {
      const key = this.#schedule.take(nowMs);
      if (key === undefined) break;
      this.#sendOne(key, nowMs);
      sent += 1;
    }
    if (this.#schedule.hasReady(nowMs) || this.#schedule.isBehind(nowMs)) egress.again(this.#sendMore);
    return sent;
  }

  /** A sender's report. A late one, of another round or try, changes nothing. */
  settle(
    call: {
      readonly jobId: string;
      readonly round: number;
      readonly tryNumber: number;
      readonly result: WebhookResult;
    },
    nowMs: number,
  ): void {
    const uuid = parseJobId(call.jobId)?.uuid;
    if (uuid === undefined) return;
    const { round, tryNumber, result } = call;
    const key = owedKey(uuid, round);
    const owed = this.#parts.owed.find(key);
    if (owed !== null) {
      this.#settleOwed(key, settleWebhookTry(owed.state, tryNumber, result, { nowMs, jitter: Math.random() }));
      return;
    }
    const stored = this.#parts.jobs.load(uuid);
    if (stored === null) return;
    const moved = this.#parts.jobs.apply(stored, { kind: "webhook_result", round, tryNumber, result }, nowMs);
    // A late report must not make the sender that is under way look landed: the receiver would be called twice.
    if (moved.reply === "done") this.#schedule.land(uuid);
  }

  /** A retry has moved a webhook into a row of its own: a sender that is under way reports to that one. */
  moved(owed: OwedWebhook): void {
    this.#schedule.rename(owed.uuid, owedKey(owed.uuid, owed.round));
  }

  /** True when a wake-up should be sent now: something is due that is not in flight, and none was sent lately. */
  wantsWake(nowMs: number): boolean {
    if (nowMs < this.#wakeSentAtMs + WAKE_RESEND_MS && this.#wakeSentAtMs !== 0) return false;
    const waiting = this.#schedule.hasReady(nowMs);
    if (waiting) this.#wakeSentAtMs = nowMs;
    return waiting;
  }

  /** The wake-up arrived: the next due webhook may send another at once. */
  woke(): void {
    this.#wakeSentAtMs = 0;
  }

  /** When the alarm is to look again, epoch ms: a wake-up that is under way gets its time to arrive. */
  nextAtMs(nowMs: number): number {
    const next = this.#schedule.nextAtMs(nowMs);
    return next > nowMs ? next : Math.max(nowMs, this.#wakeSentAtMs + WAKE_RESEND_MS);
  }

  #plan(key: string, { tenantId, url }: Pick<OwedWebhook, "tenantId" | "url">, state: WebhookState): void {
    if (state.nextAtMs === null) this.#schedule.drop(key);
    else this.#schedule.plan(key, { tenantId, host: new URL(url).host }, state.nextAtMs);
  }

  #settleOwed(key: string, state: WebhookState | null): void {
    const owed = this.#parts.owed.find(key);
    if (owed === null || state === null) return;
    this.#schedule.land(key);
    this.#parts.owed.settle(owed, state);
    this.#plan(key, owed, state);
    if (state.nextAtMs === null && owed.output?.kind === "r2") this.#parts.dropPayloads([owed.output.key]);
  }

  #sendOne(key: string, nowMs: number): void {
    const { owed, jobs, keepDeadLetter } = this.#parts;
    const kept = owed.find(key);
    const stored = jobs.load(kept?.uuid ?? key);
    const state = kept?.state ?? stored?.job.webhook ?? null;
    if (stored === null || state === null) this.#schedule.drop(key);
    else if (!state.dead) {
      const delivery = this.#compose(kept, stored, state, nowMs);
      this.#schedule.weigh(key, senderBytes(delivery));
      this.#parts.egress.count(deliveryBytes(delivery));
      this.#parts.deliver(delivery);
    } else {
      const { tenantId, deadLetter } = this.#deadLetterOf(kept, stored, state, nowMs);
      this.#parts.egress.count(0);
      keepDeadLetter(tenantId, deadLetter, (isKept) => this.#settleDeadLetter(key, isKept, stored.job.round));
    }
  }

  #settleDeadLetter(key: string, isKept: boolean, round: number): void {
    const nowMs = Date.now();
    const owed = this.#parts.owed.find(key);
    if (owed !== null) {
      this.#settleOwed(key, settleDeadLetter(owed.state, isKept, nowMs));
      return;
    }
    // D1 was asked meanwhile: the job is read again.
    const stored = this.#parts.jobs.load(key);
    this.#schedule.land(key);
    if (stored !== null) this.#parts.jobs.apply(stored, { kind: "dead_letter", round, kept: isKept }, nowMs);
  }

  #compose(kept: OwedWebhook | null, stored: StoredJob, state: WebhookState, nowMs: number): Delivery {
    const { jobs, owed, store, endpointId } = this.#parts;
    const input = store.readPayload(stored.job.uuid, "input", stored.inputPlace);
    if (kept !== null) {
      const view = { ...kept.view, failure: null, output: owed.readOutput(kept) };
      return toDelivery(endpointId, kept, state, view, input);
    }
    const { job, webhook } = stored;
    if (webhook === null) throw new Error("a delivery without a webhook");
    const target = { uuid: job.uuid, round: job.round, ...webhook };
    return toDelivery(endpointId, target, state, jobs.view(stored, nowMs), input);
  }

  #deadLetterOf(
    kept: OwedWebhook | null,
    stored: StoredJob,
    state: WebhookState,
    nowMs: number,
  ): { readonly tenantId: string; readonly deadLetter: DeadLetter } {
    const { job } = stored;
    const deadLetter = {
      webhookId: webhookIdOf(kept ?? job),
      endpointId: this.#parts.endpointId,
      jobId: showJobId(job.uuid, job.mode),
      url: kept?.url ?? stored.webhook?.url ?? "",
      tries: state.tries,
      detail: state.detail ?? "",
      givenUpAtMs: nowMs,
    };
    return { tenantId: job.tenantId, deadLetter };
  }
}

/** The id of one finish's webhook: the same on every try, another after each retry, and without a dot. */
function webhookIdOf(job: Pick<Job, "uuid" | "round">): string {
  return `msg_${job.uuid}_r${job.round}`;
}

function toDelivery(
  endpointId: string,
  target: { readonly uuid: string; readonly round: number; readonly url: string; readonly sealedSecret: string },
  state: WebhookState,
  view: JobView,
  input: Delivery["input"],
): Delivery {
  return {
    endpointId,
    jobId: view.id,
    round: target.round,
    tryNumber: state.tries + 1,
    webhookId: webhookIdOf(target),
    url: target.url,
    sealedSecret: target.sealedSecret,
    job: view,
    input,
  };
}
