// How waiting jobs come to free slots without a call that asks for them: open polls of pulling workers are served at once, and for
// upstreams the broker sends itself a wake-up through the queue, only while a job could start, and one at a time.
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
  /** 0: none is under way, as far as this object knows. */
  #sentAtMs = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** True: polls are left that jobs of the next turn are for. */
  run(nowMs: number): boolean {
    const isCut = this.#servePolls(nowMs);
    if (this.#isStartable(nowMs) && nowMs >= this.#sentAtMs + WAKE_RESEND_MS) {
      this.#sentAtMs = nowMs;
      this.#parts.platform.sendWake("DISPATCH");
    }
    return isCut;
  }

  /** The wake-up is here: the next one may follow at once. */
  arrived(): void {
    this.#sentAtMs = 0;
  }

  /** Looks after waiting jobs; Infinity when something else will. */
  nextAtMs(nowMs: number): number {
    const { endpoint, index } = this.#parts;
    const isOpen = endpoint.settings?.paused === false && index.hasReady();
    if (!isOpen) return Number.POSITIVE_INFINITY;
    // While no slot is free a wake-up would find nothing to do: whatever frees one sends its own, but for a pause's end.
    const probeAtMs = endpoint.pool.nextTryAtMs(nowMs);
    if (!this.#isStartable(nowMs)) return probeAtMs;
    // An object that has just started does not know whether a wake-up is under way, so the alarm sends one at once.
    return Math.min(probeAtMs, this.#sentAtMs > 0 ? this.#sentAtMs + WAKE_RESEND_MS : nowMs);
  }

  /** One portion a turn: each start takes its time, and all of their inputs leave together. */
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
