// The grammar of RFC 8259 over chunks of bytes: strict numbers, escapes and UTF-8, bounded depth, nothing buffered. Its
// methods are called where keys and values of one depth, or NaN and the infinities, begin and end; a subclass is never
// given a byte as checked that was not.
import { JSON_DEPTH_MAX } from "../limits.ts";
import { isSpace } from "./text.ts";

/** Why a document was refused. `offset` counts bytes from the start of the document; `message` is one plain sentence. */
export interface JsonScanError {
  readonly code: "syntax" | "too_deep" | "not_object" | "duplicate_field" | "fields_too_large";
  readonly offset: number;
  readonly message: string;
}

// States: what may come next. A chunk may end within a string, number or literal, so each of these is a state, too.
const VALUE = 0;
const VALUE_OR_END = 1;
const KEY = 2;
const KEY_OR_END = 3;
const COLON = 4;
const COMMA_OR_END = 5;
const DONE = 6;
const STRING = 7;
const NUMBER = 8;
const LITERAL = 9;
const START = 10;

/** RFC 8259 (8.1) lets a reader skip a byte order mark at the start of a text; senders on Windows write one. */
const BYTE_ORDER_MARK = Uint8Array.of(0xef, 0xbb, 0xbf);

const OBJECT = 0;
const ARRAY = 1;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;

/** 1 for the bytes that a string may contain and that need no further check. */
const PLAIN = new Uint8Array(256);
for (let byte = 0x20; byte < 0x80; byte++) PLAIN[byte] = byte === QUOTE || byte === BACKSLASH ? 0 : 1;

/** 1 for the bytes that are a whole escape together with the backslash before them. */
const SIMPLE_ESCAPE = new Uint8Array(256);
for (const char of '"\\/bfnrt') SIMPLE_ESCAPE[char.charCodeAt(0)] = 1;

// Numbers are a table: state × kind of byte → state. STOP ends the number, which is valid only in an accepting state.
const NUMBER_KINDS = 7;
const STOP = 255;
const NUMBER_KIND = new Uint8Array(256);
for (let byte = 0x31; byte <= 0x39; byte++) NUMBER_KIND[byte] = 2;
for (const [char, kind] of Object.entries({ "0": 1, ".": 3, e: 4, E: 4, "+": 5, "-": 6 })) {
  NUMBER_KIND[char.charCodeAt(0)] = kind;
}
const AFTER_MINUS = 0;
const AFTER_ZERO = 1;
const IN_INTEGER = 2;
const NUMBER_NEXT = Uint8Array.from([
  // other, 0, 1-9, ".", "e", "+", "-"
  ...[STOP, 1, 2, STOP, STOP, STOP, STOP], // 0: after the minus
  ...[STOP, STOP, STOP, 3, 5, STOP, STOP], // 1: after a leading zero
  ...[STOP, 2, 2, 3, 5, STOP, STOP], // 2: in the integer
  ...[STOP, 4, 4, STOP, STOP, STOP, STOP], // 3: after the point
  ...[STOP, 4, 4, STOP, 5, STOP, STOP], // 4: in the fraction
  ...[STOP, 7, 7, STOP, STOP, 6, 6], // 5: after the e
  ...[STOP, 7, 7, STOP, STOP, STOP, STOP], // 6: after the sign of the exponent
  ...[STOP, 7, 7, STOP, STOP, STOP, STOP], // 7: in the exponent
]);
const NUMBER_ACCEPTS = Uint8Array.from([0, 1, 1, 0, 1, 0, 0, 1]);

/** The engine keeps such a small array beside the scanner: one of JSON_DEPTH_MAX costs more than most documents. */
const USUAL_DEPTH = 64;

/** Checks one document given in chunks. `markDepth`: the depth of the keys and values that are reported. */
export abstract class JsonGrammar {
  #state = START;
  #depth = 0;
  #containers: Uint8Array = new Uint8Array(USUAL_DEPTH);
  #stringIsKey = false;
  #escaped = false;
  #hexLeft = 0;
  #utf8Left = 0;
  #utf8Low = 0x80;
  #utf8High = 0xbf;
  #numberState = AFTER_MINUS;
  #literal = "";
  #literalAt = 0;
  /** The first error; nothing is read after it. */
  protected failure: JsonScanError | null = null;
  /** The place behind the document's value, in bytes from the document's start; null while the value has not ended. */
  endsAt: number | null = null;
  /** How many bytes of the document so far are its byte order mark, which is no part of its value. */
  markBytes = 0;
  #seenBytes = 0;
  readonly #markDepth: 0 | 1;
  readonly #lenientNumbers: boolean;

  constructor(markDepth: 0 | 1, lenientNumbers: boolean) {
    this.#markDepth = markDepth;
    this.#lenientNumbers = lenientNumbers;
  }

  /** A key or a value of the marked depth begins or ends at this index of the chunk that is being checked. */
  protected abstract keyStarts(at: number): void;
  protected abstract keyEnds(at: number): void;
  protected abstract valueStarts(at: number): void;
  protected abstract valueEnds(at: number): void;
  /** NaN, Infinity or -Infinity begins or ends, at any depth; -1: its minus was the last byte of the chunk before. */
  protected abstract wordStarts(at: number): void;
  protected abstract wordEnds(at: number): void;

  /** Checks the next chunk. After the first error every later call returns the same error. */
  protected check(chunk: Uint8Array): JsonScanError | null {
    let at = 0;
    if (this.failure === null) {
      // The chunk before may have ended within one of these.
      if (this.#state === STRING) at = this.#readString(chunk, 0);
      else if (this.#state === NUMBER) at = this.#readNumber(chunk, 0);
      else if (this.#state === LITERAL) at = this.#readLiteral(chunk, 0);
      else if (this.#state === START) at = this.#readByteOrderMark(chunk);
    }
    while (at < chunk.length && this.failure === null) {
      const byte = chunk[at] ?? 0;
      at = isSpace(byte) ? at + 1 : this.#readMark(chunk, byte, at);
    }
    this.#seenBytes += chunk.length;
    return this.failure;
  }

  /** Checks that the document is complete; no chunk follows. */
  protected checkEnd(): JsonScanError | null {
    if (this.failure !== null) return this.failure;
    if (this.#state === NUMBER && this.#depth === 0 && NUMBER_ACCEPTS[this.#numberState] === 1) this.#endValue(0);
    if (this.#state !== DONE) this.refuse(0, "syntax", "unexpected end");
    return this.failure;
  }

  /** Whether the present value has begun with a minus that may belong to -Infinity. */
  protected get mayBeWord(): boolean {
    return this.#lenientNumbers && this.#state === NUMBER && this.#numberState === AFTER_MINUS;
  }

  /** Ends the scan with an error at an index of the present chunk. */
  protected refuse(at: number, code: JsonScanError["code"], what: string): number {
    const offset = this.#seenBytes + at;
    const subject = code === "not_object" ? "the body must be a JSON object" : "the body is not valid JSON";
    this.failure ??= { code, offset, message: `${subject}: ${what} at byte ${offset}` };
    return at;
  }

  #unexpected(at: number): number {
    return this.refuse(at, "syntax", this.#state === DONE ? "more than one value" : "unexpected character");
  }

  #readByteOrderMark(chunk: Uint8Array): number {
    let at = 0;
    while (at < chunk.length && this.markBytes < BYTE_ORDER_MARK.length) {
      if (chunk[at] !== BYTE_ORDER_MARK[this.markBytes]) {
        if (this.markBytes > 0) return this.#unexpected(at);
        break;
      }
      this.markBytes++;
      at++;
    }
    if (at < chunk.length || this.markBytes === BYTE_ORDER_MARK.length) this.#state = VALUE;
    return at;
  }

  /** One byte that is neither white space nor inside a string, number or literal. */
  #readMark(chunk: Uint8Array, byte: number, at: number): number {
    switch (this.#state) {
      case VALUE:
        return this.#beginValue(chunk, byte, at);
      case VALUE_OR_END:
        return byte === 0x5d ? this.#close(ARRAY, at) : this.#beginValue(chunk, byte, at);
      case KEY:
        return byte === QUOTE ? this.#beginString(chunk, true, at) : this.#unexpected(at);
      case KEY_OR_END:
        if (byte === QUOTE) return this.#beginString(chunk, true, at);
        return byte === 0x7d ? this.#close(OBJECT, at) : this.#unexpected(at);
      case COLON:
        if (byte !== 0x3a) return this.#unexpected(at);
        this.#state = VALUE;
        return at + 1;
      case COMMA_OR_END:
        if (byte === 0x7d) return this.#close(OBJECT, at);
        if (byte === 0x5d) return this.#close(ARRAY, at);
        if (byte !== 0x2c) return this.#unexpected(at);
        this.#state = this.#containers[this.#depth - 1] === OBJECT ? KEY : VALUE;
        return at + 1;
      default:
        return this.#unexpected(at);
    }
  }

  #beginValue(chunk: Uint8Array, byte: number, at: number): number {
    if (this.#markDepth === 1 && this.#depth === 0 && byte !== 0x7b) {
      const begins =
        byte !== 0xef &&
        (byte === QUOTE || byte === 0x5b || byte === MINUS || /[0-9tfn]/.test(String.fromCharCode(byte)));
      return begins ? this.refuse(at, "not_object", "another kind of value") : this.#unexpected(at);
    }
    if (byte === QUOTE) return this.#beginString(chunk, false, at);
    if (byte === 0x7b) return this.#open(OBJECT, at);
    if (byte === 0x5b) return this.#open(ARRAY, at);
    if (byte === MINUS || (byte >= 0x30 && byte <= 0x39)) return this.#beginNumber(chunk, byte, at);
    if (byte === 0x74) return this.#beginLiteral(chunk, "true", at);
    if (byte === 0x66) return this.#beginLiteral(chunk, "false", at);
    if (byte === 0x6e) return this.#beginLiteral(chunk, "null", at);
    if (this.#lenientNumbers && byte === 0x4e) return this.#beginLiteral(chunk, "NaN", at);
    if (this.#lenientNumbers && byte === 0x49) return this.#beginLiteral(chunk, "Infinity", at);
    return this.#unexpected(at);
  }

  #open(container: number, at: number): number {
    if (this.#depth === JSON_DEPTH_MAX) return this.refuse(at, "too_deep", `nested deeper than ${JSON_DEPTH_MAX}`);
    if (this.#depth === this.#markDepth) this.valueStarts(at);
    if (this.#depth === this.#containers.length) this.#containers = widened(this.#containers);
    this.#containers[this.#depth++] = container;
    this.#state = container === OBJECT ? KEY_OR_END : VALUE_OR_END;
    return at + 1;
  }

  #close(container: number, at: number): number {
    if (this.#containers[this.#depth - 1] !== container) return this.#unexpected(at);
    this.#depth--;
    this.#endValue(at + 1);
    return at + 1;
  }

  #endValue(at: number): void {
    this.#state = this.#depth === 0 ? DONE : COMMA_OR_END;
    if (this.#depth === 0) this.endsAt = this.#seenBytes + at;
    if (this.#depth === this.#markDepth) this.valueEnds(at);
  }

  #beginString(chunk: Uint8Array, isKey: boolean, at: number): number {
    this.#stringIsKey = isKey;
    this.#state = STRING;
    if (this.#depth === this.#markDepth) {
      if (isKey) this.keyStarts(at);
      else this.valueStarts(at);
    }
    return this.#readString(chunk, at + 1);
  }

  #readString(chunk: Uint8Array, from: number): number {
    const end = chunk.length;
    let at = from;
    if (this.#escaped) at = this.#readEscape(chunk, at);
    else if (this.#utf8Left > 0) at = this.#readContinuation(chunk, at);
    while (at < end && this.failure === null) {
      while (at < end && PLAIN[chunk[at] ?? 0] === 1) at++;
      if (at === end) return at;
      const byte = chunk[at] ?? 0;
      if (byte === QUOTE) return this.#endString(at + 1);
      if (byte === BACKSLASH) {
        this.#escaped = true;
        at = this.#readEscape(chunk, at + 1);
      } else if (byte < 0x20) return this.refuse(at, "syntax", "control character in a string");
      else if (!this.#beginSequence(byte)) return this.refuse(at, "syntax", "invalid UTF-8");
      else at = this.#readContinuation(chunk, at + 1);
    }
    return at;
  }

  #endString(at: number): number {
    if (!this.#stringIsKey) this.#endValue(at);
    else {
      this.#state = COLON;
      if (this.#depth === this.#markDepth) this.keyEnds(at);
    }
    return at;
  }

  #readEscape(chunk: Uint8Array, from: number): number {
    let at = from;
    if (at === chunk.length) return at;
    if (this.#hexLeft === 0) {
      const byte = chunk[at] ?? 0;
      if (byte === 0x75) this.#hexLeft = 4;
      else if (SIMPLE_ESCAPE[byte] === 1) this.#escaped = false;
      else return this.refuse(at, "syntax", "invalid escape");
      at++;
    }
    while (this.#hexLeft > 0 && at < chunk.length) {
      const byte = chunk[at] ?? 0;
      const isHex = (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);
      if (!isHex) return this.refuse(at, "syntax", "invalid escape");
      at++;
      if (--this.#hexLeft === 0) this.#escaped = false;
    }
    return at;
  }

  /** A UTF-8 sequence's first byte limits its second, to refuse overlong forms, surrogates and all over U+10FFFF. */
  #beginSequence(byte: number): boolean {
    if (byte < 0xc2 || byte > 0xf4) return false;
    this.#utf8Left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    this.#utf8Low = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80;
    this.#utf8High = byte === 0xed ? 0x9f : byte === 0xf4 ? 0x8f : 0xbf;
    return true;
  }

  #readContinuation(chunk: Uint8Array, from: number): number {
    let at = from;
    while (this.#utf8Left > 0 && at < chunk.length) {
      const byte = chunk[at] ?? 0;
      if (byte < this.#utf8Low || byte > this.#utf8High) return this.refuse(at, "syntax", "invalid UTF-8");
      this.#utf8Low = 0x80;
      this.#utf8High = 0xbf;
      this.#utf8Left--;
      at++;
    }
    return at;
  }

  #beginNumber(chunk: Uint8Array, byte: number, at: number): number {
    if (this.#depth === this.#markDepth) this.valueStarts(at);
    this.#state = NUMBER;
    this.#numberState = byte === MINUS ? AFTER_MINUS : byte === 0x30 ? AFTER_ZERO : IN_INTEGER;
    return this.#readNumber(chunk, at + 1);
  }

  #readNumber(chunk: Uint8Array, from: number): number {
    let state = this.#numberState;
    let at = from;
    while (at < chunk.length) {
      const byte = chunk[at] ?? 0;
      const next = NUMBER_NEXT[state * NUMBER_KINDS + (NUMBER_KIND[byte] ?? 0)] ?? STOP;
      if (next === STOP) return this.#endNumber(chunk, state, byte, at);
      state = next;
      at++;
    }
    this.#numberState = state;
    return at;
  }

  #endNumber(chunk: Uint8Array, state: number, byte: number, at: number): number {
    if (state === AFTER_MINUS && byte === 0x49 && this.#lenientNumbers) {
      this.wordStarts(at - 1);
      return this.#continueLiteral(chunk, "Infinity", at);
    }
    if (NUMBER_ACCEPTS[state] !== 1) return this.#unexpected(at);
    this.#endValue(at);
    return at;
  }

  #beginLiteral(chunk: Uint8Array, literal: string, at: number): number {
    if (this.#depth === this.#markDepth) this.valueStarts(at);
    if (!isJson(literal)) this.wordStarts(at);
    return this.#continueLiteral(chunk, literal, at);
  }

  #continueLiteral(chunk: Uint8Array, literal: string, at: number): number {
    this.#state = LITERAL;
    this.#literal = literal;
    this.#literalAt = 1;
    return this.#readLiteral(chunk, at + 1);
  }

  #readLiteral(chunk: Uint8Array, from: number): number {
    let at = from;
    while (at < chunk.length) {
      if (chunk[at] !== this.#literal.charCodeAt(this.#literalAt)) return this.#unexpected(at);
      at++;
      if (++this.#literalAt === this.#literal.length) {
        if (!isJson(this.#literal)) this.wordEnds(at);
        this.#endValue(at);
        return at;
      }
    }
    return at;
  }
}

/** The literals that JSON does not have (NaN and the infinities) begin with a capital letter. */
function isJson(literal: string): boolean {
  return literal.charCodeAt(0) >= 0x61;
}

function widened(containers: Uint8Array): Uint8Array {
  const all = new Uint8Array(JSON_DEPTH_MAX);
  all.set(containers);
  return all;
}
