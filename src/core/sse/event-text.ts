// Reads the data of one event, or the text of one line, as its bytes come: for an event that is too large to be held.
import { LINE_END, type StreamFormat } from "./events.ts";

/** The longest start of a line by which its field is known: `data: `. */
const FIELD_CHARS = 6;

export class EventText {
  readonly #isByLine: boolean;
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  /** The start of the present line while its field is not known; then whether it is data. */
  #line: string | boolean = "";
  #hasData = false;

  constructor(format: StreamFormat) {
    this.#isByLine = format === "lines";
  }

  /** The text in the next bytes. An event ends with its blank line, a line with its line end. */
  push(raw: Uint8Array): string {
    const text = this.#decoder.decode(raw, { stream: true });
    // Line ends are at the end, and before it the LF of the line end of the line before.
    if (this.#isByLine) return text.replace(/[\r\n]/g, "");
    let data = "";
    // The two halves of a CRLF that was cut are two line ends here: an empty line between two of data adds nothing.
    for (const [at, part] of text.split(LINE_END).entries()) {
      if (at > 0) data += this.#endLine();
      data += this.#read(part, false);
    }
    return data;
  }

  /** What is left when the event is over. */
  end(): string {
    return this.#isByLine ? this.#decoder.decode() : this.#read(this.#decoder.decode(), false) + this.#endLine();
  }

  #endLine(): string {
    const data = this.#read("", true);
    this.#line = "";
    return data;
  }

  #read(part: string, isWhole: boolean): string {
    if (typeof this.#line === "boolean") return this.#line ? part : "";
    const line = this.#line + part;
    if (line.length < FIELD_CHARS && !isWhole) {
      this.#line = line;
      return "";
    }
    this.#line = line.startsWith("data") && (line.length === 4 || line[4] === ":");
    if (!this.#line) return "";
    const data = `${this.#hasData ? "\n" : ""}${line.slice(line[5] === " " ? FIELD_CHARS : FIELD_CHARS - 1)}`;
    this.#hasData = true;
    return data;
  }
}
