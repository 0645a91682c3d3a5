// The fair order as its definition: every tenant that ever came is remembered, and each choice walks them all. What the
// real one is compared with.

interface Line {
  readonly normal: Set<string>;
  readonly low: Set<string>;
  settledMs: number;
  running: number;
  startsSumMs: number;
  turn: number;
}

const START_CHARGE_MS = 1_000;

function servedMs(line: Line, nowMs: number): number {
  return line.settledMs + line.running * (nowMs + START_CHARGE_MS) - line.startsSumMs;
}

export class WalkedOrder {
  readonly #lines = new Map<string, Line>();
  readonly #bounds = new Map<string, number>();
  #floorMs = 0;
  #turns = 0;

  add(tenantId: string, uuid: string, lowPriority: boolean, nowMs: number): void {
    const line = this.#line(tenantId);
    if (!waits(line)) {
      line.settledMs += Math.max(this.#floorMs - servedMs(line, nowMs), 0);
      this.#turns += 1;
      line.turn = this.#turns;
    }
    (lowPriority ? line.low : line.normal).add(uuid);
  }

  remove(tenantId: string, uuid: string, lowPriority: boolean): void {
    const line = this.#line(tenantId);
    (lowPriority ? line.low : line.normal).delete(uuid);
  }

  next(nowMs: number): string | undefined {
    let best: Line | undefined;
    for (const [tenantId, line] of this.#lines) {
      if (!waits(line) || this.#isAtBound(tenantId)) continue;
      const by = best === undefined ? -1 : servedMs(line, nowMs) - servedMs(best, nowMs);
      if (best === undefined || by < 0 || (by === 0 && line.turn < best.turn)) best = line;
    }
    if (best === undefined) return undefined;
    this.#floorMs = servedMs(best, nowMs);
    return [...best.normal].sort()[0] ?? [...best.low].sort()[0];
  }

  noteStart(tenantId: string, startedAtMs: number): void {
    const line = this.#line(tenantId);
    if (line.running === 0 && !waits(line)) line.settledMs = Math.max(line.settledMs, this.#floorMs);
    line.running += 1;
    line.startsSumMs += startedAtMs;
  }

  bound(tenantId: string, runningMax: number | null, nowMs: number): void {
    const wasAtBound = this.#isAtBound(tenantId);
    this.#bounds.set(tenantId, runningMax ?? Number.POSITIVE_INFINITY);
    this.#lift(tenantId, wasAtBound, nowMs);
  }

  noteEnd(tenantId: string, startedAtMs: number, executionMs: number): void {
    const wasAtBound = this.#isAtBound(tenantId);
    const line = this.#line(tenantId);
    line.running -= 1;
    line.startsSumMs -= startedAtMs;
    line.settledMs += executionMs;
    this.#lift(tenantId, wasAtBound, startedAtMs + executionMs);
  }

  #isAtBound(tenantId: string): boolean {
    const line = this.#lines.get(tenantId);
    return line !== undefined && line.running >= (this.#bounds.get(tenantId) ?? Number.POSITIVE_INFINITY);
  }

  #lift(tenantId: string, wasAtBound: boolean, nowMs: number): void {
    const line = this.#lines.get(tenantId);
    if (line === undefined || !waits(line) || !wasAtBound || this.#isAtBound(tenantId)) return;
    line.settledMs += Math.max(this.#floorMs - servedMs(line, nowMs), 0);
  }

  #line(tenantId: string): Line {
    let line = this.#lines.get(tenantId);
    if (line === undefined) {
      line = {
        normal: new Set(),
        low: new Set(),
        settledMs: this.#floorMs,
        running: 0,
        startsSumMs: 0,
        turn: 0,
      };
      this.#lines.set(tenantId, line);
    }
    return line;
  }
}

function waits({ normal, low }: Line): boolean {
  return normal.size + low.size > 0;
}
