// A binary heap of deadlines. Entries are never changed: the owner recognises a stale one when it becomes the first.

export interface Due {
  readonly atMs: number;
  readonly uuid: string;
}

/** With fewer stale entries than this a rebuild is not worth its time. */
const STALE_ALLOWED = 1_000;

export class DueOrder {
  /** Two lists side by side: an object for each deadline would cost four times the memory. */
  readonly #times: number[] = [];
  readonly #uuids: string[] = [];

  get size(): number {
    return this.#times.length;
  }

  /** Is more than half of the heap stale? Then its owner builds it anew, so that live entries bound its size. */
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

  /** The time of an entry; behind the end of the heap a time after all others. */
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
