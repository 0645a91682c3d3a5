// Python's json module writes NaN, Infinity and -Infinity, which are no JSON: a client that parses strictly could not read the
// answer around them. They become null on their way in, as JavaScript's own JSON.stringify does it.

import { concatBytes } from "../bytes/concat.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const N = 0x4e;
const I = 0x49;
const NULL_TEXT = Uint8Array.of(0x6e, 0x75, 0x6c, 0x6c);
const MINUS_TEXT = Uint8Array.of(MINUS);
/** Letters that follow the first one. */
const NAN_REST = 2;
const INFINITY_REST = 7;

/** Filters one JSON text that comes in views, checked before by a scanner that lets these words pass. */
export class NanFilter {
  #inString = false;
  #escaped = false;
  #skip = 0;
  /** The last view ended with a minus outside of strings; whether it stays is not known yet. */
  #heldMinus = false;

  /** The bytes to keep of a view: the view itself where nothing changes. */
  push(view: Uint8Array): Uint8Array {
    const pieces: Uint8Array[] = [];
    let from = 0;
    if (this.#heldMinus && view.length > 0) {
      if (view[0] !== I) pieces.push(MINUS_TEXT);
      this.#heldMinus = false;
    }
    for (let at = 0; at < view.length; at += 1) {
      const byte = view[at];
      if (this.#skip > 0) {
        this.#skip -= 1;
        from = at + 1;
      } else if (this.#inString) this.#passString(byte);
      else if (byte === QUOTE) this.#inString = true;
      else if (byte === N || byte === I) {
        const isNegative = byte === I && view[at - 1] === MINUS && at > from;
        pieces.push(view.subarray(from, isNegative ? at - 1 : at), NULL_TEXT);
        this.#skip = byte === N ? NAN_REST : INFINITY_REST;
        from = at + 1;
      } else if (byte === MINUS && at === view.length - 1) {
        this.#heldMinus = true;
        pieces.push(view.subarray(from, at));
        from = at + 1;
      }
    }
    if (pieces.length === 0 && from === 0) return view;
    return concatBytes([...pieces, view.subarray(from)]);
  }

  #passString(byte: number | undefined): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inString = false;
  }
}
