// Two ways from one stream to another, with an answer to the question which side has broken. Neither side is closed, cancelled
// or aborted here: that is for whoever knows what the end means.
import type { SecretBlanker } from "../../core/access/secret-forms.ts";
import { readBody } from "../../payload/body-reader.ts";

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

/** What a pump may carry, and what ends it. */
export interface PumpLimits {
  /** One byte more is `too_large`. */
  readonly maxBytes: number;
  /** What is under way at once. */
  readonly bufferBytes: number;
  /** A read waits for a full buffer, or the end: fewer turns a megabyte, but later ones. */
  readonly fills: boolean;
  /** Ends it, and the source with it. */
  readonly stop: AbortSignal;
  /** Ends it, but leaves the source able to be read on. */
  readonly drop: AbortSignal;
  /** What the bytes pass through; as many come out of it. */
  readonly blanker?: SecretBlanker | undefined;
}

/**
 * Carries bytes through JavaScript: the platform's pipe can neither count nor leave a source whole whose sink has broken. One
 * buffer goes round, and the loop makes as little garbage as it can: a body comes in thousands of pieces, and V8 lets garbage
 * grow before it collects.
 */
export async function pumpAtMost(
  source: ReadableStream<Uint8Array>,
  sink: WritableStream,
  { maxBytes, bufferBytes, fills, stop, drop, blanker }: PumpLimits,
): Promise<PipeEnd | "too_large"> {
  const reader = source.getReader({ mode: "byob" });
  const writer = sink.getWriter();
  const end = (): void => void reader.cancel(stop.reason).catch(() => undefined);
  stop.addEventListener("abort", end);
  const releases = [stop, drop].map((signal) => breakWhenStopped(writer, signal));
  const isEnded = (): boolean => stop.aborted || drop.aborted;
  let isWriting = false;
  try {
    let buffer = new ArrayBuffer(bufferBytes);
    for (let bytes = 0; ; ) {
      isWriting = false;
      const { done, value } = await reader.readAtLeast(fills ? bufferBytes : 1, new Uint8Array(buffer));
      if (isEnded()) return "sink_broke";
      if (value !== undefined && value.byteLength > 0) {
        bytes += value.byteLength;
        if (bytes > maxBytes) return "too_large";
        isWriting = true;
        const shown = blanker === undefined ? value : blanker.push(value);
        if (shown.length > 0) await writer.write(shown);
        // The write is over when its bytes were taken, so that the same memory is free for the next ones.
        buffer = value.buffer;
      }
      if (!done) continue;
      const held = blanker?.end();
      isWriting = true;
      if (held !== undefined && held.length > 0) await writer.write(held);
      return "done";
    }
  } catch {
    return isWriting || isEnded() ? "sink_broke" : "source_broke";
  } finally {
    stop.removeEventListener("abort", end);
    for (const release of releases) release();
    reader.releaseLock();
    writer.releaseLock();
  }
}

/** Takes and drops what a source still brings, until it ends, breaks or the signal says stop, which cancels it. Never rejects. */
export async function discardAll(source: ReadableStream<Uint8Array>, stop: AbortSignal): Promise<void> {
  if (stop.aborted) return;
  let end = (): void => undefined;
  try {
    // Somebody else may read it by now.
    const reader = readBody(source);
    end = reader.cancel.bind(reader);
    stop.addEventListener("abort", end);
    for (let piece = await reader.next(); piece !== null; ) piece = await reader.next();
  } catch {
    return;
  } finally {
    stop.removeEventListener("abort", end);
  }
}
