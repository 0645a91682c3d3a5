// Cuts a streamed answer into chunks: the data of server-sent events, or the lines of newline-delimited JSON.

/** `end`: the `[DONE]` by which OpenAI-like servers say that nothing follows. */
type Parsed = { readonly kind: "chunk"; readonly text: string } | { readonly kind: "end" };

export type StreamFormat = "events" | "lines";

const DONE = "[DONE]";

/** Which kind of stream an answer is; null: it is one value. */
export function streamFormat(contentType: string | null): StreamFormat | null {
  const type = (contentType ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (type === "text/event-stream") return "events";
  return ["application/x-ndjson", "application/jsonl", "application/jsonlines"].includes(type) ? "lines" : null;
}

export class StreamParser {
  readonly #format: StreamFormat;
  readonly #decoder = new TextDecoder();
  #rest = "";
  #data: string[] = [];

  constructor(format: StreamFormat) {
    this.#format = format;
  }

  /** Characters that are held because their line or event is not over. */
  get heldChars(): number {
    return this.#rest.length + this.#data.reduce((sum, { length }) => sum + length, 0);
  }

  push(bytes: Uint8Array): Parsed[] {
    return this.#parse(this.#decoder.decode(bytes, { stream: true }), false);
  }

  /** The end of the body. An event that no blank line has ended still counts: it was sent. */
  end(): Parsed[] {
    const parsed = this.#parse(this.#decoder.decode(), true);
    return [...parsed, ...this.#endEvent()];
  }

  #parse(text: string, isEnd: boolean): Parsed[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = isEnd ? "" : (lines.pop() ?? "");
    // A carriage return at the end of a piece may be half of a line end, whose other half would count as an empty line.
    if (!isEnd && this.#rest === "" && text.endsWith("\r")) this.#rest = `${lines.pop() ?? ""}\r`;
    return lines.flatMap((line) => (this.#format === "lines" ? toParsed(line) : this.#takeLine(line)));
  }

  #takeLine(line: string): Parsed[] {
    if (line === "") return this.#endEvent();
    const data = /^data(?:: ?(.*))?$/s.exec(line);
    if (data !== null) this.#data.push(data[1] ?? "");
    return [];
  }

  #endEvent(): Parsed[] {
    const data = this.#data.join("\n");
    this.#data = [];
    return toParsed(data);
  }
}

/** JSON as it came; any other text as a JSON string. */
function toParsed(data: string): Parsed[] {
  const text = data.trim();
  if (text === "") return [];
  if (text === DONE) return [{ kind: "end" }];
  return [{ kind: "chunk", text: isJson(text) ? text : JSON.stringify(data) }];
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
