// What follows a purge. One row has cancelled all waiting jobs of a tenant, and they are out of the order and the counts; their
// entries in memory, those who wait for them, and the upstreams that may still run one, follow by portions, one a turn.
import type { Egress } from "./egress.ts";
import type { LiveIndex, PurgedEntry } from "./live-index.ts";
import { type LongPolls, streamOf } from "./long-polls.ts";

interface Parts {
  readonly index: LiveIndex;
  readonly longPolls: LongPolls;
  readonly egress: Egress;
}

/** Each may wake somebody, or stop an upstream: up to 0.1 ms. */
const AT_ONCE_MAX = 250;

export class PurgeTrail {
  readonly #parts: Parts;
  #left: { readonly jobs: readonly PurgedEntry[]; readonly stop: (uuid: string) => void }[] = [];
  #at = 0;
  readonly #goOn = (): void => this.#step();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** `stop` tells the upstream of a job that may still run it. */
  follow(jobs: readonly PurgedEntry[], stop: (uuid: string) => void): void {
    this.#left.push({ jobs, stop });
    if (this.#left.length === 1) this.#step();
  }

  #step(): void {
    const [first] = this.#left;
    if (first === undefined) return;
    const { index, longPolls, egress } = this.#parts;
    const { jobs, stop } = first;
    for (const { uuid, resumes } of jobs.slice(this.#at, this.#at + AT_ONCE_MAX)) {
      if (resumes) stop(uuid);
      index.forgetPurged(uuid);
      longPolls.wake(uuid);
      longPolls.wake(streamOf(uuid));
    }
    this.#at += AT_ONCE_MAX;
    if (this.#at >= jobs.length) {
      this.#left = this.#left.slice(1);
      this.#at = 0;
    }
    if (this.#left.length > 0) egress.again(this.#goOn);
  }
}
