// One direction of a load-balanced request: bytes from a source to a sink, counted. One buffer goes round and no chunk is
// kept, so that a body of any size and speed takes the same memory.
import { LB_PIPE_BYTES } from "../core/limits.ts";

/** `source_broke`: it ended before its end; `sink_broke`: nobody takes the bytes any more, or `stop` was called. */
export type TransferEnd = "done" | "too_large" | "source_broke" | "sink_broke";

export interface Transfer {
  /** What the sink reads. It breaks off, and does not end, when the transfer does. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Never rejects. */
  readonly end: Promise<TransferEnd>;
  /** Pieces that the sink has taken so far. */
  pieces(): number;
  stop(): void;
}

/** Starts to carry `source`. `lengthBytes` null: not known before. One byte over `maxBytes` ends it. */
export function startTransfer(
  source: ReadableStream<Uint8Array>,
  lengthBytes: number | null,
  maxBytes: number,
): Transfer {
  const pipe = lengthBytes === null ? new IdentityTransformStream() : new FixedLengthStream(lengthBytes);
  const writer = pipe.writable.getWriter();
  const reader = source.getReader({ mode: "byob" });
  let pieces = 0;
  const carry = async (): Promise<TransferEnd> => {
    let buffer = new ArrayBuffer(LB_PIPE_BYTES);
    for (let bytes = 0; ; ) {
      const piece = await reader.read(new Uint8Array(buffer)).catch(() => null);
      if (piece === null) return "source_broke";
      if (piece.done) return (await settles(writer.close())) ? "done" : "source_broke";
      bytes += piece.value.byteLength;
      if (bytes > maxBytes) return "too_large";
      if (!(await settles(writer.write(piece.value)))) return "sink_broke";
      pieces += 1;
      // The write is over when its bytes were taken, so the same memory is free for the next ones.
      buffer = piece.value.buffer;
    }
  };
  const stop = (): void => {
    const cause = new Error("the transfer was stopped");
    writer.abort(cause).catch(() => undefined);
    reader.cancel(cause).catch(() => undefined);
  };
  const end = carry().finally(stop);
  return { readable: pipe.readable, end, pieces: () => pieces, stop };
}

async function settles(work: Promise<void>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch {
    return false;
  }
}
