// When a broker sends itself a dispatch wake-up through the queue: only while a job could start, and one at a time.
import { WAKE_RESEND_MS } from "../../core/limits.ts";
import type { Jobs } from "./jobs.ts";
import type { LiveIndex } from "./live-index.ts";

export class DispatchWake {
  readonly #index: LiveIndex;
  readonly #jobs: Jobs;
  /** 0: none is under way, as far as this object knows. */
  #sentAtMs = 0;

  constructor(index: LiveIndex, jobs: Jobs) {
    this.#index = index;
    this.#jobs = jobs;
  }

  /** True when one is to be sent now; it then counts as sent. */
  wants(nowMs: number): boolean {
    if (!this.#isStartable(nowMs) || nowMs < this.#sentAtMs + WAKE_RESEND_MS) return false;
    this.#sentAtMs = nowMs;
    return true;
  }

  arrived(): void {
    this.#sentAtMs = 0;
  }

  /** When the alarm is to look after waiting jobs, epoch ms; Infinity when something else will. */
  nextAtMs(nowMs: number): number {
    const isOpen = this.#jobs.settings?.paused === false && this.#index.hasReady();
    if (!isOpen) return Number.POSITIVE_INFINITY;
    // While no slot is free a wake-up would find nothing to do: whatever frees one sends its own, but for a pause's end.
    const probeAtMs = this.#jobs.pool.nextTryAtMs(nowMs);
    if (!this.#isStartable(nowMs)) return probeAtMs;
    // An object that has just started does not know whether a wake-up is under way, so the alarm sends one at once.
    return Math.min(probeAtMs, this.#sentAtMs > 0 ? this.#sentAtMs + WAKE_RESEND_MS : nowMs);
  }

  #isStartable(nowMs: number): boolean {
    return this.#jobs.settings?.paused === false && this.#index.hasReady() && this.#jobs.pool.freePushSlots(nowMs) > 0;
  }
}
