// Finds the usage of a large OpenAI body in its last bytes: servers write it behind everything that is large.
import { concatBytes } from "../bytes/concat.ts";
import { nextBracket, opens, skipValue } from "../json/text.ts";
import { fieldsOf, parseJson } from "../json/value.ts";
import { OUTPUT_USAGE_TAIL_BYTES } from "../limits.ts";
import { type TokenUsage, usageOfBody } from "./token-usage.ts";

/** A quote behind a backslash is within a string; any other one before `usage":` opens a key (see usage-chunk.ts). */
const USAGE = /(?<!\\)"usage"[ \t\r\n]*:[ \t\r\n]*(?=\{)/g;

/** Keeps the end of one JSON text that comes in pieces. `depth`: containers around its `usage`, 2 for one in a list. */
export class UsageTail {
  /** To the end: there the usage is. */
  readonly isLooking = true;
  readonly #depth: 1 | 2;
  #pieces: Uint8Array[] = [];
  #heldBytes = 0;

  constructor(depth: 1 | 2) {
    this.#depth = depth;
  }

  push(bytes: Uint8Array): void {
    // A copy: the caller's view ends with this call, and would keep all of a large buffer alive.
    this.#pieces.push(bytes.slice(-OUTPUT_USAGE_TAIL_BYTES));
    this.#heldBytes += Math.min(bytes.length, OUTPUT_USAGE_TAIL_BYTES);
    // Joined at twice the size only, so that small pieces cost one copy each, not one for every later piece.
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

/** How many containers are open at an index outside of strings, known by those that close until the end. */
function depthAt(text: string, from: number): number {
  let depth = 0;
  for (let at = nextBracket(text, from); at < text.length; at = nextBracket(text, at + 1))
    depth += opens(text.charCodeAt(at)) ? -1 : 1;
  return depth;
}
