// Cuts a chunk that is too large for the log of its job into several. The pieces of a JSON string are shorter strings;
// any other value is cut into strings with pieces of its JSON text. Joined, they are the whole text.
import type { Frame, ValuePart } from "./chunk-frames.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
/** `\uXXXX` */
const ESCAPE_BYTES = 6;
/** The bytes that must be escaped in a JSON string, with their escapes. Bytes of other characters stand for themselves. */
const ESCAPES: readonly (Uint8Array | undefined)[] = Array.from({ length: BACKSLASH + 1 }, (_, byte) => {
  const escaped = JSON.stringify(String.fromCharCode(byte)).slice(1, -1);
  return escaped.length === 1 ? undefined : new TextEncoder().encode(escaped);
});

/** What a chunk becomes, once it is known to be too large. */
interface Pieces {
  readonly isOfJsonText: boolean;
  push(json: Uint8Array): Generator<Uint8Array, void>;
  end(): Uint8Array;
}

/**
 * Takes one chunk, which must be valid JSON without white space around it, in pieces of any size, and copies it. What
 * comes out is valid JSON of at most `maxBytes`, which must be 16 or more. A chunk of up to that size stays whole.
 */
export class ChunkCutter {
  readonly #maxBytes: number;
  #held: Uint8Array = new Uint8Array(0);
  #heldBytes = 0;
  #pieces: Pieces | null = null;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Every piece that these bytes complete; the last one comes from `end`. */
  *push(json: Uint8Array): Generator<Frame, void> {
    if (this.#pieces === null) {
      if (this.#heldBytes + json.length <= this.#maxBytes) return this.#hold(json);
      const held = this.#held.subarray(0, this.#heldBytes);
      this.#held = new Uint8Array(0);
      const isString = (held[0] ?? json[0]) === QUOTE;
      this.#pieces = isString ? new StringPieces(this.#maxBytes) : new TextPieces(this.#maxBytes);
      for (const bytes of this.#pieces.push(held)) yield this.#frameOf(bytes, "more");
    }
    for (const bytes of this.#pieces.push(json)) yield this.#frameOf(bytes, "more");
  }

  end(): Frame {
    return this.#frameOf(this.#pieces?.end() ?? this.#held.slice(0, this.#heldBytes), "last");
  }

  /** Pieces of a string, and a whole chunk, have no mark. */
  #frameOf(bytes: Uint8Array, part: ValuePart): Frame {
    return this.#pieces?.isOfJsonText === true ? { bytes, part } : { bytes };
  }

  /** Grows by doubling: a chunk may come in very many views, each of which would take more memory than its bytes. */
  #hold(json: Uint8Array): void {
    const wanted = this.#heldBytes + json.length;
    if (wanted > this.#held.length) {
      const grown = new Uint8Array(Math.min(Math.max(wanted, 2 * this.#held.length), this.#maxBytes));
      grown.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = grown;
    }
    this.#held.set(json, this.#heldBytes);
    this.#heldBytes = wanted;
  }
}

/** A string becomes shorter strings, whose characters are written as they were. */
class StringPieces implements Pieces {
  readonly isOfJsonText = false;
  readonly #piece: Uint8Array;
  #used = 0;

  constructor(maxBytes: number) {
    this.#piece = new Uint8Array(maxBytes);
  }

  *push(json: Uint8Array): Generator<Uint8Array, void> {
    for (let taken = 0; taken < json.length; ) {
      // What follows a full piece is not the closing quote alone, so that no piece is an empty string.
      if (this.#used === this.#piece.length) yield this.#cut();
      const fitting = json.subarray(taken, taken + this.#piece.length - this.#used);
      this.#piece.set(fitting, this.#used);
      this.#used += fitting.length;
      taken += fitting.length;
    }
  }

  end(): Uint8Array {
    return this.#piece.slice(0, this.#used);
  }

  #cut(): Uint8Array {
    const at = characterStart(this.#piece, this.#used - 1);
    const cut = this.#piece.slice(0, at + 1);
    cut[at] = QUOTE;
    this.#piece.copyWithin(1, at, this.#used);
    this.#used -= at - 1;
    return cut;
  }
}

/** The nearest place up to `at` where no character, escape, or pair of escaped surrogates is cut in two. */
function characterStart(json: Uint8Array, at: number): number {
  let start = at;
  while (isContinuation(json[start])) start -= 1;
  for (let back = 1; back < ESCAPE_BYTES; back += 1) {
    const isWithin = back === 1 || json[at - back + 1] === LETTER_U;
    if (isWithin && isEscape(json, at - back)) start = at - back;
  }
  return isEscape(json, start - ESCAPE_BYTES) && isHighSurrogate(json, start - ESCAPE_BYTES)
    ? start - ESCAPE_BYTES
    : start;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** Does an escape begin here? A backslash that follows an odd number of them is the second half of one. */
function isEscape(json: Uint8Array, at: number): boolean {
  let first = at;
  while (json[first] === BACKSLASH) first -= 1;
  return (at - first) % 2 === 1;
}

/** Is the escape that begins here `\uD800` to `\uDBFF`? */
function isHighSurrogate(json: Uint8Array, at: number): boolean {
  const text = String.fromCharCode(...json.subarray(at + 1, at + ESCAPE_BYTES - 2));
  return /^u[dD][89abAB]$/.test(text);
}

/** A value that is no string becomes strings with pieces of its JSON text. */
class TextPieces implements Pieces {
  readonly isOfJsonText = true;
  readonly #piece: Uint8Array;
  #used = 1;

  constructor(maxBytes: number) {
    this.#piece = new Uint8Array(maxBytes);
    this.#piece[0] = QUOTE;
  }

  *push(json: Uint8Array): Generator<Uint8Array, void> {
    for (const byte of json) {
      const escaped = ESCAPES[byte];
      const bytes = escaped === undefined ? 1 : escaped.length;
      // The last place is for the closing quote.
      if (this.#used + bytes >= this.#piece.length) yield this.#cut(byte);
      if (escaped === undefined) this.#piece[this.#used] = byte;
      else this.#piece.set(escaped, this.#used);
      this.#used += bytes;
    }
  }

  end(): Uint8Array {
    const last = this.#piece.slice(0, this.#used + 1);
    last[this.#used] = QUOTE;
    return last;
  }

  /** `next`: the byte that has no place any more; a character that it belongs to goes to the next piece as a whole. */
  #cut(next: number): Uint8Array {
    let at = this.#used;
    if (isContinuation(next))
      do at -= 1;
      while (isContinuation(this.#piece[at]));
    const cut = this.#piece.slice(0, at + 1);
    cut[at] = QUOTE;
    this.#piece.copyWithin(1, at, this.#used);
    this.#used -= at - 1;
    return cut;
  }
}
