// Which waiting job is next: tenant first (the one served least, in GPU milliseconds), then priority, then age. What runs
// counts as it runs, so that a tenant of long jobs does not gather slots until its first one ends.
// Job uuids are version 7, so their text order is their age.

/** A sorted list of uuids whose front is taken often: a moving head instead of a shift. */
class AgeOrder {
  #uuids: string[] = [];
  #head = 0;

  get size(): number {
    return this.#uuids.length - this.#head;
  }

  add(uuid: string): void {
    const last = this.#uuids[this.#uuids.length - 1];
    if (this.size === 0 || last === undefined || last < uuid) {
      this.#uuids.push(uuid);
      return;
    }
    this.#uuids.splice(this.#search(uuid), 0, uuid);
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
    // Half of the array is dead: copying it now costs each removal one move on average.
    if (this.#head > 1_000 && this.#head * 2 > this.#uuids.length) {
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

interface TenantLine {
  readonly normal: AgeOrder;
  readonly low: AgeOrder;
  /** By finished attempts. */
  settledMs: number;
  running: number;
  /** Sum of the starts of those that run: with their number it gives the time that they have run. */
  startsSumMs: number;
}

/** Counted for each running attempt beside its time, so that a burst of starts at one moment is shared out too. */
const START_CHARGE_MS = 1_000;

function servedMs(line: TenantLine, nowMs: number): number {
  return line.settledMs + line.running * (nowMs + START_CHARGE_MS) - line.startsSumMs;
}

export class FairOrder {
  readonly #lines = new Map<string, TenantLine>();
  /** The least served of those that wait: a newcomer begins here, so that old idleness buys no burst. */
  #floorMs = 0;

  add(tenantId: string, uuid: string, lowPriority: boolean, nowMs: number): void {
    const line = this.#line(tenantId);
    if (line.normal.size + line.low.size === 0) {
      line.settledMs += Math.max(this.#floorMs - servedMs(line, nowMs), 0);
    }
    (lowPriority ? line.low : line.normal).add(uuid);
  }

  remove(tenantId: string, uuid: string, lowPriority: boolean): void {
    const line = this.#lines.get(tenantId);
    if (line !== undefined) (lowPriority ? line.low : line.normal).remove(uuid);
  }

  /** The next job, left in place; undefined when nothing waits. */
  next(nowMs: number): string | undefined {
    let best: { readonly line: TenantLine; readonly servedMs: number } | undefined;
    for (const line of this.#lines.values()) {
      if (line.normal.size + line.low.size === 0) continue;
      const served = servedMs(line, nowMs);
      if (best === undefined || served < best.servedMs) best = { line, servedMs: served };
    }
    if (best === undefined) return undefined;
    this.#floorMs = best.servedMs;
    return best.line.normal.first() ?? best.line.low.first();
  }

  /** Does any job wait? */
  get isEmpty(): boolean {
    for (const line of this.#lines.values()) if (line.normal.size + line.low.size > 0) return false;
    return true;
  }

  /** An attempt of the tenant runs since then, epoch ms. */
  noteStart(tenantId: string, startedAtMs: number): void {
    const line = this.#line(tenantId);
    line.running += 1;
    line.startsSumMs += startedAtMs;
  }

  /** It has ended after so many ms. */
  noteEnd(tenantId: string, startedAtMs: number, executionMs: number): void {
    const line = this.#line(tenantId);
    line.running -= 1;
    line.startsSumMs -= startedAtMs;
    line.settledMs += executionMs;
  }

  /** 1-based place among the tenant's own waiting jobs. */
  position(tenantId: string, uuid: string, lowPriority: boolean): number {
    const line = this.#lines.get(tenantId);
    if (line === undefined) return 1;
    return 1 + (lowPriority ? line.normal.size + line.low.indexOf(uuid) : line.normal.indexOf(uuid));
  }

  #line(tenantId: string): TenantLine {
    let line = this.#lines.get(tenantId);
    if (line === undefined) {
      line = { normal: new AgeOrder(), low: new AgeOrder(), settledMs: this.#floorMs, running: 0, startsSumMs: 0 };
      this.#lines.set(tenantId, line);
    }
    return line;
  }
}
