// Purges and what follows them. One row cancels a tenant's waiting jobs, and they leave the order and the counts at once.
// Dropping their entries, waking waiting calls, and stopping upstreams that may run one follow in portions, one a turn.

import type { OverJobs } from "./jobs.ts";
import type { PurgedEntry } from "./live-index.ts";
import { streamOf } from "./long-polls.ts";

/** Jobs in one portion: each may wake a waiting call or stop an upstream, which takes up to 0.1 ms. */
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
