// One direction of a load-balanced request: bytes from a source to a sink, counted. One buffer goes round and no chunk is
// kept, so that a body of any size and speed takes the same memory.
import { LB_PIPE_BYTES } from "../core/limits.ts";

/** `source_broke`: it ended before its end; `sink_broke`: nobody takes the bytes any more, or `stop` was called. */
export type TransferEnd = "done" | "too_large" | "source_broke" | "sink_broke";

export interface Transfer {
  /** What the sink reads. It breaks off, and does not end, when the transfer does. */
  readonly readable: ReadableStream<Uint8Array>;
  /** How it ended while it was held back, or null: from now on the sink gets bytes. Never rejects. */
  readonly begun: Promise<TransferEnd | null>;
  /** Never rejects. */
  readonly end: Promise<TransferEnd>;
  /** Pieces that the sink has taken so far. */
  pieces(): number;
  stop(): void;
}

interface TransferLimits {
  /** Null: not known before. */
  readonly lengthBytes: number | null;
  /** One byte over ends it. */
  readonly maxBytes: number;
  /** It is held back until it is over, there are LB_PIPE_BYTES of it, or so long: a source that breaks by then can be told of. */
  readonly holdMs: number;
}

/** Starts to carry `source`. */
export function startTransfer(source: ReadableStream<Uint8Array>, limits: TransferLimits): Transfer {
  const { lengthBytes, maxBytes, holdMs } = limits;
  const pipe = lengthBytes === null ? new IdentityTransformStream() : new FixedLengthStream(lengthBytes);
  const writer = pipe.writable.getWriter();
  const pieces = new Pieces(source.getReader({ mode: "byob" }), maxBytes);
  const begun = Promise.withResolvers<TransferEnd | null>();
  let taken = 0;
  const write = async (bytes: Uint8Array): Promise<boolean> => {
    const isTaken = await settles(writer.write(bytes));
    if (isTaken) taken += 1;
    return isTaken;
  };
  const carry = async (): Promise<TransferEnd> => {
    const held = holdMs > 0 ? await pieces.hold(holdMs) : [];
    if (!Array.isArray(held)) return held;
    begun.resolve(null);
    for (const bytes of held) if (!(await write(bytes))) return "sink_broke";
    for (;;) {
      const bytes = await pieces.next();
      if (bytes === "done") return (await settles(writer.close())) ? "done" : "source_broke";
      if (typeof bytes === "string") return bytes;
      if (!(await write(bytes))) return "sink_broke";
    }
  };
  const stop = (): void => {
    const cause = new Error("the transfer was stopped");
    writer.abort(cause).catch(() => undefined);
    pieces.cancel(cause);
  };
  const end = carry().finally(stop);
  end.then(begun.resolve);
  return { readable: pipe.readable, begun: begun.promise, end, pieces: () => taken, stop };
}

type Piece = Uint8Array | "done" | "too_large" | "source_broke";

/** The pieces of a source, counted, all in the same memory: one is good until the next is asked for. */
class Pieces {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #maxBytes: number;
  #buffer = new ArrayBuffer(LB_PIPE_BYTES);
  #bytes = 0;
  /** Asked for while it was held back, and not there by the end of that time. */
  #pending: Promise<Piece> | null = null;

  constructor(reader: ReadableStreamBYOBReader, maxBytes: number) {
    this.#reader = reader;
    this.#maxBytes = maxBytes;
  }

  next(): Promise<Piece> {
    const piece = this.#pending ?? this.#read();
    this.#pending = null;
    return piece;
  }

  /** Copies of the first pieces, as far as they come within `holdMs`, or how the source has failed. */
  async hold(holdMs: number): Promise<Uint8Array[] | "too_large" | "source_broke"> {
    const held: Uint8Array[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const isLate = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), holdMs);
    });
    for (let bytes = 0; bytes < LB_PIPE_BYTES; ) {
      this.#pending ??= this.#read();
      const piece = await Promise.race([this.#pending, isLate]);
      if (piece === "late" || piece === "done") break;
      this.#pending = null;
      if (typeof piece === "string") return piece;
      held.push(piece.slice());
      bytes += piece.length;
    }
    clearTimeout(timer ?? null);
    return held;
  }

  cancel(cause: Error): void {
    this.#reader.cancel(cause).catch(() => undefined);
  }

  async #read(): Promise<Piece> {
    const piece = await this.#reader.read(new Uint8Array(this.#buffer)).catch(() => null);
    if (piece === null) return "source_broke";
    if (piece.done) return "done";
    this.#buffer = piece.value.buffer;
    this.#bytes += piece.value.byteLength;
    return this.#bytes > this.#maxBytes ? "too_large" : piece.value;
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
