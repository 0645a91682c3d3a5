// Reads Python's repr of plain values. RunPod's SDK writes a handler's error by str(), so that a dict, and in it the
// status and message of an OpenAI error, arrives as a text like {'error': {'message': "it's wrong", 'param': None}}.

/** No error is nested deeper than this; a much deeper literal would use up the stack. */
const DEPTH_MAX = 64;

const SPACE = /[ \t\r\n]*/y;
const WORD = /[A-Za-z]+/y;
const NUMBER = /[+-]?(?:inf|nan|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])/y;
const PLAIN = { "'": /[^'\\\r\n]+/y, '"': /[^"\\\r\n]+/y } as const;
const ESCAPE = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([ntr\\'"]))/y;
const SIMPLE_ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };
const CODE_POINT_MAX = 0x10ffff;
/** JSON cannot express nan and inf, so they become null as in JSON.stringify. */
const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["True", true],
  ["False", false],
  ["None", null],
  ["nan", null],
  ["inf", null],
]);

/** Thrown within this file when the text is not a literal; callers outside get undefined instead. */
class NotALiteral extends Error {}

/**
 * The value of one literal: dict (keys as strings), list, tuple (as a list), str, int, float, bool, None. Undefined when the
 * text is anything else, holds more than one value, or is nested deeper than 64. Never throws; linear in the text's length.
 */
export function parsePythonLiteral(text: string): unknown {
  try {
    return new Reader(text).readAll();
  } catch (error) {
    if (error instanceof NotALiteral) return undefined;
    throw error;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  readAll(): unknown {
    const value = this.#readValue();
    if (this.#at < this.#text.length) throw new NotALiteral();
    return value;
  }

  /** One value with the white space around it. */
  #readValue(): unknown {
    this.#take(SPACE);
    const value = this.#readBare();
    this.#take(SPACE);
    return value;
  }

  #readBare(): unknown {
    const char = this.#text[this.#at];
    if (char === "'" || char === '"') return this.#readString(char);
    if (char === "{") return this.#nested(() => this.#readDict());
    if (char === "[") return this.#nested(() => this.#readItems("]"));
    if (char === "(") return this.#nested(() => this.#readItems(")"));
    const number = this.#take(NUMBER);
    if (number !== null) return toNumber(number[0]);
    const word = this.#take(WORD)?.[0] ?? "";
    if (!WORDS.has(word)) throw new NotALiteral();
    return WORDS.get(word);
  }

  #nested<T>(read: () => T): T {
    if (this.#depth === DEPTH_MAX) throw new NotALiteral();
    this.#depth += 1;
    this.#at += 1;
    const value = read();
    this.#depth -= 1;
    return value;
  }

  /** `fromEntries` makes each key an own property, even `__proto__`. */
  #readDict(): unknown {
    const entries: [string, unknown][] = [];
    while (!this.#closes("}")) {
      const key = this.#readValue();
      if (typeof key === "object" && key !== null) throw new NotALiteral();
      this.#expect(":");
      entries.push([String(key), this.#readValue()]);
      if (this.#text[this.#at] !== "}") this.#expect(",");
    }
    return Object.fromEntries(entries);
  }

  #readItems(end: "]" | ")"): unknown[] {
    const items: unknown[] = [];
    while (!this.#closes(end)) {
      items.push(this.#readValue());
      if (this.#text[this.#at] === end && end === "]") continue;
      // repr writes a tuple with one item as (1,): parentheses around an item without a comma are not a tuple.
      if (this.#text[this.#at] !== end || items.length === 1) this.#expect(",");
    }
    return items;
  }

  #readString(quote: "'" | '"'): string {
    this.#at += 1;
    const parts: string[] = [];
    while (this.#text[this.#at] !== quote) {
      const plain = this.#take(PLAIN[quote]);
      parts.push(plain === null ? this.#readEscape() : plain[0]);
    }
    this.#at += 1;
    return parts.join("");
  }

  #readEscape(): string {
    const match = this.#take(ESCAPE);
    if (match === null) throw new NotALiteral();
    const [, byte, short, long, simple] = match;
    if (simple !== undefined) return SIMPLE_ESCAPES[simple] ?? simple;
    const codePoint = Number.parseInt(byte ?? short ?? long ?? "", 16);
    if (codePoint > CODE_POINT_MAX) throw new NotALiteral();
    return String.fromCodePoint(codePoint);
  }

  #closes(end: string): boolean {
    this.#take(SPACE);
    if (this.#text[this.#at] !== end) return false;
    this.#at += 1;
    return true;
  }

  #expect(mark: string): void {
    if (this.#text[this.#at] !== mark) throw new NotALiteral();
    this.#at += 1;
  }

  /** Matches the sticky pattern at the present place and moves behind the match; null: it does not match. */
  #take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at = pattern.lastIndex;
    return match;
  }
}

function toNumber(text: string): number | null {
  const number = Number(text);
  return Number.isFinite(number) ? number : null;
}
