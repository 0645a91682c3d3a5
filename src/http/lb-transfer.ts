// One direction of a load-balanced request: bytes from a source to a sink, within a limit. Where the length is known before, the
// platform's own pipe moves them; else they are counted on their way. Either takes the same memory for a body of any size.
import { LB_PIPE_BYTES } from "../core/limits.ts";
import { breakWhenStopped, type PipeEnd, pipeAll, pumpAtMost } from "./pipes.ts";

/** `source_broke`: it ended before its end; `sink_broke`: nobody takes the bytes any more, or `stop` was called. */
export type TransferEnd = PipeEnd | "too_large";

export interface Transfer {
  /** What the sink reads. It breaks off, and does not end, when the transfer does. */
  readonly readable: ReadableStream<Uint8Array>;
  /** How it ended while it was held back, or null: from now on the sink gets bytes. Never rejects. */
  readonly begun: Promise<TransferEnd | null>;
  /** Never rejects. */
  readonly end: Promise<TransferEnd>;
  stop(): void;
}

interface TransferLimits {
  /** Null: not known before. At most `maxBytes`. */
  readonly lengthBytes: number | null;
  /** One byte over ends it. */
  readonly maxBytes: number;
  /** It is held back until it is over, there are LB_PIPE_BYTES of it, or so long: a source that breaks by then can be told of. */
  readonly holdMs: number;
}

/** Starts to carry `source`. */
export function startTransfer(source: ReadableStream<Uint8Array>, limits: TransferLimits): Transfer {
  const { lengthBytes, maxBytes, holdMs } = limits;
  const { readable, writable } =
    lengthBytes === null ? new IdentityTransformStream() : new FixedLengthStream(lengthBytes);
  const abort = new AbortController();
  const begun = Promise.withResolvers<TransferEnd | null>();
  const carry = async (): Promise<TransferEnd> => {
    const head = holdMs > 0 ? await readHead(source, holdMs, abort.signal) : NO_HEAD;
    if (head === "source_broke") return head;
    if (head.bytes > maxBytes) return "too_large";
    // It said that it is shorter.
    if (lengthBytes !== null && head.bytes > lengthBytes) return "source_broke";
    begun.resolve(null);
    const written = await writeHead(head, writable, maxBytes, abort.signal);
    if (typeof written === "string") return written;
    if (lengthBytes !== null) return pipeAll(source, writable, abort.signal);
    return pumpAtMost(source, writable, maxBytes - written, abort.signal);
  };
  const stop = (): void => abort.abort(new Error("the transfer was stopped"));
  const end = carry().then(async (how) => {
    // A FixedLengthStream that has not seen all bytes refuses to be closed: the source was shorter than it said.
    const isWhole = how === "done" && (await settles(writable.close()));
    if (isWhole) return how;
    const cause = new Error("the transfer has ended early");
    await Promise.all([settles(writable.abort(cause)), settles(source.cancel(cause))]);
    return how === "done" ? "source_broke" : how;
  });
  end.then(begun.resolve);
  return { readable, begun: begun.promise, end, stop };
}

/** The first bytes of a source. `rest`: a piece that was asked for and has not come by the end of the hold. */
interface Head {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
  readonly rest: Promise<Uint8Array | null | "source_broke"> | null;
}

const NO_HEAD: Head = { pieces: [], bytes: 0, rest: null };

/** Copies of the first pieces, as far as they come within `holdMs`; without a rest the source is free for another reader. */
async function readHead(source: ReadableStream, holdMs: number, signal: AbortSignal): Promise<Head | "source_broke"> {
  const reader = source.getReader({ mode: "byob" });
  signal.addEventListener("abort", () => void reader.cancel(signal.reason).catch(() => undefined));
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(() => late.resolve("late"), holdMs);
  const pieces: Uint8Array[] = [];
  let buffer = new ArrayBuffer(LB_PIPE_BYTES);
  let bytes = 0;
  try {
    while (bytes < LB_PIPE_BYTES) {
      const reading = readPiece(reader, buffer);
      const piece = await Promise.race([reading, late.promise]);
      if (piece === "late") {
        const rest = reading.finally(() => reader.releaseLock());
        return { pieces, bytes, rest };
      }
      if (piece === "source_broke") return piece;
      if (piece === null) break;
      // A worker may send thousands of single bytes: none of them may keep a buffer.
      pieces.push(piece.slice());
      buffer = piece.buffer;
      bytes += piece.length;
    }
  } finally {
    clearTimeout(timer);
  }
  reader.releaseLock();
  return { pieces, bytes, rest: null };
}

/** Writes what was held back, and the piece that was asked for after it. Answers the bytes, or how the transfer has ended. */
async function writeHead(
  head: Head,
  sink: WritableStream,
  maxBytes: number,
  signal: AbortSignal,
): Promise<number | TransferEnd> {
  const writer = sink.getWriter();
  const release = breakWhenStopped(writer, signal);
  try {
    for (const piece of head.pieces) if (!(await settles(writer.write(piece)))) return "sink_broke";
    const rest = await head.rest;
    if (rest === null) return head.bytes;
    if (rest === "source_broke") return rest;
    if (head.bytes + rest.length > maxBytes) return "too_large";
    return (await settles(writer.write(rest))) ? head.bytes + rest.length : "sink_broke";
  } finally {
    release();
    writer.releaseLock();
  }
}

/** Null: there are no more. */
async function readPiece(
  reader: ReadableStreamBYOBReader,
  buffer: ArrayBuffer,
): Promise<Uint8Array<ArrayBuffer> | null | "source_broke"> {
  try {
    const { done, value } = await reader.read(new Uint8Array(buffer));
    return done ? null : value;
  } catch {
    return "source_broke";
  }
}

async function settles(work: Promise<void>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch {
    return false;
  }
}
