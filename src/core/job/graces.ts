// What becomes of leases at a start of the object. Renewals are in memory only, so the carrier of a lease that a start
// finds running may be alive: the lease gets one more period, once. Only a renewal earns a second one, so the first
// renewal of each incarnation is written. Otherwise an endpoint without traffic, whose object is evicted between any
// two alarms, would prolong the lease of a dead carrier for ever.

import type { JobEvent } from "./event.ts";
import type { Job, Lease } from "./job.ts";
import { leaseMs } from "./transition.ts";

/**
 * When the leases of each earlier incarnation got their grace. All leases of an incarnation share one entry: the first
 * start that finds one of them finds all of them, and none can be added later.
 */
export class Graces {
  readonly #stored: ReadonlyMap<string, number>;
  readonly #found = new Map<string, number>();

  /** `stored`: when earlier starts gave each incarnation's grace, epoch ms. */
  constructor(stored: Iterable<readonly [incarnation: string, givenAtMs: number]>) {
    this.#stored = new Map(stored);
  }

  /** Gives a lease that this start finds running the rest of its grace. */
  resume(lease: Lease, nowMs: number): Lease {
    // A grace never begins in the future: the clock of the machine that stored its time may have been ahead.
    const givenAtMs = Math.min(this.#stored.get(lease.incarnation) ?? nowMs, nowMs);
    this.#found.set(lease.incarnation, givenAtMs);
    return { ...lease, graceUntilMs: givenAtMs + leaseMs(lease) };
  }

  /** What the next start needs stored; null: it is stored already. Incarnations without a lease are left out. */
  toStore(): readonly (readonly [incarnation: string, givenAtMs: number])[] | null {
    const isNew = [...this.#found.keys()].some((incarnation) => !this.#stored.has(incarnation));
    return isNew ? [...this.#found] : null;
  }
}

/** Whether a renewal need not be written: writes are billed, so only an incarnation's first renewal is written. */
export function staysInMemory(event: JobEvent, before: Job, after: Job): boolean {
  return event.kind === "renew" && before.lease?.incarnation === after.lease?.incarnation;
}
