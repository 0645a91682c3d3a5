// What it costs the engine to read texts that are numbers. It keeps each short text once, in a table of all that it has, and finds the place
// of one that is the index of a list by its number alone: anybody can think of thousands that have one place, and are looked through
// one by one. The place of any other text depends on a secret of the process.

/** Of the largest index of a list. */
export const INDEX_CHARS_MAX = 10;
export const INDEX_MAX = 2 ** 32 - 2;
/** Microseconds for each text that may have to be looked at first. */
export const ALIKE_US = 0.002;

/** Parts of the table are told apart by some bits of the number; beside its own place a text may stand in one of the next. */
const PARTS = 256;
const PLACES_OF_PART = 16;
/** Texts that are known to have been met; one of two that have the same place here counts anew each time. */
const MET = 4_096;

/** Counts texts of digits by the part of the table that they stand in. */
export class Digits {
  readonly #counts = new Uint32Array(PARTS);
  readonly #met = new Uint32Array(MET);
  #size = 0;

  /** So many others would stand in each part, if all were spread. */
  get share(): number {
    return this.#size / PARTS;
  }

  /** How many others that stand in the same part have been met before. */
  meet(index: number): number {
    const part = Math.floor(index / PLACES_OF_PART) % PARTS;
    const count = this.#counts[part] ?? 0;
    const place = (index ^ (index >>> 12) ^ (index >>> 24)) & (MET - 1);
    // Zero is never counted, as it stands where nothing was met: it is one text.
    if (this.#met[place] !== index) {
      this.#met[place] = index;
      this.#counts[part] = count + 1;
      this.#size += 1;
    }
    return count;
  }
}

/** Texts as they stand in JSON: one with escapes is not in that table, nor are names of members. */
const TEXT_OF_DIGITS = /"(0|[1-9]\d{0,9})"(?!:)/g;
const SHORT_CHARS = 8_192;
const SLOW_US = 50_000;

/** Would the engine take far longer for this JSON than for any other of its length? Usual numbers are spread over all parts. */
export function isSlowToRead(text: string): boolean {
  if (text.length <= SHORT_CHARS) return false;
  const digits = new Digits();
  let us = 0;
  for (const [, found] of text.matchAll(TEXT_OF_DIGITS)) {
    const index = Number(found);
    if (index <= INDEX_MAX) us += Math.max(0, digits.meet(index) - 2 * digits.share) * ALIKE_US;
    if (us > SLOW_US) return true;
  }
  return false;
}
