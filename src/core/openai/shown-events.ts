// The events of a streamed OpenAI answer that its client gets: whole ones, without usage that it did not ask for.
import { parseJson } from "../json/value.ts";
import { type SseEvent, SseSplitter } from "../sse/events.ts";
import { DONE } from "../sse/stream-parser.ts";
import { isUsageChunk, withoutNullUsage } from "./usage-chunk.ts";

const DONE_EVENT = new TextEncoder().encode(`data: ${DONE}\n\n`);

/** Has a stream of this path a usage chunk on request, and `[DONE]` at its end? Others end with their own event. */
export function isCompletions(path: string): boolean {
  return /^\/v1\/(?:chat\/)?completions(?:\?|$)/.test(path);
}

export class ShownEvents {
  readonly #path: string;
  readonly #hidesUsage: boolean;
  readonly #see: (value: unknown) => void;
  readonly #splitter = new SseSplitter();
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  /** `[DONE]` has come: all that follows it is dropped. */
  isDone = false;

  /** `see` is given the value of each event, hidden ones too; undefined for data that is no JSON. */
  constructor(
    { path, hidesUsage }: { readonly path: string; readonly hidesUsage: boolean },
    see: (value: unknown) => void = () => undefined,
  ) {
    this.#path = path;
    this.#hidesUsage = hidesUsage;
    this.#see = see;
  }

  /** Bytes of the unfinished event. Nothing here bounds them, so the caller must. */
  get heldBytes(): number {
    return this.#splitter.heldBytes;
  }

  /** The events that end within these bytes; an event that came in one piece is a view of it. */
  push(bytes: Uint8Array): Uint8Array[] {
    return this.#show(this.#splitter.push(bytes));
  }

  /** The last event, if no blank line has ended it, and `[DONE]`, if the worker has not sent it. */
  end(): Uint8Array[] {
    const shown = this.#show(this.#splitter.end());
    return !this.isDone && isCompletions(this.#path) ? [...shown, DONE_EVENT] : shown;
  }

  #show(events: readonly SseEvent[]): Uint8Array[] {
    const shown: Uint8Array[] = [];
    for (const { raw, data } of events) {
      if (this.isDone) break;
      const seen = data === null ? raw : this.#look(raw, data);
      if (seen !== null) shown.push(seen);
    }
    return shown;
  }

  #look(raw: Uint8Array, data: string): Uint8Array | null {
    this.isDone = data.trim() === DONE;
    const value = parseJson(data);
    this.#see(value);
    if (!this.#hidesUsage) return raw;
    if (isUsageChunk(value)) return null;
    const text = this.#decoder.decode(raw);
    const kept = withoutNullUsage(text);
    return kept === text ? raw : this.#encoder.encode(kept);
  }
}
