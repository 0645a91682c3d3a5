// A line in which tenants take turns; each tenant's own things are served in the order of their arrival.

export class TakingTurns<T> {
  /** Each tenant's things; the tenant whose turn is next comes first. A tenant without things is not in it. */
  readonly #lines = new Map<string, T[]>();

  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  add(tenantId: string, thing: T): void {
    const line = this.#lines.get(tenantId);
    if (line === undefined) this.#lines.set(tenantId, [thing]);
    else line.push(thing);
  }

  /** The next thing, which stays in the line. */
  peek(): T | undefined {
    const [line] = this.#lines.values();
    return line?.[0];
  }

  /** Removes and returns the next thing; its tenant goes behind the others. */
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
