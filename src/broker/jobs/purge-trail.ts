// Purges and what follows them. One row cancels all waiting jobs of a tenant, and they are out of the order and the counts; their
// entries in memory, those who wait for them, and the upstreams that may still run one, follow by portions, one a turn.

import type { OverJobs } from "./jobs.ts";
import type { PurgedEntry } from "./live-index.ts";
import { streamOf } from "./long-polls.ts";

/** Each may wake somebody, or stop an upstream: up to 0.1 ms. */
const AT_ONCE_MAX = 250;

export class PurgeTrail {
  readonly #parts: OverJobs;
  #left: { readonly purged: readonly PurgedEntry[]; readonly atMs: number }[] = [];
  #at = 0;
  readonly #goOn = (): void => this.#step();

  constructor(parts: OverJobs) {
    this.#parts = parts;
  }

  /** Returns how many jobs it has cancelled; the sweep deletes their rows later. */
  purge(tenantId: string, nowMs: number): number {
    const purged = this.#parts.jobs.purge(tenantId, nowMs);
    if (purged.length === 0) return 0;
    this.#left.push({ purged, atMs: nowMs });
    if (this.#left.length === 1) this.#step();
    this.#parts.sweep.expect(nowMs, nowMs);
    return purged.length;
  }

  #step(): void {
    const [first] = this.#left;
    if (first === undefined) return;
    const { jobs, index, longPolls, egress } = this.#parts;
    const { purged, atMs } = first;
    for (const { uuid, resumes } of purged.slice(this.#at, this.#at + AT_ONCE_MAX)) {
      if (resumes) jobs.stopPurged(uuid, atMs);
      index.forgetPurged(uuid);
      longPolls.wake(uuid);
      longPolls.wake(streamOf(uuid));
    }
    this.#at += AT_ONCE_MAX;
    if (this.#at >= purged.length) {
      this.#left = this.#left.slice(1);
      this.#at = 0;
    }
    if (this.#left.length > 0) egress.again(this.#goOn);
  }
}
