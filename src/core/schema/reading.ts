// What it costs to read the JSON of an input, told before it is read: a text may be mostly names and escapes, which take the engine
// many times as long as numbers do.
import { ALIKE_US, Digits, INDEX_CHARS_MAX, INDEX_MAX } from "../json/digits.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** Bytes that stand between numbers and words, by their codes. */
const IS_BETWEEN = Uint8Array.from({ length: 256 }, (_, byte) =>
  '[]{},:" \n\r\t'.includes(String.fromCharCode(byte)) ? 1 : 0,
);

const UNIT_US = 0.05;
/** Bytes that one unit of work reads, and those of a string with escapes, in which the engine's parser looks at each. */
const BYTES_A_UNIT = 64;
const ESCAPED_A_UNIT = 42;
const COMMA_UNITS = 0.6;
const OPEN_UNITS = 2;
const STRING_UNITS = 2.5;
const ESCAPES_UNITS = 4;
/** A member whose object is, up to it, as one before, so that the engine knows how to keep it; and any other member. */
const KNOWN_UNITS = 3;
const NEW_UNITS = 14;
/** Most names and words end before that; the engine's search is faster in longer texts. */
const NEAR_BYTES = 24;
/** Where escaped quotes are nearer to each other, a search for each takes longer than to look at each byte. */
const FAR_BYTES = 32;
/** So many bytes are looked at before the next search: behind them, quotes may stand far from each other. */
const WALKED_BYTES = 1_024;
/** Which double is nearest to more than 19 digits takes the engine 0.3 µs to find out, and more the longer they are. */
const LONG_NUMBER_BYTES = 20;
const LONG_NUMBER_UNITS = 5;
const LONG_A_UNIT = 10;

/** Units of work for the bytes of JSON; some number above `max` if it would be more than that. */
export function workOfReading(bytes: Uint8Array, max: number): number {
  const shapes = new Shapes(bytes);
  let digits: Digits | null = null;
  /** The shapes of the objects around the present one. */
  const around: number[] = [];
  let shape = 0;
  let work = bytes.length / BYTES_A_UNIT;
  /** Behind the last byte that is of no number and no word. */
  let from = 0;
  for (let at = 0; at < bytes.length && work <= max; at += 1) {
    const byte = bytes[at] ?? 0;
    if (IS_BETWEEN[byte] === 0) continue;
    if (at - from >= LONG_NUMBER_BYTES) work += LONG_NUMBER_UNITS + (at - from) / LONG_A_UNIT;
    if (byte === COMMA) work += COMMA_UNITS;
    else if (byte === QUOTE) {
      const end = endOfString(bytes, at);
      const hasEscapes = end < 0;
      const to = hasEscapes ? -end : end;
      if (hasEscapes) work += ESCAPES_UNITS + (to - at) / ESCAPED_A_UNIT;
      if (bytes[to + 1] === COLON) {
        shape = shapes.after(shape, at, to);
        work += shapes.isNew ? NEW_UNITS : KNOWN_UNITS;
        at = to + 1;
      } else {
        work += STRING_UNITS;
        const index = hasEscapes ? -1 : indexIn(bytes, at + 1, to);
        if (index >= 0) {
          digits ??= new Digits();
          work += (digits.meet(index) * ALIKE_US) / UNIT_US;
        }
        at = to;
      }
    } else if (byte === OPEN_LIST) work += OPEN_UNITS;
    else if (byte === OPEN_OBJECT) {
      work += OPEN_UNITS;
      around.push(shape);
      shape = 0;
    } else if (byte === CLOSE_OBJECT) shape = around.pop() ?? 0;
    // A name with a space behind it is not looked up.
    else if (byte === COLON) work += NEW_UNITS;
    from = at + 1;
  }
  return work;
}

/** The index of a list that the text between these places is; less than 0: it is none. */
function indexIn(bytes: Uint8Array, from: number, to: number): number {
  if (to - from > INDEX_CHARS_MAX || to <= from) return -1;
  let number = 0;
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < ZERO || byte > NINE || (byte === ZERO && at === from && to - from > 1)) return -1;
    number = number * 10 + byte - ZERO;
  }
  return number <= INDEX_MAX ? number : -1;
}

/** Where the string that begins at `from` ends; less than 0, and that place negated, if there are escapes in it. */
function endOfString(bytes: Uint8Array, from: number): number {
  const near = Math.min(bytes.length, from + NEAR_BYTES);
  let at = from + 1;
  for (; at < near; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH) break;
  }
  const end = indexOf(bytes, QUOTE, at);
  if (indexOf(bytes.subarray(at, end), BACKSLASH, 0) === end - at) return end;
  return -endOfEscaped(bytes, at, end);
}

/**
 * Where a string ends that has escapes from `from` on; its first quote stands at `first`. The engine's own search is compiled already,
 * which counts in a first check.
 */
function endOfEscaped(bytes: Uint8Array, from: number, first: number): number {
  let at = from;
  let quote = first;
  while (quote < bytes.length && isEscaped(bytes, quote)) {
    const isFar = quote - at >= FAR_BYTES;
    at = quote + 1;
    const to = isFar ? at : Math.min(bytes.length, at + WALKED_BYTES);
    for (; at < to; at += 1) {
      if (bytes[at] === QUOTE) return at;
      if (bytes[at] === BACKSLASH) at += 1;
    }
    quote = indexOf(bytes, QUOTE, at);
  }
  return quote;
}

/** Whether an odd number of backslashes stands before a quote: each two of them are one backslash of the text. */
function isEscaped(bytes: Uint8Array, quote: number): boolean {
  let at = quote;
  while (bytes[at - 1] === BACKSLASH) at -= 1;
  return (quote - at) % 2 === 1;
}

function indexOf(bytes: Uint8Array, byte: number, from: number): number {
  const at = bytes.indexOf(byte, from);
  return at < 0 ? bytes.length : at;
}

/** A shape that finds its place taken by another is new each time it comes. */
const PLACES = 2_048;

/** Which objects have the same names in the same order. A shape is an object up to one of its names; 0: one without any. */
class Shapes {
  /** Of the shape that was asked for last. */
  isNew = false;
  readonly #bytes: Uint8Array;
  /** By its place: the shape's number, the one before its last name, and where that name begins and ends. */
  readonly #number = new Int32Array(PLACES);
  readonly #before = new Int32Array(PLACES);
  readonly #from = new Int32Array(PLACES);
  readonly #to = new Int32Array(PLACES);
  #count = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  after(shape: number, from: number, to: number): number {
    const bytes = this.#bytes;
    const place = (shape * 37 + (to - from) * 7 + (bytes[from + 1] ?? 0) * 3 + (bytes[to - 1] ?? 0)) % PLACES;
    const number = this.#number[place] ?? 0;
    this.isNew = number === 0 || this.#before[place] !== shape || !this.#isName(place, from, to);
    if (!this.isNew) return number;
    this.#count += 1;
    this.#number[place] = this.#count;
    this.#before[place] = shape;
    this.#from[place] = from;
    this.#to[place] = to;
    return this.#count;
  }

  #isName(place: number, from: number, to: number): boolean {
    const bytes = this.#bytes;
    const other = this.#from[place] ?? 0;
    if ((this.#to[place] ?? 0) - other !== to - from) return false;
    for (let at = 1; at < to - from; at += 1) if (bytes[from + at] !== bytes[other + at]) return false;
    return true;
  }
}
