// Reads a body in pieces of a bounded size. Byte streams are read into one buffer of ours, because a default read of
// workerd brings only 4 KiB; the chunks of other streams are cut to that size.

/** The most bytes of one piece. */
const READ_MAX_BYTES = 128 * 1024;
/** A read waits for this many bytes, or the end, once the buffer is that large: a megabyte then takes fewer turns. */
const READ_MIN_BYTES = 32 * 1024;
/** The first read. A client without a key may open many requests, and none may hold more memory than it has sent. */
const FIRST_BYTES = 4 * 1024;

/** `next` returns a view that is valid until the next call, or null at the end; it throws what the stream throws. */
export interface BodyReader {
  next(): Promise<Uint8Array | null>;
  /** Ends the reading. It is not awaited, because a sender that hangs must not hold up the answer. Never throws. */
  cancel(): void;
}

/** A stream, bytes that are in memory already, or a reader of its own kind. */
export type Body = ReadableStream<Uint8Array> | Uint8Array | BodyReader;

/** `cancel` stops the sender of a stream. */
export function readBody(source: Body): BodyReader {
  if (source instanceof Uint8Array) return readWhole(source);
  if (!(source instanceof ReadableStream)) return source;
  return readStream(source, (reader) => void reader.cancel().catch(() => undefined));
}

/** The same, but `cancel` only releases the stream, so that the rest of it can still be read. */
export function readShared(stream: ReadableStream<Uint8Array>): BodyReader {
  return readStream(stream, (reader) => reader.releaseLock());
}

type LetGo = (reader: ReadableStreamBYOBReader | ReadableStreamDefaultReader<Uint8Array>) => void;

function readStream(stream: ReadableStream<Uint8Array>, letGo: LetGo): BodyReader {
  let bytes: ReadableStreamBYOBReader;
  try {
    bytes = stream.getReader({ mode: "byob" });
  } catch (error) {
    // Only this error shows that it is not a byte stream; a locked stream fails again in the other reader.
    if (error instanceof TypeError) return readChunks(stream.getReader(), letGo);
    throw error;
  }
  return readBytes(bytes, letGo);
}

function readWhole(bytes: Uint8Array): BodyReader {
  let rest = bytes.length === 0 ? null : bytes;
  const next = async (): Promise<Uint8Array | null> => {
    const piece = rest;
    rest = null;
    return piece;
  };
  return { next, cancel: () => undefined };
}

function readBytes(reader: ReadableStreamBYOBReader, letGo: LetGo): BodyReader {
  let buffer = new ArrayBuffer(FIRST_BYTES);
  let isOver = false;
  const next = async (): Promise<Uint8Array | null> => {
    if (isOver) return null;
    const sizeBytes = buffer.byteLength;
    const { done, value } = await reader.readAtLeast(Math.min(READ_MIN_BYTES, sizeBytes), new Uint8Array(buffer));
    isOver = done;
    if (value === undefined || value.byteLength === 0) return null;
    const isFull = value.byteLength === sizeBytes;
    buffer = isFull && sizeBytes < READ_MAX_BYTES ? new ArrayBuffer(2 * sizeBytes) : value.buffer;
    return value;
  };
  return { next, cancel: () => letGo(reader) };
}

function readChunks(reader: ReadableStreamDefaultReader<Uint8Array>, letGo: LetGo): BodyReader {
  let chunk: Uint8Array = new Uint8Array(0);
  const next = async (): Promise<Uint8Array | null> => {
    while (chunk.length === 0) {
      const { done, value } = await reader.read();
      if (done) return null;
      chunk = value;
    }
    const piece = chunk.subarray(0, READ_MAX_BYTES);
    chunk = chunk.subarray(READ_MAX_BYTES);
    return piece;
  };
  return { next, cancel: () => letGo(reader) };
}
