// Reads a body in pieces of a bounded size. Byte streams are read into one buffer of ours, because a default read of
// workerd brings 4 KiB; other streams are cut.

/** The most bytes of one piece. */
const READ_MAX_BYTES = 128 * 1024;
/** A read waits for this many bytes, or the end, once so many have come: fewer turns a megabyte. */
const READ_MIN_BYTES = 32 * 1024;
/** The first read. Whoever has no key may open many requests, and must not hold more by each of them than it has sent. */
const FIRST_BYTES = 4 * 1024;

/** `next` gives a view that is valid until the next call, or null at the end; it throws what the stream throws. */
export interface BodyReader {
  next(): Promise<Uint8Array | null>;
  /** Nothing more is read; not awaited, because a sender that hangs must not hold up the answer. Never throws. */
  cancel(): void;
}

/** A stream, bytes that are there already, or what reads by itself. */
export type Body = ReadableStream<Uint8Array> | Uint8Array | BodyReader;

/** `cancel` stops the sender of a stream. */
export function readBody(source: Body): BodyReader {
  if (source instanceof Uint8Array) return new WholeReader(source);
  if (!(source instanceof ReadableStream)) return source;
  return readStream(source, (reader) => void reader.cancel().catch(() => undefined));
}

/** The same, but `cancel` lets go of the stream: what is left of it can still be taken. */
export function readShared(stream: ReadableStream<Uint8Array>): BodyReader {
  return readStream(stream, (reader) => reader.releaseLock());
}

type LetGo = (reader: ReadableStreamBYOBReader | ReadableStreamDefaultReader<Uint8Array>) => void;

function readStream(stream: ReadableStream<Uint8Array>, letGo: LetGo): BodyReader {
  return byteReader(stream, letGo) ?? new ChunkReader(stream, letGo);
}

class WholeReader implements BodyReader {
  #bytes: Uint8Array | null;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes.length === 0 ? null : bytes;
  }

  async next(): Promise<Uint8Array | null> {
    const bytes = this.#bytes;
    this.#bytes = null;
    return bytes;
  }

  cancel(): void {}
}

function byteReader(stream: ReadableStream<Uint8Array>, letGo: LetGo): BodyReader | null {
  try {
    return new ByteReader(stream.getReader({ mode: "byob" }), letGo);
  } catch (error) {
    // The only way to learn that a stream is not one of bytes; a locked stream fails again in the other reader.
    if (error instanceof TypeError) return null;
    throw error;
  }
}

class ByteReader implements BodyReader {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #letGo: LetGo;
  #buffer = new ArrayBuffer(FIRST_BYTES);
  #ended = false;

  constructor(reader: ReadableStreamBYOBReader, letGo: LetGo) {
    this.#reader = reader;
    this.#letGo = letGo;
  }

  async next(): Promise<Uint8Array | null> {
    if (this.#ended) return null;
    const sizeBytes = this.#buffer.byteLength;
    const { done, value } = await this.#reader.readAtLeast(
      Math.min(READ_MIN_BYTES, sizeBytes),
      new Uint8Array(this.#buffer),
    );
    this.#ended = done;
    if (value === undefined || value.byteLength === 0) return null;
    const isFull = value.byteLength === sizeBytes;
    this.#buffer = isFull && sizeBytes < READ_MAX_BYTES ? new ArrayBuffer(2 * sizeBytes) : value.buffer;
    return value;
  }

  cancel(): void {
    this.#letGo(this.#reader);
  }
}

class ChunkReader implements BodyReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #letGo: LetGo;
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(stream: ReadableStream<Uint8Array>, letGo: LetGo) {
    this.#reader = stream.getReader();
    this.#letGo = letGo;
  }

  async next(): Promise<Uint8Array | null> {
    while (this.#chunk.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#chunk = value;
    }
    const piece = this.#chunk.subarray(0, READ_MAX_BYTES);
    this.#chunk = this.#chunk.subarray(READ_MAX_BYTES);
    return piece;
  }

  cancel(): void {
    this.#letGo(this.#reader);
  }
}
