// Renews the lease of one attempt until the attempt is over, and learns when the lease is lost. Most jobs end before
// the first renewal and cost only this one timer, because ending more than that costs as much as reading their answer.

import type { Assignment } from "../contract/dispatch.ts";
import { messageOf } from "../core/failure.ts";
import { LEASE_MS, LEASE_RENEW_MS, LEASE_WATCH_AFTER_MS } from "../core/limits.ts";
import { log } from "../log.ts";
import type { CarryDeps } from "./attempt.ts";
import type { Nudge } from "./nudge.ts";
import { repeatCall } from "./repeat-call.ts";

/** The pause between a callback and the next renewal, so that repeated callbacks make no tight loop. */
const AFTER_NUDGE_MS = 1_000;

export class LeaseWatch {
  readonly #assignment: Assignment;
  readonly #deps: CarryDeps;
  readonly #nudge: Nudge;
  readonly #lost = new AbortController();
  readonly #cancelStart: () => void;
  #renewing: { readonly done: AbortController; readonly over: Promise<void> } | null = null;

  constructor(assignment: Assignment, deps: CarryDeps, nudge: Nudge) {
    this.#assignment = assignment;
    this.#deps = deps;
    this.#nudge = nudge;
    this.#cancelStart = deps.clock.after(LEASE_WATCH_AFTER_MS, () => {
      const done = new AbortController();
      this.#renewing = { done, over: this.#renew(done.signal) };
    });
  }

  /** Fires when the broker has answered that the lease is lost. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** To be called before the outcome is reported: the broker then ends a renewal that it holds, which is no loss. */
  stop(): void {
    this.#cancelStart();
    this.#renewing?.done.abort();
  }

  /** Resolves when no renewal runs any more; to be read after `stop`. Never rejects. */
  get over(): Promise<void> {
    return this.#renewing?.over ?? Promise.resolve();
  }

  /**
   * Renews until `done`. The broker holds each renewal until the lease is lost, so that a cancel takes effect at once.
   * Only the answer that the lease is lost ends the work: while the broker does not answer the work goes on, because an
   * object that starts again gives its running leases a period of grace.
   */
  async #renew(done: AbortSignal): Promise<void> {
    const { jobId, lease, endpointId } = this.#assignment;
    const { clock, leaseApi } = this.#deps;
    while (!done.aborted) {
      const askedMs = clock.now();
      try {
        const options = { clock, forMs: LEASE_MS - LEASE_RENEW_MS, signal: done };
        const held = await repeatCall(() => leaseApi().renew({ jobId, lease, holdMs: LEASE_RENEW_MS }), options);
        if (done.aborted) return;
        if (!held) {
          log("lease_lost", { endpointId, jobId });
          return this.#lost.abort();
        }
        // When the broker answers early that the lease is held, the upstream has called back.
        if (clock.now() - askedMs < LEASE_RENEW_MS) {
          this.#nudge.fire();
          await clock.sleep(AFTER_NUDGE_MS, done);
          continue;
        }
      } catch (cause) {
        if (!done.aborted) log("renew_failed", { endpointId, jobId, reason: messageOf(cause) });
      }
      // A broker that answers early, or does not answer, must not be asked in a tight loop.
      await clock.sleep(Math.max(0, askedMs + LEASE_RENEW_MS - clock.now()), done);
    }
  }
}
