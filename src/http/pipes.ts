// Two ways from one stream to another, with an answer to the question which side has broken. Neither side is closed, cancelled
// or aborted here: that is for whoever knows what the end means.
import { LB_PIPE_BYTES } from "../core/limits.ts";

/** `sink_broke`: also when the signal has ended it. */
export type PipeEnd = "done" | "source_broke" | "sink_broke";

const LEAVE_OPEN = { preventAbort: true, preventCancel: true, preventClose: true } as const;

/** Carries everything by the platform's own pipe: no byte passes through JavaScript. The source is no IdentityTransformStream. */
export async function pipeAll(source: ReadableStream, sink: WritableStream, signal: AbortSignal): Promise<PipeEnd> {
  try {
    await source.pipeTo(sink, { ...LEAVE_OPEN, signal });
    return "done";
  } catch {
    return signal.aborted || (await hasFailed(sink)) ? "sink_broke" : "source_broke";
  }
}

/** A sink that has broken says so at once; a sound one says nothing. The source is broken by the pipe in either case (tried). */
async function hasFailed(sink: WritableStream): Promise<boolean> {
  const writer = sink.getWriter();
  const failed = writer.closed.then(
    () => false,
    () => true,
  );
  try {
    return await Promise.race([failed, scheduler.wait(0).then(() => false)]);
  } finally {
    writer.releaseLock();
  }
}

/**
 * Breaks the sink when the signal says stop: a write to a reader that takes nothing would wait for as long as that reader likes.
 * Answers what ends the watch.
 */
export function breakWhenStopped(writer: WritableStreamDefaultWriter, signal: AbortSignal): () => void {
  const stop = (): void => void writer.abort(signal.reason).catch(() => undefined);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop);
  return () => signal.removeEventListener("abort", stop);
}

/**
 * Carries at most so many bytes; one more is `too_large`. The platform's pipe cannot count. One buffer goes round, and the loop
 * makes as little garbage as it can: a body comes in thousands of pieces, and V8 lets garbage grow before it collects.
 */
export async function pumpAtMost(
  source: ReadableStream<Uint8Array>,
  sink: WritableStream,
  maxBytes: number,
  signal: AbortSignal,
): Promise<PipeEnd | "too_large"> {
  const reader = source.getReader({ mode: "byob" });
  const writer = sink.getWriter();
  const stop = (): void => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener("abort", stop);
  const release = breakWhenStopped(writer, signal);
  let isWriting = false;
  try {
    let buffer = new ArrayBuffer(LB_PIPE_BYTES);
    for (let bytes = 0; ; ) {
      isWriting = false;
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (signal.aborted) return "sink_broke";
      if (done) return "done";
      bytes += value.byteLength;
      if (bytes > maxBytes) return "too_large";
      isWriting = true;
      await writer.write(value);
      // The write is over when its bytes were taken, so that the same memory is free for the next ones.
      buffer = value.buffer;
    }
  } catch {
    return isWriting || signal.aborted ? "sink_broke" : "source_broke";
  } finally {
    signal.removeEventListener("abort", stop);
    release();
    reader.releaseLock();
    writer.releaseLock();
  }
}
