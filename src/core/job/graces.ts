// What becomes of leases over a start of the object. Renewals are in memory only, so a lease that a start finds running may
// be a living carrier's: it is given one more period, once. A second period is earned by a renewal alone, which is therefore
// written when it is the first one of an incarnation. Else an endpoint without traffic, whose object is evicted between any
// two alarms, would prolong the lease of a dead carrier for ever.

import type { JobEvent } from "./event.ts";
import type { Job, Lease } from "./job.ts";
import { leaseMs } from "./transition.ts";

/**
 * When the leases of each earlier incarnation were given their grace. One entry for all of an incarnation: the first start
 * that finds one of its leases finds all of them, and no lease of it can appear later.
 */
export class Graces {
  readonly #stored: ReadonlyMap<string, number>;
  readonly #found = new Map<string, number>();

  /** `stored`: what earlier starts have given, by incarnation, epoch ms. */
  constructor(stored: Iterable<readonly [incarnation: string, givenAtMs: number]>) {
    this.#stored = new Map(stored);
  }

  /** A lease that this start finds running, with what is left of its grace. */
  resume(lease: Lease, nowMs: number): Lease {
    // Never from a moment to come: another machine's clock may have been ahead.
    const givenAtMs = Math.min(this.#stored.get(lease.incarnation) ?? nowMs, nowMs);
    this.#found.set(lease.incarnation, givenAtMs);
    return { ...lease, graceUntilMs: givenAtMs + leaseMs(lease) };
  }

  /** What the next start must find stored; null: it is stored already. Incarnations without a lease are left out. */
  toStore(): readonly (readonly [incarnation: string, givenAtMs: number])[] | null {
    const isNew = [...this.#found.keys()].some((incarnation) => !this.#stored.has(incarnation));
    return isNew ? [...this.#found] : null;
  }
}

/** Each write is a billed row, so only the first renewal after a start of the object is one. */
export function staysInMemory(event: JobEvent, before: Job, after: Job): boolean {
  return event.kind === "renew" && before.lease?.incarnation === after.lease?.incarnation;
}
