// The end of what a program has written to its standard error, as people may see it.
import { stripVTControlCharacters } from "node:util";
import { SecretForms } from "../../core/access/secret-forms.ts";

/** More than the longest variable that Linux lets a program have (128 KiB), so that no secret is cut in two where the words begin. */
const KEPT_BYTES = 160 * 1024;
const LINES_MAX = 10;
/** A broker shows the first 500 characters of what a provider says, and the last ones tell why a program has ended. */
const CHARS_MAX = 400;

export class LastWords {
  #kept: Buffer = Buffer.alloc(0);
  /** Appending is copying, so pieces wait until they are many. */
  #pieces: Buffer[] = [];
  #piecesBytes = 0;

  add(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#piecesBytes += piece.length;
    if (this.#piecesBytes >= KEPT_BYTES) this.#join();
  }

  /** The last lines, with asterisks in the place of each of the secrets. */
  read(secrets: readonly string[]): string {
    this.#join();
    const text = new SecretForms(secrets).blankText(this.#kept.toString("utf8"));
    // A progress bar begins its line anew by a carriage return.
    const lines = stripVTControlCharacters(text).split(/[\r\n]+/);
    const shown = lines.filter((line) => line.trim() !== "").slice(-LINES_MAX);
    return shown.join("\n").slice(-CHARS_MAX).toWellFormed().trim();
  }

  #join(): void {
    this.#kept = Buffer.concat([this.#kept, ...this.#pieces]);
    this.#kept = Buffer.from(this.#kept.subarray(-KEPT_BYTES));
    this.#pieces = [];
    this.#piecesBytes = 0;
  }
}
