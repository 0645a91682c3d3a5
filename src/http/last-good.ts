// What D1 said last, kept in the isolate: fresh for 30 s, and for 24 h when D1 does not answer. Nobody can change
// anything while D1 is down, so the last good word is the right one.

const FRESH_MS = 30_000;
const LAST_GOOD_MS = 86_400_000;
/** Far more than one isolate sees, and small beside its 128 MB. */
const ENTRIES_MAX = 10_000;

export class LastGood<T> {
  readonly #entries = new Map<string, { readonly value: T; readonly atMs: number }>();

  /** The value of a key, loaded when it is not fresh. Throws what `load` threw when there is nothing good either. */
  async get(key: string, nowMs: number, load: () => Promise<T>): Promise<T> {
    const entry = this.#entries.get(key);
    if (entry !== undefined && nowMs < entry.atMs + FRESH_MS) return entry.value;
    try {
      const value = await load();
      this.#keep(key, value, nowMs);
      return value;
    } catch (error) {
      if (entry !== undefined && nowMs < entry.atMs + LAST_GOOD_MS) return entry.value;
      throw error;
    }
  }

  forget(key: string): void {
    this.#entries.delete(key);
  }

  #keep(key: string, value: T, atMs: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, atMs });
    const oldest = this.#entries.keys().next().value;
    if (this.#entries.size > ENTRIES_MAX && oldest !== undefined) this.#entries.delete(oldest);
  }
}
