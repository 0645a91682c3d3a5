// Which waiting job is next: tenant first (the one served least, in GPU milliseconds), then priority, then age.
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
  servedMs: number;
}

/** A guess of a job's length, charged when it starts so that a burst of starts is shared out too. */
const START_CHARGE_MS = 1_000;

export class FairOrder {
  readonly #lines = new Map<string, TenantLine>();
  /** The least served of those that wait: a newcomer begins here, so that old idleness buys no burst. */
  #floorMs = 0;

  add(tenantId: string, uuid: string, lowPriority: boolean): void {
    const line = this.#line(tenantId);
    if (line.normal.size + line.low.size === 0) line.servedMs = Math.max(line.servedMs, this.#floorMs);
    (lowPriority ? line.low : line.normal).add(uuid);
  }

  remove(tenantId: string, uuid: string, lowPriority: boolean): void {
    const line = this.#lines.get(tenantId);
    if (line !== undefined) (lowPriority ? line.low : line.normal).remove(uuid);
  }

  /** The next job, left in place; undefined when nothing waits. */
  next(): string | undefined {
    let best: TenantLine | undefined;
    for (const line of this.#lines.values()) {
      if (line.normal.size + line.low.size === 0) continue;
      if (best === undefined || line.servedMs < best.servedMs) best = line;
    }
    if (best === undefined) return undefined;
    this.#floorMs = best.servedMs;
    return best.normal.first() ?? best.low.first();
  }

  chargeStart(tenantId: string): void {
    this.#line(tenantId).servedMs += START_CHARGE_MS;
  }

  /** Replaces the guess made at the start by the truth, ms. */
  settleCharge(tenantId: string, executionMs: number): void {
    this.#line(tenantId).servedMs += executionMs - START_CHARGE_MS;
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
      line = { normal: new AgeOrder(), low: new AgeOrder(), servedMs: this.#floorMs };
      this.#lines.set(tenantId, line);
    }
    return line;
  }
}
