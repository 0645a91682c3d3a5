// Event text for OpenAI clients out of what workers yield: pieces of event text cut anywhere, or values.
import type { OpenAiRequest } from "../core/openai-request.ts";
import { SseSplitter } from "../core/sse-events.ts";
import { isUsageChunk, withoutNullUsage } from "../core/usage-chunk.ts";
import { parseJson } from "../dispatch/classify.ts";

const DONE = "[DONE]";
const BLANK_LINE = "\n\n";

/** The events of one attempt as their client is to see them, each whole. */
export class ShownEvents {
  readonly #request: OpenAiRequest;
  readonly #splitter = new SseSplitter();
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  #isDone = false;

  constructor(request: OpenAiRequest) {
    this.#request = request;
  }

  /** Bytes of the event that has no end yet: nothing here bounds them. */
  get heldBytes(): number {
    return this.#splitter.heldBytes;
  }

  /** The events that end within this text. */
  push(text: string): Uint8Array[] {
    const shown: Uint8Array[] = [];
    for (const { raw, data } of this.#splitter.push(this.#encoder.encode(text))) {
      const seen = this.#look(raw, data);
      if (seen !== null) shown.push(seen);
    }
    return shown;
  }

  /** The last event, where no blank line has ended it, and `[DONE]`, where the worker has not said it. */
  end(): Uint8Array[] {
    const shown = this.#splitter.rest().length === 0 ? [] : this.push(BLANK_LINE);
    if (!this.#isDone && endsByDone(this.#request.path)) shown.push(this.#encoder.encode(`data: ${DONE}${BLANK_LINE}`));
    return shown;
  }

  #look(raw: Uint8Array, data: string | null): Uint8Array | null {
    if (data === null) return raw;
    if (data.trim() === DONE) this.#isDone = true;
    if (!this.#request.hidesUsage) return raw;
    if (isUsageChunk(parseJson(data))) return null;
    return this.#encoder.encode(withoutNullUsage(this.#decoder.decode(raw)));
  }
}

/** Routes whose streams end by `[DONE]`; other ones end by an event of their own. */
function endsByDone(path: string): boolean {
  return /^\/v1\/(?:chat\/)?completions$/.test(path);
}

/** What a worker yields: event text already, cut anywhere, or a value that becomes an event. */
export function eventOf(piece: unknown): string {
  return typeof piece === "string" ? piece : `data: ${JSON.stringify(piece)}\n\n`;
}

/** A whole answer as the one chunk of a stream: its messages become deltas. Anything else stays as it is. */
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
