// Webhooks that a broker owes: which are due, how many are under way to a host, and what a sender's report changes.
// Core decides when to try again (settleWebhookTry). The state is in the job's row, or after a retry in the owed
// webhook's.

import type { CallOf } from "../../contract/broker.ts";
import type { DeliveryTry } from "../../contract/delivery-log.ts";
import { parseJobId, webhookIdOf } from "../../core/job/id.ts";
import type { WebhookState } from "../../core/job/job.ts";
import { sentenceOf, settleDeadLetter, settleWebhookTry } from "../../core/job/webhook-try.ts";
import { WAKE_RESEND_MS } from "../../core/limits.ts";
import type { WebhookSchedule } from "../../core/scheduling/webhook-schedule.ts";
import type { Timed } from "../alarm.ts";
import type { OverJobs } from "../jobs/jobs.ts";
import { type OwedWebhook, owedKey } from "./owed.ts";

export class WebhookOutbox implements Timed {
  readonly #parts: OverJobs;
  /** Its keys are the uuid of a job for the job's newest finish, else the key of an owed webhook. */
  readonly #schedule: WebhookSchedule;
  #wakeSentAtMs = 0;

  constructor(parts: OverJobs) {
    this.#parts = parts;
    this.#schedule = parts.index.webhooks;
    for (const { key, state, ...to } of parts.owedWebhooks.takeLeft()) this.#plan(key, to, state);
  }

  /** Takes a sender's report. A late report, of another round or try, changes nothing. */
  settle(report: CallOf<"finishWebhook">, nowMs: number): void {
    const { jobId, round, tryNumber, result } = report;
    const uuid = parseJobId(jobId)?.uuid;
    if (uuid === undefined) return;
    const key = owedKey(uuid, round);
    const owed = this.#parts.owedWebhooks.find(key);
    if (owed !== null) {
      const state = settleWebhookTry(owed.state, tryNumber, result, { nowMs, jitter: Math.random() });
      this.#settleOwed(key, state, () => this.#log(owed.tenantId, uuid, report, nowMs));
      return;
    }
    const stored = this.#parts.jobs.load(uuid);
    if (stored === null) return;
    const event = { kind: "webhook_result", round, tryNumber, result } as const;
    const log = () => this.#log(stored.job.tenantId, uuid, report, nowMs);
    const { reply } = this.#parts.jobs.apply(stored, event, nowMs, log);
    // A late report must not mark the sender that is under way as landed: the receiver would be called twice.
    if (reply === "done") this.#schedule.land(uuid);
  }

  /** Takes the answer of the sender that was to keep a dead letter. */
  settleDeadLetter(key: string, isKept: boolean, round: number): void {
    const nowMs = Date.now();
    const owed = this.#parts.owedWebhooks.find(key);
    if (owed !== null) {
      this.#settleOwed(key, settleDeadLetter(owed.state, isKept, nowMs));
      return;
    }
    // The job may have changed while D1 was called, so it is read again.
    const stored = this.#parts.jobs.load(key);
    this.#schedule.land(key);
    if (stored !== null) this.#parts.jobs.apply(stored, { kind: "dead_letter", round, kept: isKept }, nowMs);
  }

  /** Sends a wake-up if something is due that is not in flight, and none was sent lately. */
  run(nowMs: number): boolean {
    const isUnderWay = nowMs < this.#wakeSentAtMs + WAKE_RESEND_MS && this.#wakeSentAtMs !== 0;
    if (isUnderWay || !this.#schedule.hasReady(nowMs)) return false;
    this.#wakeSentAtMs = nowMs;
    this.#parts.platform.sendWake("WEBHOOKS");
    return false;
  }

  /** The wake-up arrived: the next due webhook may send another at once. */
  woke(): void {
    this.#wakeSentAtMs = 0;
  }

  /** When to look for due webhooks next, epoch ms. A wake-up that is under way gets its time to arrive. */
  nextAtMs(nowMs: number): number {
    const next = this.#schedule.nextAtMs(nowMs);
    return next > nowMs ? next : Math.max(nowMs, this.#wakeSentAtMs + WAKE_RESEND_MS);
  }

  #plan(key: string, { tenantId, url }: Pick<OwedWebhook, "tenantId" | "url">, state: WebhookState): void {
    if (state.nextAtMs === null) this.#schedule.drop(key);
    else this.#schedule.plan(key, { tenantId, host: new URL(url).host }, state.nextAtMs);
  }

  #log(tenantId: string, uuid: string, report: CallOf<"finishWebhook">, nowMs: number): void {
    const { jobId, round, tryNumber, result, status = null, atMs = nowMs, tookMs = null } = report;
    const webhookId = webhookIdOf({ uuid, round });
    const delivered = result.kind === "delivered";
    const detail = sentenceOf(result, status);
    const tried: DeliveryTry = { atMs, jobId, webhookId, tryNumber, delivered, status, detail, tookMs };
    this.#parts.deliveries.insert(tenantId, tried, nowMs);
  }

  /** `alongside` writes further rows in the same transaction. */
  #settleOwed(key: string, state: WebhookState | null, alongside?: () => void): void {
    const { owedWebhooks, platform, store } = this.#parts;
    const owed = owedWebhooks.find(key);
    if (owed === null || state === null) return;
    store.transaction(() => {
      alongside?.();
      owedWebhooks.settle(owed, state);
    });
    this.#schedule.land(key);
    this.#plan(key, owed, state);
    if (state.nextAtMs === null && owed.output?.kind === "r2") platform.dropPayloads([owed.output.key]);
  }
}
