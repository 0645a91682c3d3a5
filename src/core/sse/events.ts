// Cuts a stream of server-sent events at its blank lines, or a stream of newline-delimited JSON at every line. The
// bytes of each event are kept as they came, so that a proxy can read an event's data and still send on those bytes.
import { concatBytes } from "../bytes/concat.ts";

/**
 * One event with the blank line that ends it. `data`: its data lines joined; null if it has only comments and other
 * fields. `name`: its `event` field. `unframed`: its lines that are not of the format, joined, such as JSON without a
 * field's name. In a stream of lines each line is an event, and its text is the data.
 */
export interface SseEvent {
  readonly raw: Uint8Array;
  readonly data: string | null;
  readonly name: string | null;
  readonly unframed: string;
}

/** Server-sent events, or newline-delimited JSON. */
export type StreamFormat = "events" | "lines";

const LF = 0x0a;
const CR = 0x0d;
/** The end of a line of an event stream. */
export const LINE_END = /\r\n|\n|\r/;
const BLANK_LINE = Uint8Array.of(LF, LF);
/** The fields of an event, and comments, which begin with the colon. */
const FIELD = /^(?:data|event|id|retry)?(?::|$)/;
const BYTE_ORDER_MARK = Uint8Array.of(0xef, 0xbb, 0xbf);

/** Splits a stream that is pushed in any pieces. Every byte but a byte order mark is in exactly one event, or in `rest()`. */
export class SseSplitter {
  readonly #isByLine: boolean;
  /** A byte order mark counts only at the start of the stream: elsewhere it is part of the text. */
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isFirst = true;
  #lineIsEmpty = true;
  #afterReturn = false;
  #isCut = false;

  constructor(format: StreamFormat = "events") {
    this.#isByLine = format === "lines";
  }

  /** Bytes of the unfinished event. Nothing here bounds them, so the caller must. */
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
    /** Where the present line begins; -1: a part of it came in an earlier piece. */
    let lineFrom = this.#lineIsEmpty ? 0 : -1;
    // The engine's own search finds the line ends: a loop over the bytes costs several times as much.
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
        // The second half of a CRLF. If a cut went through the CRLF of a blank line, this byte begins the next event's
        // bytes: the event ended at the CR, and holding it back for a possible LF would delay streams that send none.
        lineFrom = at + 1;
        afterReturn = false;
      } else {
        const isPair = isReturn && feed === at + 1;
        lineFrom = isPair ? at + 2 : at + 1;
        if (isPair) feed = bytes.indexOf(LF, lineFrom);
        afterReturn = isReturn && !isPair;
        text ??= this.#decoder.decode(bytes);
        // With as many characters as bytes both have the same indexes, so one decoding serves all events of the piece.
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

  /** The event that the end of the stream has cut off, if there is one: its part that was sent counts. */
  end(): SseEvent[] {
    return this.#heldBytes === 0 && !this.#isCut ? [] : this.push(BLANK_LINE);
  }

  /** The bytes of an event that no blank line has ended; empty when there is none. */
  rest(): Uint8Array {
    return concatBytes(this.#held);
  }

  /** Hands out what is held of an event that is too large to be held whole. Its end then comes as an event without data. */
  takeHeld(): Uint8Array {
    const held = this.#withoutMark(this.rest());
    this.#held = [];
    this.#heldBytes = 0;
    this.#isCut = true;
    return held;
  }

  #endEvent(end: Uint8Array, endText: string | null): SseEvent {
    const isWhole = this.#held.length === 0;
    const bytes = isWhole ? end : concatBytes([...this.#held, end]);
    if (!isWhole) this.#held = [];
    this.#heldBytes = 0;
    if (this.#isCut) {
      this.#isCut = false;
      return { raw: bytes, data: null, name: null, unframed: "" };
    }
    const raw = this.#withoutMark(bytes);
    const text = (raw === bytes && isWhole ? endText : null) ?? this.#decoder.decode(raw);
    return this.#isByLine ? { raw, data: lineOf(text), name: null, unframed: "" } : { raw, ...fieldsOfEvent(text) };
  }

  /** The first bytes of a stream without their byte order mark, which some clients take for a part of a field's name. */
  #withoutMark(bytes: Uint8Array): Uint8Array {
    const isMarked = this.#isFirst && BYTE_ORDER_MARK.every((byte, at) => bytes[at] === byte);
    if (bytes.length > 0) this.#isFirst = false;
    return isMarked ? bytes.subarray(BYTE_ORDER_MARK.length) : bytes;
  }
}

/** Reads one event: lines of data, and of no field, are joined by line feeds; of several names the last one counts. */
export function fieldsOfEvent(text: string): Omit<SseEvent, "raw"> {
  const data: string[] = [];
  const unframed: string[] = [];
  let name: string | null = null;
  for (const line of text.split(LINE_END)) {
    if (!FIELD.test(line)) unframed.push(line);
    else if (line.startsWith("data")) data.push(textOf(line, "data"));
    else if (line.startsWith("event")) name = textOf(line, "event");
  }
  return { data: data.length === 0 ? null : data.join("\n"), name, unframed: unframed.join("\n") };
}

function textOf(line: string, field: string): string {
  const from = field.length + 1;
  return line.slice(line[from] === " " ? from + 1 : from);
}

/** The text of one line without its end, and without the LF of the line end before it. */
function lineOf(text: string): string {
  let end = text.length - 1;
  if (text[end - 1] === "\r") end -= 1;
  return text.slice(text.startsWith("\n") ? 1 : 0, end);
}
