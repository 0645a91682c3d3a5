// Makes event text for OpenAI clients of the chunks in a job's log.
import type { Frame } from "../../core/job/chunk-frames.ts";
import { parseJson } from "../../core/json/value.ts";
import { eventOf } from "../../core/openai/worker-output.ts";

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
