// Whose turn it is to try a troubled upstream. A job that was refused there is not the next trial too while others wait: what is
// wrong may be the job, and the oldest job is always the first in the order.
import type { UpstreamPool } from "./upstream-pool.ts";

export class TrialTurns {
  readonly #pool: UpstreamPool;
  /** The job that an upstream has refused last. */
  readonly #refused = new Map<string, string>();

  constructor(pool: UpstreamPool) {
    this.#pool = pool;
  }

  refused(upstreamId: string, uuid: string): void {
    for (const id of this.#refused.keys()) if (!this.#pool.isTroubled(id)) this.#refused.delete(id);
    if (this.#pool.isTroubled(upstreamId)) this.#refused.set(upstreamId, uuid);
  }

  mayTry(upstreamId: string, uuid: string, othersWait: boolean): boolean {
    return !othersWait || this.#refused.get(upstreamId) !== uuid || !this.#pool.isTroubled(upstreamId);
  }
}
