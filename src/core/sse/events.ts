// Cuts a stream of server-sent events at its blank lines, or one of newline-delimited JSON at every line. The bytes of each event are
// kept as they came, so that a proxy can look at what an event says and still hand on exactly what was sent.
import { concatBytes } from "../bytes/concat.ts";

/**
 * One event with the blank line that ends it. `data`: its data lines joined; null for comments and fields alone. Of a stream of lines
 * each line is an event, and its text is the data.
 */
export interface SseEvent {
  readonly raw: Uint8Array;
  readonly data: string | null;
}

/** Server-sent events, or newline-delimited JSON. */
export type StreamFormat = "events" | "lines";

const LF = 0x0a;
const CR = 0x0d;
const LINE_END = /\r\n|\n|\r/;
const BLANK_LINE = Uint8Array.of(LF, LF);
const BYTE_ORDER_MARK = "\ufeff";

/** Splits what is pushed in any pieces. Every byte stands in exactly one event, or in `rest()`. */
export class SseSplitter {
  readonly #isByLine: boolean;
  /** A byte order mark counts only at the start of the stream: elsewhere it is part of the text. */
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isFirst = true;
  #lineIsEmpty = true;
  #afterReturn = false;

  constructor(format: StreamFormat = "events") {
    this.#isByLine = format === "lines";
  }

  /** Bytes of the event that is not over: nothing here bounds them, so the caller must. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * The events that end within these bytes. `raw` is a view of them wherever an event came in one piece, and the start of
   * an unfinished one is held as a view too, so the caller must not write to the array again.
   */
  push(bytes: Uint8Array): SseEvent[] {
    const events: SseEvent[] = [];
    let afterReturn = this.#afterReturn;
    let from = 0;
    let text: string | null = null;
    /** Where the line in hand begins; before the first byte where a part of it came earlier. */
    let lineFrom = this.#lineIsEmpty ? 0 : -1;
    // The engine's search finds the ends of lines: a look at each byte costs several times as much.
    let feed = bytes.indexOf(LF);
    let carriage = bytes.indexOf(CR);
    while (feed !== -1 || carriage !== -1) {
      const isReturn = feed === -1 || (carriage !== -1 && carriage < feed);
      const at = isReturn ? carriage : feed;
      if (isReturn) carriage = bytes.indexOf(CR, at + 1);
      else feed = bytes.indexOf(LF, at + 1);
      if (at !== lineFrom && !this.#isByLine) {
        lineFrom = at + 1;
        afterReturn = isReturn;
      } else if (afterReturn && !isReturn && at === lineFrom) {
        // The other half of a line end. After a cut between the halves of a blank line it begins the next event's bytes:
        // the event was over at the return, and holding it back for this byte would delay streams that send none.
        lineFrom = at + 1;
        afterReturn = false;
      } else {
        const isPair = isReturn && feed === at + 1;
        lineFrom = isPair ? at + 2 : at + 1;
        if (isPair) feed = bytes.indexOf(LF, lineFrom);
        afterReturn = isReturn && !isPair;
        text ??= this.#decoder.decode(bytes);
        // Of as many characters as bytes, so that both have the same places: one decoding serves all events of the piece.
        const known = text.length === bytes.length ? text.slice(from, lineFrom) : null;
        events.push(this.#endEvent(bytes.subarray(from, lineFrom), known));
        from = lineFrom;
      }
    }
    this.#lineIsEmpty = lineFrom === bytes.length;
    this.#afterReturn = afterReturn && this.#lineIsEmpty;
    if (from < bytes.length) this.#held.push(from === 0 ? bytes : bytes.subarray(from));
    this.#heldBytes += bytes.length - from;
    return events;
  }

  /** The event that the end of the stream has cut off, where there is one: what was sent of it counts. */
  end(): SseEvent[] {
    return this.#heldBytes === 0 ? [] : this.push(BLANK_LINE);
  }

  /** The bytes of an event that no blank line has ended; empty when there is none. */
  rest(): Uint8Array {
    return concatBytes(this.#held);
  }

  #endEvent(end: Uint8Array, endText: string | null): SseEvent {
    const isWhole = this.#held.length === 0;
    const raw = isWhole ? end : concatBytes([...this.#held, end]);
    if (!isWhole) this.#held = [];
    this.#heldBytes = 0;
    const decoded = (isWhole ? endText : null) ?? this.#decoder.decode(raw);
    const text = this.#isFirst && decoded.startsWith(BYTE_ORDER_MARK) ? decoded.slice(1) : decoded;
    this.#isFirst = false;
    return { raw, data: this.#isByLine ? lineOf(text) : dataOf(text) };
  }
}

/** The data lines of one event, joined by line feeds; null when it has none. */
function dataOf(text: string): string | null {
  let data: string | null = null;
  for (const line of text.split(LINE_END)) {
    if (!line.startsWith("data")) continue;
    if (line.length > 4 && line[4] !== ":") continue;
    const value = line.slice(line[5] === " " ? 6 : 5);
    data = data === null ? value : `${data}\n${value}`;
  }
  return data;
}

/** The text of one line without its end, and without the other half of the line end before it. */
function lineOf(text: string): string {
  let end = text.length - 1;
  if (text[end - 1] === "\r") end -= 1;
  return text.slice(text.startsWith("\n") ? 1 : 0, end);
}
