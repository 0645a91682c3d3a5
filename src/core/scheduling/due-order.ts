// A binary heap of deadlines. Entries are never moved: a stale one is recognised by its owner when it comes up.

export interface Due {
  readonly atMs: number;
  readonly uuid: string;
}

/** Below this a rebuild is not worth its time. */
const STALE_ALLOWED = 1_000;

export class DueOrder {
  /** Two lists side by side: an object for each deadline would cost four times the memory. */
  readonly #times: number[] = [];
  readonly #uuids: string[] = [];

  get size(): number {
    return this.#times.length;
  }

  /** More than half of it has been overtaken: its owner builds it anew, so that it never outgrows what lives. */
  isMostlyStale(live: number): boolean {
    return this.#times.length > 2 * live + STALE_ALLOWED;
  }

  push({ atMs, uuid }: Due): void {
    if (atMs === Number.POSITIVE_INFINITY) return;
    let at = this.#times.length;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      if (this.#timeAt(parentAt) <= atMs) break;
      this.#copy(parentAt, at);
      at = parentAt;
    }
    this.#set(at, atMs, uuid);
  }

  peek(): Due | undefined {
    const uuid = this.#uuids[0];
    return uuid === undefined ? undefined : { atMs: this.#timeAt(0), uuid };
  }

  pop(): Due | undefined {
    const top = this.peek();
    const lastMs = this.#times.pop();
    const last = this.#uuids.pop();
    if (lastMs === undefined || last === undefined || this.#times.length === 0) return top;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const childAt = this.#timeAt(left + 1) < this.#timeAt(left) ? left + 1 : left;
      if (this.#timeAt(childAt) >= lastMs) break;
      this.#copy(childAt, at);
      at = childAt;
    }
    this.#set(at, lastMs, last);
    return top;
  }

  /** Beyond the end: later than everything. */
  #timeAt(at: number): number {
    return this.#times[at] ?? Number.POSITIVE_INFINITY;
  }

  #copy(from: number, to: number): void {
    this.#set(to, this.#timeAt(from), this.#uuids[from] ?? "");
  }

  #set(at: number, atMs: number, uuid: string): void {
    this.#times[at] = atMs;
    this.#uuids[at] = uuid;
  }
}
