// Brings waiting jobs to free slots when no call does: open polls of pulling workers are served at once; for upstreams
// the broker sends itself a wake-up through a queue, only while a job could start, and one at a time.
import { START_JOBS_MAX, WAKE_RESEND_MS } from "../../core/limits.ts";
import type { Timed } from "../alarm.ts";
import type { BrokerState } from "../state.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { HANDED_MOST_BYTES } from "./egress-bytes.ts";

interface Parts extends BrokerState {
  readonly dispatcher: Dispatcher;
}

export class DispatchWake implements Timed {
  readonly #parts: Parts;
  /** When the wake-up under way was sent, epoch ms; 0: this start of the object has none under way. */
  #sentAtMs = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** True: polls are left open that can get jobs in the next turn. */
  run(nowMs: number): boolean {
    const isCut = this.#servePolls(nowMs);
    if (this.#isStartable(nowMs) && nowMs >= this.#sentAtMs + WAKE_RESEND_MS) {
      this.#sentAtMs = nowMs;
      this.#parts.platform.sendWake("DISPATCH");
    }
    return isCut;
  }

  /** The wake-up has arrived: the next one may be sent at once. */
  arrived(): void {
    this.#sentAtMs = 0;
  }

  /** When the alarm must look after waiting jobs, epoch ms; Infinity: something else will start them. */
  nextAtMs(nowMs: number): number {
    const { endpoint, index } = this.#parts;
    const isOpen = endpoint.settings?.paused === false && index.hasReady();
    if (!isOpen) return Number.POSITIVE_INFINITY;
    // While no slot is free, a wake-up would find nothing to do. What frees a slot sends one, except a pause's end.
    const probeAtMs = endpoint.pool.nextTryAtMs(nowMs);
    if (!this.#isStartable(nowMs)) return probeAtMs;
    // A freshly started object has no record of a wake-up under way, so the alarm sends one at once.
    return Math.min(probeAtMs, this.#sentAtMs > 0 ? this.#sentAtMs + WAKE_RESEND_MS : nowMs);
  }

  /** Starts one portion a turn: each start takes its time, and the inputs of all of them are in memory together. */
  #servePolls(nowMs: number): boolean {
    const { endpoint, index, egress, dispatcher, pullSlots } = this.#parts;
    const started = dispatcher.startReady(nowMs, { push: false });
    const isCut = started === START_JOBS_MAX || !egress.fits(HANDED_MOST_BYTES);
    const hasMore = isCut && index.hasReady() && endpoint.pool.freePullSlots(nowMs) > 0;
    pullSlots.answerGiven();
    pullSlots.forgetGone(nowMs);
    return hasMore;
  }

  #isStartable(nowMs: number): boolean {
    const { endpoint, index } = this.#parts;
    return endpoint.settings?.paused === false && index.hasReady() && endpoint.pool.freePushSlots(nowMs) > 0;
  }
}
