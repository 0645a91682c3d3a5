// Which members and items of a value the subschemas that hold for it have spoken of: `unevaluatedProperties` and `unevaluatedItems` are
// about the others.

export class Seen {
  /** The keys of names. */
  readonly names = new Set<string>();
  readonly items = new Set<number>();
  /** Items before this one. */
  itemsBefore = 0;

  /** Takes over what another one has; returns how much that was. */
  add(other: Seen): number {
    for (const name of other.names) this.names.add(name);
    for (const item of other.items) this.items.add(item);
    this.itemsBefore = Math.max(this.itemsBefore, other.itemsBefore);
    return other.names.size + other.items.size;
  }

  hasName(key: string): boolean {
    return this.names.has(key);
  }

  hasItem(index: number): boolean {
    return index < this.itemsBefore || this.items.has(index);
  }
}
