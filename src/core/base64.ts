// Base64 of bytes that come in pieces: what is not a whole group of three waits for the next piece.
import { concatBytes } from "./bytes.ts";

/** Three bytes are four characters: pieces of other lengths would have padding in the middle. */
const GROUP_BYTES = 3;
/** So many arguments a function call takes for sure; a multiple of a group. */
const CALL_MAX_ARGUMENTS = 8_190;

export class Base64Encoder {
  #rest: Uint8Array = new Uint8Array(0);

  push(bytes: Uint8Array): string {
    const all = this.#rest.length === 0 ? bytes : concatBytes([this.#rest, bytes]);
    const whole = all.length - (all.length % GROUP_BYTES);
    this.#rest = all.slice(whole);
    return encode(all.subarray(0, whole));
  }

  end(): string {
    return encode(this.#rest);
  }
}

export function decodeBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

function encode(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CALL_MAX_ARGUMENTS) {
    text += btoa(String.fromCharCode(...bytes.subarray(at, at + CALL_MAX_ARGUMENTS)));
  }
  return text;
}
