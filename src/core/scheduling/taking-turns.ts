// A line in which tenants take turns: each one's own things first come, first served.

export class TakingTurns<T> {
  /** Whose turn it is first. A tenant without anything is not in it. */
  readonly #lines = new Map<string, T[]>();

  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  add(tenantId: string, thing: T): void {
    const line = this.#lines.get(tenantId);
    if (line === undefined) this.#lines.set(tenantId, [thing]);
    else line.push(thing);
  }

  /** The next one, left in place. */
  peek(): T | undefined {
    const [line] = this.#lines.values();
    return line?.[0];
  }

  /** Takes the next one; its tenant goes behind the others. */
  take(): T | undefined {
    const [first] = this.#lines;
    if (first === undefined) return undefined;
    const [tenantId, line] = first;
    const thing = line.shift();
    this.#lines.delete(tenantId);
    if (line.length > 0) this.#lines.set(tenantId, line);
    return thing;
  }
}
