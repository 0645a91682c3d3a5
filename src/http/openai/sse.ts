// Makes event text for OpenAI clients of what workers yield: pieces of event text cut anywhere, or values.
import type { Frame } from "../../core/job/chunk-frames.ts";
import { parseJson } from "../../core/json/value.ts";

/** The event text of the chunks of one attempt's log, in their order. A value that was cut there is one event again. */
export class ChunkEvents {
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  #isInValue = false;

  /** The pieces of a value become pieces of its event, each as it comes, because together they may be very large. */
  eventOf({ bytes, part }: Frame): Uint8Array {
    const piece = parseJson(this.#decoder.decode(bytes));
    if (part === undefined || typeof piece !== "string") return eventOf(piece);
    const start = this.#isInValue ? "" : "data: ";
    this.#isInValue = part === "more";
    // In JSON text a line end is white space, and in an event it would end the field.
    return eventOf(`${start}${piece.replaceAll(/[\r\n]/g, " ")}${this.#isInValue ? "" : "\n\n"}`);
  }
}

/** The event text of a piece that a worker yields: event text already, cut anywhere, or a value made into an event. */
export function eventOf(piece: unknown): Uint8Array {
  return new TextEncoder().encode(typeof piece === "string" ? piece : `data: ${JSON.stringify(piece)}\n\n`);
}

/** Turns a whole answer into the one chunk of a stream: its messages become deltas. Any other value is unchanged. */
export function toChunk(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("choices" in value) || !Array.isArray(value.choices))
    return value;
  if (!("object" in value) || value.object !== "chat.completion") return value;
  const choices = value.choices.map((choice: unknown) => {
    if (typeof choice !== "object" || choice === null || !("message" in choice)) return choice;
    const { message, ...rest } = choice;
    return { ...rest, delta: message };
  });
  return { ...value, object: "chat.completion.chunk", choices };
}
