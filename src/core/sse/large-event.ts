// The JSON text of an event that is too large to be held, made as its bytes come. Whether an event is JSON is known
// only at its end: one that is valid JSON as far as it could be held is taken for JSON, any other for a text.
import { concatBytes } from "../bytes/concat.ts";
import { scanValue } from "../json/scanner.ts";
import { EVENT_HELD_MAX_BYTES } from "../limits.ts";
import { EventText } from "./event-text.ts";
import type { StreamFormat } from "./events.ts";

const VIEWS_JOINED_BYTES = 64 * 1024;

/** `whole`: the data was not so large in the end. `broken`: it began as JSON, and is none. */
export type LargePart =
  | { readonly kind: "whole"; readonly data: string }
  | { readonly kind: "piece"; readonly json: Uint8Array; readonly isLast: boolean }
  | { readonly kind: "broken"; readonly message: string };

/** Makes the JSON text of a value from its data; a string is the reason why it is none. */
interface ValueWriter {
  push(text: string): Uint8Array | string;
  end(): Uint8Array | string;
}

export class LargeEvent {
  readonly #text: EventText;
  #held = "";
  #writer: ValueWriter | null = null;

  constructor(format: StreamFormat) {
    this.#text = new EventText(format);
  }

  push(raw: Uint8Array): LargePart[] {
    return this.#take(this.#text.push(raw));
  }

  /** To be called with the last bytes of the event. */
  end(raw: Uint8Array): LargePart[] {
    const parts = this.#take(this.#text.push(raw) + this.#text.end());
    if (this.#writer === null) return [{ kind: "whole", data: this.#held }];
    const isBroken = parts.some(({ kind }) => kind === "broken");
    return isBroken ? parts : [...parts, partOf(this.#writer.end(), true)];
  }

  #take(text: string): LargePart[] {
    if (this.#writer !== null) return text === "" ? [] : [partOf(this.#writer.push(text), false)];
    // Lines of comments make an event large, too, and the first bytes of its data show nothing.
    this.#held += text;
    if (this.#held.length <= EVENT_HELD_MAX_BYTES) return [];
    const json = new JsonWriter();
    const begun = json.push(this.#held);
    this.#writer = typeof begun === "string" ? new TextWriter() : json;
    const first = typeof begun === "string" ? this.#writer.push(this.#held) : begun;
    this.#held = "";
    return [partOf(first, false)];
  }
}

function partOf(made: Uint8Array | string, isLast: boolean): LargePart {
  return typeof made === "string" ? { kind: "broken", message: made } : { kind: "piece", json: made, isLast };
}

/** Writes JSON as it is. NaN and Infinity become null, as in results of workers: here they cannot make it a text. */
class JsonWriter implements ValueWriter {
  readonly #encoder = new TextEncoder();
  readonly #views: Uint8Array[] = [];
  readonly #scan = scanValue(
    { bytes: (view) => void this.#views.push(view), end: () => undefined },
    { lenientNumbers: true, makesNulls: true },
  );

  push(text: string): Uint8Array | string {
    const bytes = this.#encoder.encode(text);
    const pieces: Uint8Array[] = [];
    // Each null is a view of its own, so the views of a large text are joined before there are too many of them.
    for (let at = 0; at < bytes.length; at += VIEWS_JOINED_BYTES) {
      const error = this.#scan.push(bytes.subarray(at, at + VIEWS_JOINED_BYTES));
      if (error !== null) return error.message;
      pieces.push(concatBytes(this.#views.splice(0)));
    }
    return concatBytes(pieces);
  }

  end(): Uint8Array | string {
    return this.#scan.end()?.message ?? concatBytes(this.#views.splice(0));
  }
}

/** Writes a text as a JSON string. */
class TextWriter implements ValueWriter {
  readonly #encoder = new TextEncoder();
  #hasBegun = false;

  push(text: string): Uint8Array {
    const quote = this.#hasBegun ? "" : '"';
    this.#hasBegun = true;
    return this.#encoder.encode(quote + JSON.stringify(text).slice(1, -1));
  }

  end(): Uint8Array {
    return this.#encoder.encode('"');
  }
}
