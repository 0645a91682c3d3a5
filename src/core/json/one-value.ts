// Is a text that comes in pieces one whole object or list? By its brackets alone, because it may be too large to be held
// and is not parsed.

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** The bit by which a brace differs from a square bracket. */
const BRACE = 0x20;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

export class OneValue {
  #depth = 0;
  #values = 0;
  #isInString = false;
  #isEscaped = false;

  push(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (this.#isInString) {
        if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) this.#isInString = false;
      } else if (byte === QUOTE) this.#isInString = true;
      else if ((byte | BRACE) === OPEN_BRACE) this.#depth += 1;
      else if ((byte | BRACE) === CLOSE_BRACE) this.#close();
    }
  }

  /** False where brackets are open, where there is none, and behind a second value. */
  get isWhole(): boolean {
    return this.#values === 1 && this.#depth === 0 && !this.#isInString;
  }

  #close(): void {
    this.#depth -= 1;
    if (this.#depth === 0) this.#values += 1;
  }
}
