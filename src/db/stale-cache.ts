// Keeps D1's last answers in the isolate: fresh for 30 s, and usable for 24 h when D1 does not answer. Nobody can
// change rows while D1 is down, so the last answer is then still right.
import { SETTINGS_LAST_GOOD_MS } from "../core/endpoint/limits.ts";

export const FRESH_MS = 30_000;
/** That a row is missing is cached only briefly, unless the cache's user sets a time, as it may be made meanwhile. */
const MISSING_MS = 5_000;
/** When D1 did not answer, it is not asked for this long, so that not every request waits for D1 to fail. */
const ASK_AGAIN_MS = 5_000;
/** Far more entries than one isolate needs, and small beside its 128 MB. */
const ENTRIES_MAX = 10_000;

interface Entry<T> {
  readonly value: T;
  readonly atMs: number;
  readonly freshUntilMs: number;
}

export class StaleCache<T> {
  readonly #entries = new Map<string, Entry<T>>();
  /** Kept apart from the entries, so that a flood of made-up names does not push those out. Name → until when. */
  readonly #missing = new Map<string, number>();
  readonly #missingMs: number;
  /** How often `forget` was called: what was being loaded meanwhile may be from before the change. */
  #forgotten = 0;

  constructor(missingMs = MISSING_MS) {
    this.#missingMs = missingMs;
  }

  /** The last value of a key, however old; undefined: there was none. */
  peek(key: string): T | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Drops what is kept of a key, which has changed: the next `get` loads it. */
  forget(key: string): void {
    this.#entries.delete(key);
    this.#missing.delete(key);
    this.#forgotten += 1;
  }

  /** Would `get` have to load the key, without an older value to fall back on? */
  isUnknown(key: string, nowMs: number): boolean {
    return !this.#entries.has(key) && nowMs >= (this.#missing.get(key) ?? 0);
  }

  /** The value of a key, loaded unless fresh; null: there is none. Throws what `load` threw if no old value is good. */
  async get(key: string, nowMs: number, load: () => Promise<T | null>): Promise<T | null> {
    const entry = this.#entries.get(key);
    if (entry !== undefined && nowMs < entry.freshUntilMs) return entry.value;
    if (entry === undefined && nowMs < (this.#missing.get(key) ?? 0)) return null;
    try {
      const forgotten = this.#forgotten;
      const value = await load();
      if (forgotten === this.#forgotten) this.#keep(key, value, nowMs);
      return value;
    } catch (error) {
      if (entry === undefined || nowMs >= entry.atMs + SETTINGS_LAST_GOOD_MS) throw error;
      this.#entries.set(key, { ...entry, freshUntilMs: nowMs + ASK_AGAIN_MS });
      return entry.value;
    }
  }

  /** Keeps a value that was found in another way. */
  note(key: string, value: T, nowMs: number): void {
    this.#keep(key, value, nowMs);
  }

  #keep(key: string, value: T | null, atMs: number): void {
    this.#entries.delete(key);
    this.#missing.delete(key);
    if (value === null) put(this.#missing, key, atMs + this.#missingMs);
    else put(this.#entries, key, { value, atMs, freshUntilMs: atMs + FRESH_MS });
  }
}

/** Adds an entry as the youngest; the oldest is removed when there are too many. */
function put<V>(map: Map<string, V>, key: string, value: V): void {
  map.set(key, value);
  const oldest = map.keys().next().value;
  if (map.size > ENTRIES_MAX && oldest !== undefined) map.delete(oldest);
}
