// Turns a JSON string, or a list of strings, into the bytes of their texts, one after the other, in pieces of any size.
import { isEscaped, isSpace, skipString } from "./text.ts";
import { parseJson } from "./value.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
/** An unfinished escape at the end of a piece. */
const CUT_ESCAPE = /\\(?:u[\da-f]{0,3})?$/i;
const CUT_ESCAPE_MAX_CHARS = 5;
/** The first half of a surrogate pair, of which the second half may be in the next piece. */
const HALF_PAIR = /[\ud800-\udbff]$/;
const NOTHING = new Uint8Array(0);

/** Reads valid JSON. A value that is neither a string nor a list's string ends the reading. */
export class JsonStringBytes {
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  readonly #encoder = new TextEncoder();
  #isAtStart = true;
  #isOver = false;
  /** What is put before the next piece: for an unfinished string its quote, and the escape that was cut. */
  #begun = "";
  /** The first half of a surrogate pair at the end of the unfinished string's text so far. */
  #half = "";

  /** The text within these bytes, in an array of its own; empty once another kind of value has come. */
  push(bytes: Uint8Array): Uint8Array {
    if (this.#isOver) return NOTHING;
    const json = this.#begun + this.#decoder.decode(bytes, { stream: true });
    this.#begun = "";
    let text = "";
    let at = 0;
    while (at < json.length && !this.#isOver) {
      const char = json.charCodeAt(at);
      const end = char === QUOTE ? skipString(json, at) : at + 1;
      if (char !== QUOTE) this.#passMark(char);
      else if (end <= json.length) text += this.#readEnd(json.slice(at, end));
      else text += this.#readBeginning(json.slice(at));
      at = end;
    }
    return this.#encoder.encode(text);
  }

  #passMark(char: number): void {
    if (isSpace(char)) return;
    const isOpening = char === OPEN_LIST && this.#isAtStart;
    this.#isOver = !isOpening && char !== COMMA && char !== CLOSE_LIST;
    this.#isAtStart = false;
  }

  /** The text of a string, or of the rest of one that began in an earlier piece, up to its end. */
  #readEnd(raw: string): string {
    const text = this.#half + this.#unescape(raw);
    this.#half = "";
    // A half pair at a string's end is not completed by a half pair at the start of the next string.
    return text.toWellFormed();
  }

  /** The text of a string without its end: a cut escape or half pair waits for the next piece. */
  #readBeginning(raw: string): string {
    const tail = CUT_ESCAPE.exec(raw.slice(-CUT_ESCAPE_MAX_CHARS))?.[0] ?? "";
    const cut = isEscaped(raw, raw.length - tail.length) ? "" : tail;
    const text = this.#half + this.#unescape(`${raw.slice(0, raw.length - cut.length)}"`);
    this.#begun = `"${cut}`;
    this.#half = HALF_PAIR.exec(text)?.[0] ?? "";
    return text.slice(0, text.length - this.#half.length).toWellFormed();
  }

  /** The text of a JSON string with its quotes. */
  #unescape(raw: string): string {
    if (!raw.includes("\\")) return raw.slice(1, -1);
    const text = parseJson(raw);
    this.#isOver ||= typeof text !== "string";
    return typeof text === "string" ? text : "";
  }
}
