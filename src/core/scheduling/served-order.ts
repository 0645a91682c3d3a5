// Tenants by the time that they were served, while that time grows: each grows by as many milliseconds a millisecond as it has
// jobs running. Those with the same number running grow alike, so their order never changes by time alone: one heap for each
// number, and the least served of all is on top of one of them. With R jobs running there are at most about sqrt(2 R) heaps.

/** What one tenant was served. A line that stands in an order is taken out before it is changed. */
export interface Served {
  /** By finished attempts. */
  settledMs: number;
  running: number;
  /** Sum of the starts of those that run: with their number it gives the time that they have run. */
  startsSumMs: number;
  /** Breaks ties: the lower one is first. */
  turn: number;
  /** Where it stands in its heap; only the heap sets it. */
  at: number;
}

/** Counted for each running attempt beside its time, so that a burst of starts at one moment is shared out too. */
const START_CHARGE_MS = 1_000;

export function servedMs(line: Served, nowMs: number): number {
  return line.settledMs + line.running * (nowMs + START_CHARGE_MS) - line.startsSumMs;
}

/** Without the charges of what runs, which end with it: this one never falls as time goes on. */
function lastingMs(line: Served, nowMs: number): number {
  return line.settledMs + line.running * nowMs - line.startsSumMs;
}

export class ServedOrder<Line extends Served> {
  readonly #heaps = new Map<number, ServedHeap<Line>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(line: Line): void {
    let heap = this.#heaps.get(line.running);
    if (heap === undefined) {
      heap = new ServedHeap();
      this.#heaps.set(line.running, heap);
    }
    heap.add(line);
    this.#size += 1;
  }

  /** The line stands in this order, and is as it was when it was added. */
  remove(line: Line): void {
    const heap = this.#heaps.get(line.running);
    if (heap === undefined) return;
    heap.remove(line);
    if (heap.first === undefined) this.#heaps.delete(line.running);
    this.#size -= 1;
  }

  least(nowMs: number): Line | undefined {
    let least: Line | undefined;
    for (const { first } of this.#heaps.values()) {
      if (first === undefined) continue;
      const by = least === undefined ? -1 : servedMs(first, nowMs) - servedMs(least, nowMs);
      if (least === undefined || by < 0 || (by === 0 && first.turn < least.turn)) least = first;
    }
    return least;
  }

  /** What no line of this order will ever be served less than; Infinity when it is empty. */
  lastingMs(nowMs: number): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { first } of this.#heaps.values()) {
      if (first !== undefined) least = Math.min(least, lastingMs(first, nowMs));
    }
    return least;
  }
}

/** A binary heap of lines with the same number of jobs running. Each knows its place, so that it can leave from anywhere. */
class ServedHeap<Line extends Served> {
  readonly #lines: Line[] = [];

  get first(): Line | undefined {
    return this.#lines[0];
  }

  add(line: Line): void {
    this.#lines.push(line);
    this.#rise(line, this.#lines.length - 1);
  }

  remove(line: Line): void {
    const last = this.#lines.pop();
    if (last === undefined || last === line) return;
    const { at } = line;
    this.#rise(last, at);
    this.#sink(last, last.at);
  }

  #rise(line: Line, from: number): void {
    let at = from;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = this.#lines[parentAt];
      if (parent === undefined || isBefore(parent, line)) break;
      this.#set(parent, at);
      at = parentAt;
    }
    this.#set(line, at);
  }

  #sink(line: Line, from: number): void {
    let at = from;
    for (;;) {
      const left = this.#lines[2 * at + 1];
      const right = this.#lines[2 * at + 2];
      const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left;
      if (child === undefined || isBefore(line, child)) break;
      const childAt = child.at;
      this.#set(child, at);
      at = childAt;
    }
    this.#set(line, at);
  }

  #set(line: Line, at: number): void {
    this.#lines[at] = line;
    line.at = at;
  }
}

/** Of two lines with the same number of jobs running. */
function isBefore(a: Served, b: Served): boolean {
  const by = a.settledMs - a.startsSumMs - (b.settledMs - b.startsSumMs);
  return by === 0 ? a.turn < b.turn : by < 0;
}
