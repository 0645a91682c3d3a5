// Cuts a streamed answer into chunks: the data of server-sent events, or the lines of newline-delimited JSON.
import { parseJson } from "../json/value.ts";
import { type SseEvent, SseSplitter, type StreamFormat } from "./events.ts";

/** `end`: the `[DONE]` with which OpenAI-like servers end a stream. */
type Parsed = { readonly kind: "chunk"; readonly text: string } | { readonly kind: "end" };

/** The data of the event that ends an OpenAI stream. */
export const DONE = "[DONE]";

/** The format of a streamed answer by its content type; null: the answer is one value. */
export function streamFormat(contentType: string | null): StreamFormat | null {
  const type = (contentType ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (type === "text/event-stream") return "events";
  return ["application/x-ndjson", "application/jsonl", "application/jsonlines"].includes(type) ? "lines" : null;
}

export class StreamParser {
  readonly #splitter: SseSplitter;

  constructor(format: StreamFormat) {
    this.#splitter = new SseSplitter(format);
  }

  /** Bytes that are held because their line or event is unfinished. */
  get heldBytes(): number {
    return this.#splitter.heldBytes;
  }

  /** The caller must not write to the array again. */
  push(bytes: Uint8Array): Parsed[] {
    return parsed(this.#splitter.push(bytes));
  }

  /** Ends the body. An event that no blank line has ended still counts, because it was sent. */
  end(): Parsed[] {
    return parsed(this.#splitter.end());
  }
}

/** Each event's data: JSON as it came, any other text as a JSON string. */
function parsed(events: readonly SseEvent[]): Parsed[] {
  const found: Parsed[] = [];
  for (const { data } of events) {
    const text = data?.trim() ?? "";
    if (text === DONE) found.push({ kind: "end" });
    else if (text !== "")
      found.push({ kind: "chunk", text: parseJson(text) === undefined ? JSON.stringify(data) : text });
  }
  return found;
}
