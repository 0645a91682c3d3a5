// Base64 by the runtime's own functions, of bytes that come in pieces: what is not a whole group of three waits for the next piece.
// Node has these functions only behind a flag, so code that the command line runs too cannot use them.
import { concatBytes } from "../core/bytes/concat.ts";

/** Three bytes are four characters: pieces of other lengths would have padding in the middle. */
const GROUP_BYTES = 3;

/** Encodes one run of bytes. */
export class Base64Encoder {
  #rest: Uint8Array = new Uint8Array(0);

  /** The text of all whole groups so far that was not given yet. */
  push(bytes: Uint8Array): string {
    const all = this.#rest.length === 0 ? bytes : concatBytes([this.#rest, bytes]);
    const wholeBytes = all.length - (all.length % GROUP_BYTES);
    this.#rest = all.slice(wholeBytes);
    return all.subarray(0, wholeBytes).toBase64();
  }

  /** The last group with its padding. */
  end(): string {
    return this.#rest.toBase64();
  }
}

/** The bytes of a base64 text; null for a text that is none. */
export function decodeBase64(text: string): Uint8Array | null {
  const paddingChars = /={0,2}$/.exec(text.slice(-2))?.[0].length ?? 0;
  try {
    const bytes = Uint8Array.fromBase64(text);
    // The runtime passes over white space, with which the text is longer than its bytes need.
    return bytes.length === Math.floor(((text.length - paddingChars) * 3) / 4) ? bytes : null;
  } catch {
    return null;
  }
}
