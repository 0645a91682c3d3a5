// Cuts a streamed answer into chunks: the data of server-sent events, or the lines of newline-delimited JSON.
import { parseJson } from "../json/value.ts";
import { EVENT_HELD_MAX_BYTES } from "../limits.ts";
import { SseSplitter, type StreamFormat } from "./events.ts";
import { LargeEvent, type LargePart } from "./large-event.ts";

/**
 * `piece`: the next bytes of a chunk that is too large to be held, as JSON text. `broken`: the rest of such a chunk
 * shows that it is not JSON, though it began as JSON; nothing follows. `end`: the `[DONE]` with which OpenAI-like
 * servers end a stream.
 */
export type Parsed =
  | { readonly kind: "chunk"; readonly text: string }
  | Exclude<LargePart, { readonly kind: "whole" }>
  | { readonly kind: "end" };

/** What is read at once, so that an event that comes in one piece is no more exempt from the limit than any other. */
const READ_MAX_BYTES = 256 * 1024;
const NOTHING = new Uint8Array(0);

/** The data of the event that ends an OpenAI stream. */
export const DONE = "[DONE]";

/** The format of a streamed answer by its content type; null: the answer is one value. */
export function streamFormat(contentType: string | null): StreamFormat | null {
  const type = (contentType ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (type === "text/event-stream") return "events";
  return ["application/x-ndjson", "application/jsonl", "application/jsonlines"].includes(type) ? "lines" : null;
}

export class StreamParser {
  readonly #format: StreamFormat;
  readonly #splitter: SseSplitter;
  /** The unfinished event, once it is too large to be held. */
  #large: LargeEvent | null = null;

  constructor(format: StreamFormat) {
    this.#format = format;
    this.#splitter = new SseSplitter(format);
  }

  /** The caller must not write to the array again. */
  push(bytes: Uint8Array): Parsed[] {
    if (bytes.length <= READ_MAX_BYTES) return this.#read(bytes);
    const found: Parsed[] = [];
    for (let at = 0; at < bytes.length; at += READ_MAX_BYTES) {
      found.push(...this.#read(bytes.subarray(at, at + READ_MAX_BYTES)));
    }
    return found;
  }

  /** Ends the body. An event that no blank line has ended still counts, because it was sent. */
  end(): Parsed[] {
    if (this.#large !== null) return this.#large.end(NOTHING).flatMap(parsedPart);
    return this.#splitter.end().flatMap(({ data }) => parsedData(data));
  }

  #read(bytes: Uint8Array): Parsed[] {
    const found: Parsed[] = [];
    for (const { data, raw } of this.#splitter.push(bytes)) {
      const large = this.#large;
      this.#large = null;
      found.push(...(large === null ? parsedData(data) : large.end(raw).flatMap(parsedPart)));
    }
    if (this.#large === null && this.#splitter.heldBytes <= EVENT_HELD_MAX_BYTES) return found;
    this.#large ??= new LargeEvent(this.#format);
    found.push(...this.#large.push(this.#splitter.takeHeld()).flatMap(parsedPart));
    return found;
  }
}

/** An event's data: JSON as it came, any other text as a JSON string. */
function parsedData(data: string | null): Parsed[] {
  const text = data?.trim() ?? "";
  if (text === "") return [];
  if (text === DONE) return [{ kind: "end" }];
  return [{ kind: "chunk", text: parseJson(text) === undefined ? JSON.stringify(data) : text }];
}

function parsedPart(part: LargePart): Parsed[] {
  return part.kind === "whole" ? parsedData(part.data) : [part];
}
