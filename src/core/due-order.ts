// A binary heap of deadlines. Entries are never moved: a stale one is recognised by its owner when it comes up.

export interface Due {
  readonly atMs: number;
  readonly uuid: string;
}

/** Below this a rebuild is not worth its time. */
const STALE_ALLOWED = 1_000;

export class DueOrder {
  readonly #heap: Due[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** More than half of it has been overtaken: its owner builds it anew, so that it never outgrows what lives. */
  isMostlyStale(live: number): boolean {
    return this.#heap.length > 2 * live + STALE_ALLOWED;
  }

  push(due: Due): void {
    if (due.atMs === Number.POSITIVE_INFINITY) return;
    const heap = this.#heap;
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt];
      if (parent === undefined || parent.atMs <= due.atMs) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = due;
  }

  peek(): Due | undefined {
    return this.#heap[0];
  }

  pop(): Due | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      const childAt = smallerChild(heap, at);
      const child = heap[childAt];
      if (child === undefined || child.atMs >= last.atMs) break;
      heap[at] = child;
      at = childAt;
    }
    heap[at] = last;
    return top;
  }
}

function smallerChild(heap: readonly Due[], at: number): number {
  const left = 2 * at + 1;
  const right = left + 1;
  const leftDue = heap[left];
  const rightDue = heap[right];
  return leftDue !== undefined && rightDue !== undefined && rightDue.atMs < leftDue.atMs ? right : left;
}
