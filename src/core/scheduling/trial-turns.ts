// Which job may try a troubled upstream. A job that was refused there is not the next trial while other jobs wait: the
// cause may be the job itself, and as the oldest job it would be chosen again each time.
import type { UpstreamPool } from "./upstream-pool.ts";

export class TrialTurns {
  readonly #pool: UpstreamPool;
  /** Upstream → the job that it refused last. */
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
