// Renews the lease of one attempt until the attempt is over, and hears when it is lost. Most jobs are over before the first
// renewal: for them this is one timer, because ending anything more costs as much as reading their answer.

import type { Assignment } from "../contract/dispatch.ts";
import { messageOf } from "../core/failure.ts";
import { LEASE_MS, LEASE_RENEW_MS, LEASE_WATCH_AFTER_MS } from "../core/limits.ts";
import { log } from "../log.ts";
import type { CarryDeps } from "./attempt.ts";
import type { Nudge } from "./nudge.ts";
import { repeatCall } from "./repeat-call.ts";

/** Between a callback and the next renewal, so that one that is repeated makes no tight loop. */
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

  /** Fires when the broker has said that the lease is lost. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** To be called before the outcome is told: the broker then answers a renewal that it holds, and that is no loss. */
  stop(): void {
    this.#cancelStart();
    this.#renewing?.done.abort();
  }

  /** Resolves when nothing of it runs any more; after `stop`. Never rejects. */
  get over(): Promise<void> {
    return this.#renewing?.over ?? Promise.resolve();
  }

  /**
   * Renews until `done`. The broker holds each renewal until the lease is lost, so that a cancel is heard at once. Only a
   * clear no ends the work: while the broker does not answer the work goes on, because an object that comes back gives its
   * running leases a period of grace.
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
        // An answer before its time that the lease is held: the upstream has called back.
        if (clock.now() - askedMs < LEASE_RENEW_MS) {
          this.#nudge.fire();
          await clock.sleep(AFTER_NUDGE_MS, done);
          continue;
        }
      } catch (cause) {
        if (!done.aborted) log("renew_failed", { endpointId, jobId, reason: messageOf(cause) });
      }
      // A broker that answers early, or not at all, must not be asked in a tight loop.
      await clock.sleep(Math.max(0, askedMs + LEASE_RENEW_MS - clock.now()), done);
    }
  }
}
