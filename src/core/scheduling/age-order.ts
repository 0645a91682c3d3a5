// Jobs by age: a sorted list of uuids whose front is taken often. Uuids are of version 7, so text order is age order.

/** The removed front of the list is cut off by a copy only once it is longer than this. */
const DEAD_ALLOWED = 32;

export class AgeOrder {
  /** The live part begins at #head: moving that is cheaper than shifting the list. */
  #uuids: string[] = [];
  #head = 0;

  get size(): number {
    return this.#uuids.length - this.#head;
  }

  add(uuid: string): void {
    const last = this.#uuids[this.#uuids.length - 1];
    if (this.size === 0 || last === undefined || last < uuid) this.#uuids.push(uuid);
    else this.#uuids.splice(this.#search(uuid), 0, uuid);
  }

  clear(): void {
    this.#uuids = [];
    this.#head = 0;
  }

  /** The number of jobs before this one. */
  indexOf(uuid: string): number {
    return this.#search(uuid) - this.#head;
  }

  remove(uuid: string): void {
    const at = this.#search(uuid);
    if (this.#uuids[at] !== uuid) return;
    if (at !== this.#head) {
      this.#uuids.splice(at, 1);
      return;
    }
    this.#head += 1;
    // Half of the array is removed jobs, whose texts stay in memory: a copy now costs one move a removal on average.
    if (this.size === 0 || (this.#head > DEAD_ALLOWED && this.#head * 2 > this.#uuids.length)) {
      this.#uuids = this.#uuids.slice(this.#head);
      this.#head = 0;
    }
  }

  first(): string | undefined {
    return this.at(0);
  }

  /** The job that has so many before it; undefined: there are not so many. */
  at(place: number): string | undefined {
    return this.#uuids[this.#head + place];
  }

  #search(uuid: string): number {
    let low = this.#head;
    let high = this.#uuids.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const found = this.#uuids[middle];
      if (found !== undefined && found < uuid) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
