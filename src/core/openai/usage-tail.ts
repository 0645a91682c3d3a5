// Finds the usage of a large OpenAI body in its last bytes, because servers write it behind all large members.
import { ByteTail } from "../bytes/tail.ts";
import { valuesInTail } from "../json/tail.ts";
import { fieldsOf } from "../json/value.ts";
import { OUTPUT_USAGE_TAIL_BYTES } from "../limits.ts";
import { type TokenUsage, usageOfBody } from "./token-usage.ts";

/** Keeps the end of a JSON text that comes in pieces. `depth`: how many containers are around `usage`, 2 in a list. */
export class UsageTail {
  /** Always true: the usage is at the end, so all bytes must be read. */
  readonly isLooking = true;
  /** An error in a body is looked for in its beginning, by others. */
  readonly error = null;
  readonly #depth: 1 | 2;
  readonly #tail = new ByteTail(OUTPUT_USAGE_TAIL_BYTES);

  constructor(depth: 1 | 2) {
    this.#depth = depth;
  }

  push(bytes: Uint8Array): void {
    this.#tail.push(bytes);
  }

  /** The usage that stands last at the right depth, once the text is whole; null when there is none. */
  usage(): TokenUsage | null {
    const text = new TextDecoder().decode(this.#tail.bytes());
    for (const value of valuesInTail(text, "usage", this.#depth)) {
      const usage = usageOfBody({ usage: fieldsOf(value) });
      if (usage !== null) return usage;
    }
    return null;
  }
}
