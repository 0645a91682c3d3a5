// Jobs by age: a sorted list of uuids whose front is taken often. Uuids are version 7, so their text order is their age.

/** Below this the dead part of the list is not worth a copy. */
const DEAD_ALLOWED = 32;

export class AgeOrder {
  /** A moving head instead of a shift. */
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

  /** Jobs before this one. */
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
    // Half of the array is dead, and keeps its texts in memory: copying it now costs each removal one move on average.
    if (this.size === 0 || (this.#head > DEAD_ALLOWED && this.#head * 2 > this.#uuids.length)) {
      this.#uuids = this.#uuids.slice(this.#head);
      this.#head = 0;
    }
  }

  first(): string | undefined {
    return this.#uuids[this.#head];
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
