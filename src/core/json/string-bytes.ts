// The texts of a JSON string, or of a list of them, as one run of bytes: unescaped as they come by, in pieces of any size.

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const LETTER_U = 0x75;
/** The bytes of U+FFFD, which stands for half a surrogate pair: UTF-8 has none. */
const REPLACEMENT = [0xef, 0xbf, 0xbd];
const SIMPLE_ESCAPES: Readonly<Record<number, number>> = { 98: 0x08, 102: 0x0c, 110: 0x0a, 114: 0x0d, 116: 0x09 };
/** Between strings: white space, a comma, the list's end. */
const SEPARATORS = new Set([0x20, 0x09, 0x0a, 0x0d, 0x2c, 0x5d]);
/** What the state of earlier pieces may add to the text of a piece: half a pair that stays alone, and one character. */
const CARRIED_MAX_BYTES = 8;

/** Reads valid JSON; what is no string, or a list's string, ends the reading. */
export class JsonStringBytes {
  #state: "start" | "outside" | "inside" | "escape" | "hex" = "start";
  #hex = 0;
  #hexLeft = 0;
  #highHalf = 0;
  #isOver = false;
  #out = new Uint8Array(0);
  #length = 0;

  /** The text within these bytes, in an array of its own; empty once another kind of value has come. */
  push(bytes: Uint8Array): Uint8Array {
    this.#out = new Uint8Array(this.#isOver ? 0 : bytes.length + CARRIED_MAX_BYTES);
    this.#length = 0;
    for (let at = 0; at < bytes.length && !this.#isOver; at += 1) {
      const byte = bytes[at] ?? 0;
      if (this.#state !== "inside") this.#takeMark(byte);
      else if (byte === BACKSLASH) this.#state = "escape";
      else {
        if (this.#highHalf !== 0) this.#endPair();
        if (byte === QUOTE) this.#state = "outside";
        else this.#out[this.#length++] = byte;
      }
    }
    return this.#out.subarray(0, this.#length);
  }

  /** A byte that is no plain text of a string. */
  #takeMark(byte: number): void {
    if (this.#state === "escape") this.#takeEscape(byte);
    else if (this.#state === "hex") this.#takeHex(byte);
    else if (byte === QUOTE) this.#state = "inside";
    else if (byte === OPEN_LIST && this.#state === "start") this.#state = "outside";
    else if (!SEPARATORS.has(byte)) this.#isOver = true;
  }

  #takeEscape(byte: number): void {
    this.#state = byte === LETTER_U ? "hex" : "inside";
    this.#hex = 0;
    this.#hexLeft = 4;
    if (byte === LETTER_U) return;
    if (this.#highHalf !== 0) this.#endPair();
    this.#out[this.#length++] = SIMPLE_ESCAPES[byte] ?? byte;
  }

  #takeHex(byte: number): void {
    this.#hex = this.#hex * 16 + Number.parseInt(String.fromCharCode(byte), 16);
    this.#hexLeft -= 1;
    if (this.#hexLeft > 0) return;
    this.#state = "inside";
    const unit = this.#hex;
    if (unit >= 0xdc00 && unit <= 0xdfff && this.#highHalf !== 0) {
      this.#write(0x10000 + (this.#highHalf - 0xd800) * 0x400 + (unit - 0xdc00));
      this.#highHalf = 0;
      return;
    }
    if (this.#highHalf !== 0) this.#endPair();
    if (unit >= 0xd800 && unit <= 0xdbff) this.#highHalf = unit;
    else this.#write(unit);
  }

  /** The other half of a pair did not come. */
  #endPair(): void {
    this.#highHalf = 0;
    this.#append(REPLACEMENT);
  }

  #write(codePoint: number): void {
    if (codePoint < 0x80) this.#append([codePoint]);
    else if (codePoint < 0x800) this.#append([0xc0 | (codePoint >> 6), last(codePoint)]);
    else if (codePoint >= 0xdc00 && codePoint <= 0xdfff) this.#append(REPLACEMENT);
    else if (codePoint < 0x10000) this.#append([0xe0 | (codePoint >> 12), last(codePoint >> 6), last(codePoint)]);
    else this.#append([0xf0 | (codePoint >> 18), last(codePoint >> 12), last(codePoint >> 6), last(codePoint)]);
  }

  #append(bytes: readonly number[]): void {
    this.#out.set(bytes, this.#length);
    this.#length += bytes.length;
  }
}

/** A byte of UTF-8 that is not the first of its character. */
function last(bits: number): number {
  return 0x80 | (bits & 0x3f);
}
