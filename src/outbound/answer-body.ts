// Reads the body of an answer piece by piece under the deadlines of its call. No stream of our own is put between,
// because each turn of one costs more than all bytes of a usual answer.
import { SecretBlanker, type SecretForms } from "../core/access/secret-forms.ts";
import type { Watch } from "./watch.ts";

/** A body whose announced length is at most this is read in one go. */
const SMALL_BODY_MAX_BYTES = 64 * 1024;

/** The body can be read once, by `next` or by iteration. */
export class AnswerBody implements AsyncIterable<Uint8Array> {
  /** Why the body ended early, once it was read; null when it came to its end. */
  broken: "reset" | "timeout" | "aborted" | null = null;
  /** Bytes of the decoded body that were read so far. */
  bytesRead = 0;
  readonly #response: Response;
  readonly #watch: Watch;
  readonly #blanker: SecretBlanker | null;
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #isOver = false;
  /** True once the body was read to its end. */
  isWhole = false;

  /** `secrets`: the texts to blank in the body. */
  constructor(response: Response, watch: Watch, secrets: SecretForms | null) {
    this.#response = response;
    this.#watch = watch;
    this.#blanker = secrets === null || secrets.isEmpty ? null : new SecretBlanker(secrets);
  }

  /** The next piece, or null at the end. Throws when the body ends early. */
  async next(): Promise<Uint8Array | null> {
    if (this.#blanker === null) return await this.#nextPiece();
    for (;;) {
      const piece = await this.#nextPiece();
      const shown = piece === null ? this.#blanker.end() : this.#blanker.push(piece);
      if (shown.length > 0) return shown;
      if (piece === null) return null;
    }
  }

  async #nextPiece(): Promise<Uint8Array | null> {
    if (this.#isOver) {
      this.#watch.end();
      return null;
    }
    try {
      this.#watch.armIdle();
      const piece = await this.#read();
      this.#watch.disarmIdle();
      if (piece === null) this.#watch.end();
      else this.bytesRead += piece.length;
      this.isWhole = this.#isOver;
      return piece;
    } catch {
      this.#isOver = true;
      this.#watch.end();
      const { cause } = this.#watch;
      this.broken = cause === null ? "reset" : cause === "signal" ? "aborted" : "timeout";
      throw new Error("the answer ended early");
    }
  }

  /** Drops the rest of the body. Never throws. */
  cancel(): void {
    this.#isOver = true;
    this.#watch.end();
    const body = this.#reader ?? (this.#response.bodyUsed ? null : this.#response.body);
    body?.cancel().catch(() => undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (let piece = await this.next(); piece !== null; piece = await this.next()) yield piece;
  }

  async #read(): Promise<Uint8Array | null> {
    const { body, headers } = this.#response;
    // The length of compressed bytes bounds nothing: a bomb is read piece by piece, so that its reader can stop.
    const hasLength = this.#reader === null && !headers.has("content-encoding");
    if (hasLength && Number(headers.get("content-length") ?? Number.NaN) <= SMALL_BODY_MAX_BYTES) {
      this.#isOver = true;
      const whole = new Uint8Array(await this.#response.arrayBuffer());
      return whole.length === 0 ? null : whole;
    }
    this.#reader ??= body?.getReader() ?? null;
    const read = await this.#reader?.read();
    if (read !== undefined && !read.done) return read.value;
    this.#isOver = true;
    return null;
  }
}
