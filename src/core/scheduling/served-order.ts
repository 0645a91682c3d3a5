// Tenants by the time that they were served, while that time grows: by as many milliseconds a millisecond as the tenant
// has running jobs. Tenants with equally many keep their order as time passes, so each such number has a heap of its
// own, and the least served tenant is on top of one of them. R running jobs make at most about sqrt(2 R) heaps.

/** What one tenant was served. A line must be removed from its order before it is changed. */
export interface Served {
  /** The time of finished attempts. */
  settledMs: number;
  running: number;
  /** Sum of the starts of the running attempts: with their number it gives how long they have run. */
  startsSumMs: number;
  /** Breaks ties: the lower one is first. */
  turn: number;
  /** The line's index in its heap, which only the heap sets. */
  at: number;
}

/** Counted for each running attempt beside its time, so that starts at one moment are shared fairly, too. */
const START_CHARGE_MS = 1_000;

export function servedMs(line: Served, nowMs: number): number {
  return line.settledMs + line.running * (nowMs + START_CHARGE_MS) - line.startsSumMs;
}

/** The served time without START_CHARGE_MS, which ends with each attempt: this time never falls. */
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

  /** Removes a line, which must be in this order and unchanged since it was added. */
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

  /** All lines, in no order. */
  *all(): Generator<Line> {
    for (const heap of this.#heaps.values()) yield* heap.lines;
  }

  /** A served time below which no line of this order will ever fall; Infinity when it is empty. */
  lastingMs(nowMs: number): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { first } of this.#heaps.values()) {
      if (first !== undefined) least = Math.min(least, lastingMs(first, nowMs));
    }
    return least;
  }
}

/** A binary heap of lines with equally many running jobs. Each has its index, so that it can be removed anywhere. */
class ServedHeap<Line extends Served> {
  readonly #lines: Line[] = [];

  get lines(): readonly Line[] {
    return this.#lines;
  }

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

/** Is `a` served before `b`? Both must have the same number of running jobs. */
function isBefore(a: Served, b: Served): boolean {
  const by = a.settledMs - a.startsSumMs - (b.settledMs - b.startsSumMs);
  return by === 0 ? a.turn < b.turn : by < 0;
}
