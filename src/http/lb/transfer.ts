// One direction of a load-balanced request: bytes from a source to a sink, within a limit. The platform's own pipe
// moves an answer whose length is known before. Other bytes pass through JavaScript, where they are counted, and where
// the rest of an upload can be read after its worker has gone. Both use the same memory for a body of any size.

import type { SecretBlanker } from "../../core/access/secret-forms.ts";
import { LB_FILL_BYTES, LB_PIPE_BYTES } from "../../core/limits.ts";
import { within } from "../../db/deadline.ts";
import { breakWhenStopped, discardAll, type PipeEnd, pipeAll, pumpAtMost } from "../kit/pipes.ts";

/** `source_broke`: the source ended too early; `sink_broke`: no more bytes are taken, or the transfer was ended. */
export type TransferEnd = PipeEnd | "too_large";

export interface Transfer {
  /** The bytes for the sink's reader. If the transfer ends early, this stream breaks off and does not end. */
  readonly readable: ReadableStream<Uint8Array>;
  /** How the transfer ended while bytes were held back, or null once the sink gets bytes. Never rejects. */
  readonly begun: Promise<TransferEnd | null>;
  /** How the transfer ended. Never rejects. */
  readonly end: Promise<TransferEnd>;
  stop(): void;
  /**
   * Ends the transfer at the sink only, and takes the rest of the source for at most `maxMs`. Resolves once the source
   * is at its end, or at once if it is there already; never rejects.
   */
  takeRest(maxMs: number): Promise<void>;
}

interface TransferLimits {
  /** The length of the body, at most `maxBytes`; null: it is not known before. */
  readonly lengthBytes: number | null;
  /** One byte more than this ends the transfer. */
  readonly maxBytes: number;
  /** Bytes are held back for this long, to the end or to LB_PIPE_BYTES, so that an early break can be reported. */
  readonly holdMs: number;
  /** When the sink breaks, an upload's rest is taken until `takeRest` or `stop`, and an answer's rest is cancelled. */
  readonly isUpload: boolean;
  /** Blanks secrets in the bytes; without it, an answer of a known length does not pass through JavaScript. */
  readonly blanker?: SecretBlanker | undefined;
  /** The sink is ended only after this promise, once all bytes have gone out. Never rejects. */
  readonly beforeEnd?: () => Promise<void>;
}

/** Starts to carry `source`. */
export function startTransfer(source: ReadableStream<Uint8Array>, limits: TransferLimits): Transfer {
  const { lengthBytes } = limits;
  const { readable, writable } =
    lengthBytes === null ? new IdentityTransformStream() : new FixedLengthStream(lengthBytes);
  const stopped = new AbortController();
  const dropped = new AbortController();
  const begun = Promise.withResolvers<TransferEnd | null>();
  const cause = new Error("the transfer has ended early");
  const ends = { stop: stopped.signal, drop: dropped.signal };
  const end = carry(source, writable, limits, ends, () => begun.resolve(null)).then(async (how) => {
    if (how === "done") await limits.beforeEnd?.();
    // A FixedLengthStream that has not had all bytes refuses to be closed: the source was shorter than it announced.
    if (how === "done" && (await settles(writable.close()))) return how;
    await settles(writable.abort(cause));
    return how === "done" ? "source_broke" : how;
  });
  void end.then(begun.resolve);
  const over = end.then(async (how) => {
    if (how === "done") return;
    if (limits.isUpload) await discardAll(source, stopped.signal);
    await settles(source.cancel(cause));
  });
  const stop = (): void => stopped.abort(new Error("the transfer was stopped"));
  const takeRest = async (maxMs: number): Promise<void> => {
    dropped.abort(new Error("the transfer has lost its sink"));
    await within(maxMs, over, "the rest").catch(() => undefined);
    stop();
  };
  return { readable, begun: begun.promise, end, stop, takeRest };
}

/** Carries all bytes, the first ones after the hold; closes neither side. `begin`: called when the hold is over. */
async function carry(
  source: ReadableStream<Uint8Array>,
  sink: WritableStream,
  { lengthBytes, maxBytes, holdMs, isUpload, blanker }: TransferLimits,
  ends: { readonly stop: AbortSignal; readonly drop: AbortSignal },
  begin: () => void,
): Promise<TransferEnd> {
  const head = holdMs > 0 ? await readHead(source, holdMs, ends.stop) : NO_HEAD;
  if (head === "source_broke") return head;
  if (head.bytes > maxBytes) return "too_large";
  // The source announced a shorter length than this.
  if (lengthBytes !== null && head.bytes > lengthBytes) return "source_broke";
  begin();
  const written = await writeHead(head, sink, { maxBytes, blanker }, ends.stop);
  if (typeof written === "string") return written;
  if (lengthBytes !== null && !isUpload && blanker === undefined) return pipeAll(source, sink, ends.stop);
  // A client that announces an upload's length does not wait for an answer to its first half, so reads may wait.
  const fills = lengthBytes !== null && isUpload;
  const bufferBytes = fills ? Math.min(Math.max(lengthBytes, 1), LB_FILL_BYTES) : LB_PIPE_BYTES;
  return pumpAtMost(source, sink, { maxBytes: maxBytes - written, bufferBytes, fills, blanker, ...ends });
}

/** The first bytes of a source. `rest`: the read that was under way when the hold ended. */
interface Head {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
  readonly rest: Promise<Uint8Array | null | "source_broke"> | null;
}

const NO_HEAD: Head = { pieces: [], bytes: 0, rest: null };

/** Copies the pieces that come within `holdMs`; if `rest` is null, another reader can then take the source. */
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
      // A worker may send thousands of single bytes, and none of these pieces may keep a whole buffer in memory.
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

/** Writes the bytes that were held back, and then the rest. Returns their number, or how the transfer has ended. */
async function writeHead(
  head: Head,
  sink: WritableStream,
  { maxBytes, blanker }: Pick<TransferLimits, "maxBytes" | "blanker">,
  signal: AbortSignal,
): Promise<number | TransferEnd> {
  const writer = sink.getWriter();
  const release = breakWhenStopped(writer, signal);
  const write = async (piece: Uint8Array): Promise<boolean> => {
    const shown = blanker === undefined ? piece : blanker.push(piece);
    return shown.length === 0 || (await settles(writer.write(shown)));
  };
  try {
    for (const piece of head.pieces) if (!(await write(piece))) return "sink_broke";
    const rest = await head.rest;
    if (rest === null) return head.bytes;
    if (rest === "source_broke") return rest;
    if (head.bytes + rest.length > maxBytes) return "too_large";
    return (await write(rest)) ? head.bytes + rest.length : "sink_broke";
  } finally {
    release();
    writer.releaseLock();
  }
}

/** Null: the source has no more bytes. */
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

function settles(work: Promise<void>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}
