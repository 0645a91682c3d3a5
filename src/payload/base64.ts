// Base64 by the runtime's own functions, of bytes that come in pieces: bytes behind the last whole group of three wait
// for the next piece. Node has these functions only behind a flag, so code that the command line runs cannot use them.
import { concatBytes } from "../core/bytes/concat.ts";

/** Three bytes make four characters; a piece of another length would put padding in the middle of the text. */
const GROUP_BYTES = 3;

/** Encodes one run of bytes. */
export class Base64Encoder {
  #rest: Uint8Array = new Uint8Array(0);

  /** Returns the text of all whole groups that it has not returned before. */
  push(bytes: Uint8Array): string {
    const all = this.#rest.length === 0 ? bytes : concatBytes([this.#rest, bytes]);
    const wholeBytes = all.length - (all.length % GROUP_BYTES);
    this.#rest = all.slice(wholeBytes);
    return all.subarray(0, wholeBytes).toBase64();
  }

  /** Returns the last group with its padding. */
  end(): string {
    return this.#rest.toBase64();
  }
}

/** The bytes of a base64 text; null if the text is not base64. */
export function decodeBase64(text: string): Uint8Array | null {
  const paddingChars = /={0,2}$/.exec(text.slice(-2))?.[0].length ?? 0;
  try {
    const bytes = Uint8Array.fromBase64(text);
    // The runtime ignores white space, and a text that contains some is longer than its bytes need.
    return bytes.length === Math.floor(((text.length - paddingChars) * 3) / 4) ? bytes : null;
  } catch {
    return null;
  }
}
