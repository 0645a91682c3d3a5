// The body of a call, sent so that we know afterwards whether the receiver can have begun.
//
// workerd reports a refused connect, a failed handshake and a reset after sending with the same error ("Network
// connection lost.", retryable, remote). But it writes nothing before the connection is made: in trials against a
// closed port it read three chunks ahead, whatever their size, and then waited. So the last byte of the JSON text is
// sent after a few chunks of one space. While workerd has not taken that byte, nobody can have read a whole JSON text,
// and the job cannot have begun; afterwards it may have. Once more chunks were taken than are read ahead, the
// connection was made: a later failure is the receiver's, who would treat the same body alike again. As many spaces
// follow the first brace, to prove this at once for a body that comes in pieces, before R2 has brought several. Each
// chunk costs a call about 15 µs, so there are no more than the proof needs.

/** One more chunk than workerd was seen to read ahead in every trial. */
const READ_AHEAD_MAX_CHUNKS = 4;
/** With the body before them and the last byte behind them, they make one chunk more than may be read ahead. */
const PAD_CHUNKS = READ_AHEAD_MAX_CHUNKS - 1;
const SPACE = new Uint8Array([0x20]);

export interface SentBody {
  readonly readable: ReadableStream<Uint8Array>;
  /** True once the last byte was handed over: the receiver may then have all of the body. */
  complete(): boolean;
  /** True once the receiver must have taken a part of the body, so that the connection was made. */
  connected(): boolean;
  /** Ends the sending when the call is over before the body is. */
  stop(): void;
}

/** A JSON text as it goes out if it is `provable` and in memory as a whole: for whoever signs what is sent. */
export function asSent(text: string): string {
  return `${text.slice(0, -1)}${" ".repeat(PAD_CHUNKS)}${text.slice(-1)}`;
}

/** Sends a JSON text that is in memory as a whole, else as `sendBody`. All its chunks are handed over in one turn. */
export function sendBytes(bytes: Uint8Array, onProgress: (done: boolean) => void, provable: boolean): SentBody {
  if (bytes.length === 0) throw new Error("a body must not be empty");
  const pads = provable ? PAD_CHUNKS : 0;
  const { readable, writable } = new FixedLengthStream(bytes.length + pads);
  const writer = writable.getWriter();
  let takenChunks = 0;
  const split = [bytes.subarray(0, -1), ...Array.from({ length: pads }, () => SPACE), bytes.subarray(-1)];
  const chunks = provable ? split.filter(({ length }) => length > 0) : [bytes];
  const taken = (): void => {
    takenChunks += 1;
    onProgress(takenChunks === chunks.length);
  };
  // The call itself fails when its body does, so the errors of these promises add nothing.
  for (const chunk of chunks) writer.write(chunk).then(taken, () => undefined);
  writer.close().catch(() => undefined);
  return {
    readable,
    complete: () => takenChunks === chunks.length,
    connected: () => takenChunks > READ_AHEAD_MAX_CHUNKS,
    stop: () => void writer.abort(new Error("the call ended")).catch(() => undefined),
  };
}

/**
 * Streams a JSON text that has the known length `sizeBytes`. `onProgress` is called with each chunk that was taken,
 * with true once all is out. `provable` adds the spaces: only where nobody compares or signs the bytes. The text must
 * not end with white space, because its last byte is what makes it whole. A provable text is an object.
 */
export function sendBody(
  source: ReadableStream<Uint8Array>,
  sizeBytes: number,
  onProgress: (done: boolean) => void,
  provable: boolean,
): SentBody {
  const pads = provable ? PAD_CHUNKS : 0;
  const pipe = new FixedLengthStream(sizeBytes + 2 * pads);
  const writer = pipe.writable.getWriter();
  let handedOver = false;
  let takenChunks = 0;
  const pump = async (): Promise<void> => {
    let held: Uint8Array | null = null;
    let isFirst = provable;
    const write = async (bytes: Uint8Array): Promise<void> => {
      if (bytes.length > 0) {
        await writer.write(bytes);
        takenChunks += 1;
      }
      onProgress(false);
    };
    for await (const chunk of source) {
      if (chunk.length === 0) continue;
      if (held !== null) await write(held);
      held = chunk;
      if (!isFirst) continue;
      isFirst = false;
      await write(held.subarray(0, 1));
      for (let pad = 0; pad < PAD_CHUNKS; pad += 1) await write(SPACE);
      held = held.subarray(1);
    }
    if (held === null) throw new Error("a body must not be empty");
    await write(held.subarray(0, -1));
    for (let pad = 0; pad < pads; pad += 1) await write(SPACE);
    handedOver = true;
    await write(held.subarray(-1));
    onProgress(true);
    await writer.close();
  };
  // The call itself fails when its body does, so the error of a broken pump adds nothing.
  pump().catch((cause: unknown) => writer.abort(cause).catch(() => undefined));
  return {
    readable: pipe.readable,
    complete: () => handedOver,
    connected: () => takenChunks > READ_AHEAD_MAX_CHUNKS,
    stop: () => void writer.abort(new Error("the call ended")).catch(() => undefined),
  };
}
