// What it costs the engine to read texts that are numbers. It keeps each short text once, in a table of all that it has, and finds the place
// of one that is the index of a list by its number alone: anybody can think of thousands that have one place, and are looked through
// one by one. The place of any other text depends on a secret of the process.

const ZERO = 0x30;
const NINE = 0x39;
/** Of the largest index of a list. */
const CHARS_MAX = 10;
const INDEX_MAX = 2 ** 32 - 2;

/** Parts of the table are told apart by some bits of the number; beside its own place a text may stand in one of the next. */
const PARTS = 256;
const PLACES_OF_PART = 16;
/** For each text in the same part that may have to be looked at first. */
const UNITS_OF_EACH = 0.04;
/** Texts that are known to have been met; one of two that have the same place here counts anew each time. */
const MET = 4_096;

export class Digits {
  readonly #bytes: Uint8Array;
  #tables: { readonly counts: Uint32Array; readonly met: Uint32Array } | null = null;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Units of work for the value between these quotes. Names of members, and what is written with escapes, is not in that table. */
  unitsOf(from: number, to: number): number {
    const number = this.#indexAt(from, to);
    if (number < 0) return 0;
    this.#tables ??= { counts: new Uint32Array(PARTS), met: new Uint32Array(MET) };
    const { counts, met } = this.#tables;
    const part = Math.floor(number / PLACES_OF_PART) % PARTS;
    const count = counts[part] ?? 0;
    const place = (number ^ (number >>> 12) ^ (number >>> 24)) & (MET - 1);
    // Zero is never counted, as it stands where nothing was met: it is one text.
    if (met[place] !== number) {
      met[place] = number;
      counts[part] = count + 1;
    }
    return count * UNITS_OF_EACH;
  }

  /** The index of a list that the text is; less than 0: it is none. */
  #indexAt(from: number, to: number): number {
    if (to - from > CHARS_MAX || to <= from) return -1;
    let number = 0;
    for (let at = from; at < to; at += 1) {
      const byte = this.#bytes[at] ?? 0;
      if (byte < ZERO || byte > NINE || (byte === ZERO && at === from && to - from > 1)) return -1;
      number = number * 10 + byte - ZERO;
    }
    return number <= INDEX_MAX ? number : -1;
  }
}
