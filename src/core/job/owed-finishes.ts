// Finishes whose usage lines are owed to their tenants' accounts: for each tenant a queue in the order of their
// numbers. Batches are read from its front, where posted ones are removed: more owed lines do not make a line dearer.

export interface OwedFinish {
  readonly finishSeq: number;
  /** The job whose row contains the line; null: the line has a row of its own. */
  readonly uuid: string | null;
}

/** The removed front of a queue is cut off by a copy only once it is longer than this. */
const DEAD_ALLOWED = 32;

class Queue {
  /** Two lists side by side: an object for each line would cost three times the memory. */
  #seqs: number[] = [];
  #uuids: (string | null)[] = [];
  #head = 0;
  #isSorted = true;

  get size(): number {
    return this.#seqs.length - this.#head;
  }

  add(finishSeq: number, uuid: string | null): void {
    const last = this.#seqs[this.#seqs.length - 1];
    // Numbers are given in order. Only a start of the object adds them in another order, that of their rows.
    if (this.size > 0 && last !== undefined && last > finishSeq) this.#isSorted = false;
    this.#seqs.push(finishSeq);
    this.#uuids.push(uuid);
  }

  front(limit: number): OwedFinish[] {
    this.#sort();
    return Array.from({ length: Math.min(limit, this.size) }, (_, at) => this.#at(this.#head + at));
  }

  through(last: number): OwedFinish[] {
    return this.front(this.#search(last + 1) - this.#head);
  }

  drop(count: number): void {
    this.#head = Math.min(this.#head + count, this.#seqs.length);
    if (this.#head <= DEAD_ALLOWED || this.#head * 2 <= this.#seqs.length) return;
    this.#seqs = this.#seqs.slice(this.#head);
    this.#uuids = this.#uuids.slice(this.#head);
    this.#head = 0;
  }

  moveOut(finishSeq: number): void {
    const at = this.#search(finishSeq);
    if (this.#seqs[at] === finishSeq) this.#uuids[at] = null;
  }

  remove(finishSeq: number): void {
    const at = this.#search(finishSeq);
    if (this.#seqs[at] !== finishSeq) return;
    this.#seqs.splice(at, 1);
    this.#uuids.splice(at, 1);
  }

  #at(at: number): OwedFinish {
    return { finishSeq: this.#seqs[at] ?? 0, uuid: this.#uuids[at] ?? null };
  }

  #search(finishSeq: number): number {
    this.#sort();
    let low = this.#head;
    let high = this.#seqs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#seqs[middle] ?? 0) < finishSeq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #sort(): void {
    if (this.#isSorted) return;
    const sorted = Array.from({ length: this.size }, (_, at) => this.#at(this.#head + at));
    sorted.sort((a, b) => a.finishSeq - b.finishSeq);
    this.#seqs = sorted.map(({ finishSeq }) => finishSeq);
    this.#uuids = sorted.map(({ uuid }) => uuid);
    this.#head = 0;
    this.#isSorted = true;
  }
}

export class OwedFinishes {
  readonly #queues = new Map<string, Queue>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The tenants with at least one owed line. */
  tenants(): string[] {
    return [...this.#queues.keys()];
  }

  owes(tenantId: string): boolean {
    return this.#queues.has(tenantId);
  }

  add(tenantId: string, { finishSeq, uuid }: OwedFinish): void {
    const queue = this.#queues.get(tenantId) ?? new Queue();
    this.#queues.set(tenantId, queue);
    queue.add(finishSeq, uuid);
    this.#size += 1;
  }

  /** Up to `limit` of a tenant's finishes, oldest first; they stay in the queue. */
  front(tenantId: string, limit: number): OwedFinish[] {
    return this.#queues.get(tenantId)?.front(limit) ?? [];
  }

  /** All of a tenant's finishes up to a number, oldest first; they stay in the queue. */
  through(tenantId: string, last: number): OwedFinish[] {
    return this.#queues.get(tenantId)?.through(last) ?? [];
  }

  /** Removes the oldest finishes of a tenant. */
  drop(tenantId: string, count: number): void {
    this.#shrink(tenantId, (queue) => queue.drop(count));
  }

  /** The line stands in a row of its own from now on. */
  moveOut(tenantId: string, finishSeq: number): void {
    this.#queues.get(tenantId)?.moveOut(finishSeq);
  }

  /** The row with the line is gone, so that the line can never be posted. */
  remove(tenantId: string, finishSeq: number): void {
    this.#shrink(tenantId, (queue) => queue.remove(finishSeq));
  }

  #shrink(tenantId: string, change: (queue: Queue) => void): void {
    const queue = this.#queues.get(tenantId);
    if (queue === undefined) return;
    const before = queue.size;
    change(queue);
    this.#size += queue.size - before;
    if (queue.size === 0) this.#queues.delete(tenantId);
  }
}
