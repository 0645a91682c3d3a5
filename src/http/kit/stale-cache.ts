// What D1 said last, kept in the isolate: fresh for 30 s, and for 24 h when D1 does not answer. Nobody can change
// anything while D1 is down, so the last good word is the right one.

const FRESH_MS = 30_000;
const LAST_GOOD_MS = 86_400_000;
/** That something is not there is believed for a short while only, unless its user knows better: it may have been made since. */
const MISSING_MS = 5_000;
/** After D1 did not answer it is left alone for this long, so that not every request waits for it to fail. */
const ASK_AGAIN_MS = 5_000;
/** Far more than one isolate sees, and small beside its 128 MB. */
const ENTRIES_MAX = 10_000;

interface Entry<T> {
  readonly value: T;
  readonly atMs: number;
  readonly freshUntilMs: number;
}

export class StaleCache<T> {
  readonly #entries = new Map<string, Entry<T>>();
  /** Apart from the entries: a flood of made-up names must not push out what is worth keeping. Name → until when. */
  readonly #missing = new Map<string, number>();
  readonly #missingMs: number;

  constructor(missingMs = MISSING_MS) {
    this.#missingMs = missingMs;
  }

  /** What was good last, however long ago; undefined: nothing was. */
  peek(key: string): T | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Would `get` have to load it, without anything good to fall back on? */
  isUnknown(key: string, nowMs: number): boolean {
    return !this.#entries.has(key) && nowMs >= (this.#missing.get(key) ?? 0);
  }

  /** The value of a key, loaded when it is not fresh; null: there is none. Throws what `load` threw if nothing is good. */
  async get(key: string, nowMs: number, load: () => Promise<T | null>): Promise<T | null> {
    const entry = this.#entries.get(key);
    if (entry !== undefined && nowMs < entry.freshUntilMs) return entry.value;
    if (entry === undefined && nowMs < (this.#missing.get(key) ?? 0)) return null;
    try {
      const value = await load();
      this.#keep(key, value, nowMs);
      return value;
    } catch (error) {
      if (entry === undefined || nowMs >= entry.atMs + LAST_GOOD_MS) throw error;
      this.#entries.set(key, { ...entry, freshUntilMs: nowMs + ASK_AGAIN_MS });
      return entry.value;
    }
  }

  #keep(key: string, value: T | null, atMs: number): void {
    this.#entries.delete(key);
    this.#missing.delete(key);
    if (value === null) put(this.#missing, key, atMs + this.#missingMs);
    else put(this.#entries, key, { value, atMs, freshUntilMs: atMs + FRESH_MS });
  }
}

/** Adds at the young end; the oldest goes when there are too many. */
function put<V>(map: Map<string, V>, key: string, value: V): void {
  map.set(key, value);
  const oldest = map.keys().next().value;
  if (map.size > ENTRIES_MAX && oldest !== undefined) map.delete(oldest);
}
