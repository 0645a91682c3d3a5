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
  #dataChars = 0;
  #endedByReturn = false;

  constructor(format: StreamFormat) {
    this.#format = format;
  }

  /** Characters that are held because their line or event is not over. An empty line of data is held too. */
  get heldChars(): number {
    return this.#rest.length + this.#dataChars;
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
    // The other half of a line end whose carriage return has ended the piece before: no empty line stands there.
    const fresh = this.#endedByReturn && text.startsWith("\n") ? text.slice(1) : text;
    if (text !== "") this.#endedByReturn = text.endsWith("\r");
    // Only what is new is looked through: a line may be 1 MiB, and come in pieces of 4 KiB.
    const [first = "", ...others] = fresh.split(/\r\n|\n|\r/);
    const lines = [this.#rest + first, ...others];
    this.#rest = isEnd ? "" : (lines.pop() ?? "");
    return lines.flatMap((line) => (this.#format === "lines" ? toParsed(line) : this.#takeLine(line)));
  }

  #takeLine(line: string): Parsed[] {
    if (line === "") return this.#endEvent();
    const data = /^data(?:: ?(.*))?$/s.exec(line);
    if (data === null) return [];
    const text = data[1] ?? "";
    this.#data.push(text);
    this.#dataChars += text.length + 1;
    return [];
  }

  #endEvent(): Parsed[] {
    const data = this.#data.join("\n");
    this.#data = [];
    this.#dataChars = 0;
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
