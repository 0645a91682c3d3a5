// Finds the usage of a large OpenAI body in its last bytes, because servers write it behind all large members.
import { concatBytes } from "../bytes/concat.ts";
import { nextBracket, opens, skipValue } from "../json/text.ts";
import { fieldsOf, parseJson } from "../json/value.ts";
import { OUTPUT_USAGE_TAIL_BYTES } from "../limits.ts";
import { type TokenUsage, usageOfBody } from "./token-usage.ts";

/** A quote after a backslash is within a string; any other quote before `usage":` begins a key (see usage-chunk.ts). */
const USAGE = /(?<!\\)"usage"[ \t\r\n]*:[ \t\r\n]*(?=\{)/g;

/** Keeps the end of a JSON text that comes in pieces. `depth`: how many containers are around `usage`, 2 in a list. */
export class UsageTail {
  /** Always true: the usage is at the end, so all bytes must be read. */
  readonly isLooking = true;
  /** An error in a body is looked for in its beginning, by others. */
  readonly error = null;
  readonly #depth: 1 | 2;
  #pieces: Uint8Array[] = [];
  #heldBytes = 0;

  constructor(depth: 1 | 2) {
    this.#depth = depth;
  }

  push(bytes: Uint8Array): void {
    // A copy, because the caller's view is valid only during this call, and would keep all of a large buffer alive.
    this.#pieces.push(bytes.slice(-OUTPUT_USAGE_TAIL_BYTES));
    this.#heldBytes += Math.min(bytes.length, OUTPUT_USAGE_TAIL_BYTES);
    // Joined only at twice the size, so that each small piece is copied once, not again for every later piece.
    if (this.#heldBytes < 2 * OUTPUT_USAGE_TAIL_BYTES) return;
    this.#pieces = [concatBytes(this.#pieces).slice(-OUTPUT_USAGE_TAIL_BYTES)];
    this.#heldBytes = OUTPUT_USAGE_TAIL_BYTES;
  }

  /** The usage that stands last at the right depth, once the text is whole; null when there is none. */
  usage(): TokenUsage | null {
    const text = new TextDecoder().decode(concatBytes(this.#pieces).subarray(-OUTPUT_USAGE_TAIL_BYTES));
    const ends = [...text.matchAll(USAGE)].map((match) => match.index + match[0].length).reverse();
    for (const from of ends) {
      const to = skipValue(text, from);
      if (depthAt(text, to) !== this.#depth) continue;
      const usage = usageOfBody({ usage: fieldsOf(parseJson(text.slice(from, to))) });
      if (usage !== null) return usage;
    }
    return null;
  }
}

/** How many containers are open at an index outside of strings: counted by the brackets from there to the end. */
function depthAt(text: string, from: number): number {
  let depth = 0;
  for (let at = nextBracket(text, from); at < text.length; at = nextBracket(text, at + 1))
    depth += opens(text.charCodeAt(at)) ? -1 : 1;
  return depth;
}
