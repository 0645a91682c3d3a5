// Base64 of bytes that come in pieces: what is not a whole group of three waits for the next piece.
import { concatBytes } from "./concat.ts";

/** Three bytes are four characters: pieces of other lengths would have padding in the middle. */
const GROUP_BYTES = 3;
/** So many arguments a function call takes for sure; a multiple of a group. */
const CALL_MAX_ARGUMENTS = 8_190;
/** Of a text that is decoded at a time; a multiple of four. */
const PIECE_CHARS = 32_768;

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

/**
 * The bytes of a base64 text; null for a text that is none. Piece by piece into one array: a list of characters, one by one,
 * would take thirty times the room of the bytes.
 */
export function decodeBase64(text: string): Uint8Array | null {
  const padding = /={0,2}$/.exec(text.slice(-2))?.[0].length ?? 0;
  const length = Math.floor(((text.length - padding) * 3) / 4);
  const bytes = new Uint8Array(length);
  let filled = 0;
  for (let at = 0; at < text.length; at += PIECE_CHARS) {
    const piece = decodePiece(text.slice(at, at + PIECE_CHARS));
    if (piece === null || filled + piece.length > length) return null;
    for (let index = 0; index < piece.length; index += 1) bytes[filled + index] = piece.charCodeAt(index);
    filled += piece.length;
  }
  return filled === length ? bytes : null;
}

function decodePiece(piece: string): string | null {
  try {
    return atob(piece);
  } catch {
    return null;
  }
}

function encode(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CALL_MAX_ARGUMENTS) {
    text += btoa(String.fromCharCode(...bytes.subarray(at, at + CALL_MAX_ARGUMENTS)));
  }
  return text;
}
