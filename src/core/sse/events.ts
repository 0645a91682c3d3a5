// Cuts a stream of server-sent events at its blank lines. The bytes of each event are kept as they came, so that a proxy can
// look at what an event says and still hand on exactly what was sent.
import { concatBytes } from "../bytes/concat.ts";

/** One event with the blank line that ends it. `data`: its data lines joined; null for comments and fields alone. */
interface SseEvent {
  readonly raw: Uint8Array;
  readonly data: string | null;
}

const LF = 0x0a;
const CR = 0x0d;
const LINE_END = /\r\n|\n|\r/;
const BYTE_ORDER_MARK = "\ufeff";

/** Splits what is pushed in any pieces. Every byte stands in exactly one event, or in `rest()`. */
export class SseSplitter {
  /** A byte order mark counts only at the start of the stream: elsewhere it is part of the text. */
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isFirst = true;
  #lineIsEmpty = true;
  #afterReturn = false;

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
    // In locals: in this loop, which sees every byte of every stream, private fields cost several times as much.
    let lineIsEmpty = this.#lineIsEmpty;
    let afterReturn = this.#afterReturn;
    let from = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at];
      if (byte !== LF && byte !== CR) {
        lineIsEmpty = false;
        afterReturn = false;
      } else if (byte === LF && afterReturn) {
        // The other half of a line end. After a cut between the halves of a blank line it begins the next event's bytes:
        // the event was over at the return, and holding it back for this byte would delay streams that send none.
        afterReturn = false;
      } else if (lineIsEmpty) {
        const isPair = byte === CR && bytes[at + 1] === LF;
        if (isPair) at += 1;
        afterReturn = byte === CR && !isPair;
        events.push(this.#endEvent(bytes.subarray(from, at + 1)));
        from = at + 1;
      } else {
        lineIsEmpty = true;
        afterReturn = byte === CR;
      }
    }
    this.#lineIsEmpty = lineIsEmpty;
    this.#afterReturn = afterReturn;
    if (from < bytes.length) this.#hold(from === 0 ? bytes : bytes.subarray(from));
    return events;
  }

  /** The bytes of an event that no blank line has ended; empty when there is none. */
  rest(): Uint8Array {
    return concatBytes(this.#held);
  }

  #hold(piece: Uint8Array): void {
    this.#held.push(piece);
    this.#heldBytes += piece.length;
  }

  #endEvent(end: Uint8Array): SseEvent {
    const raw = this.#held.length === 0 ? end : concatBytes([...this.#held, end]);
    if (this.#held.length > 0) this.#held = [];
    this.#heldBytes = 0;
    const text = this.#decoder.decode(raw);
    const data = dataOf(this.#isFirst && text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text);
    this.#isFirst = false;
    return { raw, data };
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
