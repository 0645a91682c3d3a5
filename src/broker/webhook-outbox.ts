// Webhooks of a broker: which are due, how many are in flight to a host, what a courier is told, and what its report means.
// The schedule itself is core's (settleWebhookTry). The truth is the row of the job, or of the owed webhook after a retry.
import type { Delivery, JobView, WebhookResult } from "../contract/broker.ts";
import type { Job, WebhookState } from "../core/job.ts";
import { makeJobId, parseJobId } from "../core/job-id.ts";
import { WAKE_RESEND_MS, WEBHOOK_HOST_IN_FLIGHT_MAX, WEBHOOK_TIMEOUT_MS } from "../core/limits.ts";
import { settleWebhookTry } from "../core/transition.ts";
import type { DeadLetter } from "../db/dead-letters.ts";
import type { JobBook } from "./job-book.ts";
import type { LiveIndex } from "./live-index.ts";
import { type OwedWebhook, type OwedWebhooks, owedKey } from "./owed-webhooks.ts";
import type { BrokerStore, StoredJob } from "./store.ts";

/** A courier that has not reported by then is taken for lost; the receiver may get the same id twice. */
const COURIER_MAX_MS = WEBHOOK_TIMEOUT_MS * 2;

interface Parts {
  readonly endpointId: string;
  readonly store: BrokerStore;
  readonly index: LiveIndex;
  readonly book: JobBook;
  readonly owed: OwedWebhooks;
  /** Starts a courier; not waited for. */
  readonly deliver: (delivery: Delivery) => void;
  /** Makes a webhook that is given up visible. False: D1 did not take it. */
  readonly bury: (tenantId: string, letter: DeadLetter) => Promise<boolean>;
}

export class WebhookOutbox {
  readonly #parts: Parts;
  /** By key: the uuid of a job for its newest finish, else the key of an owed webhook. */
  readonly #inFlight = new Map<string, { readonly host: string; readonly untilMs: number }>();
  #wakeSentAtMs = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Starts couriers for what may be sent now; each is in flight until its report or until it is given up. */
  send(nowMs: number): number {
    const keys = this.#take(nowMs);
    for (const key of keys) {
      const delivery = this.#compose(key, nowMs);
      if (delivery !== null) this.#parts.deliver(delivery);
    }
    return keys.length;
  }

  /** A courier's report. A webhook that it ends in vain is in D1 first: if D1 does not take it, the last try is made again. */
  async settle(
    call: {
      readonly jobId: string;
      readonly round: number;
      readonly tryNumber: number;
      readonly result: WebhookResult;
    },
    nowMs: number,
  ): Promise<void> {
    const uuid = parseJobId(call.jobId)?.uuid;
    if (uuid === undefined) return;
    const given = { nowMs, jitter: Math.random() };
    const key = owedKey(uuid, call.round);
    const owed = this.#parts.owed.find(key);
    const stored = this.#parts.book.load(uuid);
    const state = owed?.state ?? (stored?.job.round === call.round ? stored.job.webhook : null);
    if (state === null) return;
    const after = settleWebhookTry(state, call.tryNumber, call.result, given);
    if (after === null) return;
    const letter = after.dead ? this.#letter(owed, stored, after, nowMs) : null;
    if (letter !== null && !(await this.#parts.bury(letter.tenantId, letter.letter))) return;
    // D1 was asked meanwhile: what is owed is read again before anything is decided.
    const presentOwed = this.#parts.owed.find(key);
    this.#inFlight.delete(presentOwed === null ? uuid : key);
    if (presentOwed !== null) {
      const next = settleWebhookTry(presentOwed.state, call.tryNumber, call.result, given);
      if (next !== null) this.#parts.owed.settle(presentOwed, next);
      return;
    }
    const present = this.#parts.book.load(uuid);
    const { round, tryNumber, result } = call;
    if (present !== null) this.#parts.book.apply(present, { kind: "webhook_result", round, tryNumber, result }, nowMs);
  }

  /** A retry has moved a webhook into a row of its own: a courier that is under way reports to that one. */
  moved(owed: OwedWebhook): void {
    const flight = this.#inFlight.get(owed.uuid);
    if (flight === undefined) return;
    this.#inFlight.delete(owed.uuid);
    this.#inFlight.set(owedKey(owed.uuid, owed.round), flight);
  }

  /** True when a wake-up should be sent now: something is due that is not in flight, and none was sent lately. */
  wantsWake(nowMs: number): boolean {
    if (nowMs < this.#wakeSentAtMs + WAKE_RESEND_MS && this.#wakeSentAtMs !== 0) return false;
    const waiting = this.#due(nowMs).some(({ key }) => !this.#inFlight.has(key));
    if (waiting) this.#wakeSentAtMs = nowMs;
    return waiting;
  }

  /** The wake-up arrived: the next due webhook may send another at once. */
  woke(): void {
    this.#wakeSentAtMs = 0;
  }

  nextAtMs(nowMs: number): number {
    let next = this.#parts.index.nextWebhookAtMs();
    for (const [, { state }] of this.#parts.owed.entries()) next = Math.min(next, state.nextAtMs ?? next);
    if (next > nowMs) return next;
    return nowMs + WAKE_RESEND_MS;
  }

  #due(nowMs: number): { readonly key: string; readonly host: string }[] {
    const due = this.#parts.index.dueWebhooks(nowMs).map(({ uuid, host }) => ({ key: uuid, host }));
    for (const [key, { state, url }] of this.#parts.owed.entries()) {
      if (state.nextAtMs !== null && state.nextAtMs <= nowMs) due.push({ key, host: new URL(url).host });
    }
    return due;
  }

  #take(nowMs: number): string[] {
    for (const [key, flight] of this.#inFlight) if (flight.untilMs <= nowMs) this.#inFlight.delete(key);
    const perHost = new Map<string, number>();
    for (const { host } of this.#inFlight.values()) perHost.set(host, (perHost.get(host) ?? 0) + 1);
    const taken: string[] = [];
    for (const { key, host } of this.#due(nowMs)) {
      const busy = perHost.get(host) ?? 0;
      if (this.#inFlight.has(key) || busy >= WEBHOOK_HOST_IN_FLIGHT_MAX) continue;
      perHost.set(host, busy + 1);
      this.#inFlight.set(key, { host, untilMs: nowMs + COURIER_MAX_MS });
      taken.push(key);
    }
    return taken;
  }

  #compose(key: string, nowMs: number): Delivery | null {
    const { book, owed, store, endpointId } = this.#parts;
    const kept = owed.find(key);
    const stored = book.load(kept?.uuid ?? key);
    if (stored === null) return null;
    const input = store.readPayload(stored.job.uuid, "input", stored.inputPlace);
    if (kept !== null) {
      const view: JobView = { ...kept.view, output: owed.readOutput(kept) };
      return toDelivery(endpointId, kept, kept.state, view, input);
    }
    const { job, webhook } = stored;
    if (webhook === null || job.webhook === null) throw new Error("a delivery without a webhook");
    const told = { uuid: job.uuid, round: job.round, ...webhook };
    return toDelivery(endpointId, told, job.webhook, book.view(stored, nowMs), input);
  }

  #letter(
    owed: OwedWebhook | null,
    stored: StoredJob | null,
    after: WebhookState,
    nowMs: number,
  ): { readonly tenantId: string; readonly letter: DeadLetter } | null {
    const facts = { tries: after.tries, detail: after.detail ?? "", givenUpAtMs: nowMs };
    const { endpointId } = this.#parts;
    if (owed !== null) {
      const { url, tenantId } = owed;
      const letter = { webhookId: webhookIdOf(owed), endpointId, jobId: owed.view.id, url, ...facts };
      return { tenantId, letter };
    }
    if (stored === null || stored.webhook === null) return null;
    const { job, webhook } = stored;
    const jobId = makeJobId(job.uuid, job.mode);
    const letter = { webhookId: webhookIdOf(job), endpointId, jobId, url: webhook.url, ...facts };
    return { tenantId: job.tenantId, letter };
  }
}

/** The id of one finish's webhook: the same on every try, another after each retry, and without a dot. */
function webhookIdOf(job: Pick<Job, "uuid" | "round">): string {
  return `msg_${job.uuid}_${job.round}`;
}

function toDelivery(
  endpointId: string,
  told: { readonly uuid: string; readonly round: number; readonly url: string; readonly sealedSecret: string },
  state: WebhookState,
  view: JobView,
  input: Delivery["input"],
): Delivery {
  return {
    endpointId,
    jobId: view.id,
    round: told.round,
    tryNumber: state.tries + 1,
    webhookId: webhookIdOf(told),
    url: told.url,
    sealedSecret: told.sealedSecret,
    job: view,
    input,
  };
}
