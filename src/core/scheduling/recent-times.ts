// How long the newest jobs of an endpoint took: a ring of times, and the time that 99 % of the jobs stay under.
import { nearestRank } from "./nearest-rank.ts";

/** So many times give a 99th percentile that is not just the maximum, and can still be sorted now and then. */
const KEPT = 512;
/** With fewer times there is no 99th percentile below the maximum. */
const KNOWN_MIN = 100;
/** Sorting costs more than all other work of the broker on a job, so the percentile may be some jobs old. */
const SORT_EVERY = 64;

export class RecentTimes {
  readonly #times: number[] = [];
  #added = 0;
  #p99: number | null = null;

  add(ms: number): void {
    this.#times[this.#added % KEPT] = ms;
    this.#added += 1;
    if (this.#added === KNOWN_MIN || (this.#added > KNOWN_MIN && this.#added % SORT_EVERY === 0)) this.#sort();
  }

  /** The times in the ring, oldest first. */
  known(): readonly number[] {
    const oldest = this.#added % KEPT;
    return this.#added <= KEPT ? [...this.#times] : [...this.#times.slice(oldest), ...this.#times.slice(0, oldest)];
  }

  /** Milliseconds; null: too few jobs are known. */
  get p99(): number | null {
    return this.#p99;
  }

  #sort(): void {
    const sorted = this.#times.toSorted((a, b) => a - b);
    this.#p99 = nearestRank(sorted, 99) ?? null;
  }
}
