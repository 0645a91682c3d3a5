// Two ways of moving bytes from one stream to another that report which side has broken. Neither closes, cancels or
// aborts a side: the caller does, because only the caller knows what the end means.
import type { SecretBlanker } from "../../core/access/secret-forms.ts";
import { readBody } from "../../payload/body-reader.ts";

/** `sink_broke`: the sink has broken, or the signal has ended the transfer. */
export type PipeEnd = "done" | "source_broke" | "sink_broke";

const LEAVE_OPEN = { preventAbort: true, preventCancel: true, preventClose: true } as const;

/** Moves all bytes by the platform's pipe, outside of JavaScript. The source must be no IdentityTransformStream. */
export async function pipeAll(source: ReadableStream, sink: WritableStream, signal: AbortSignal): Promise<PipeEnd> {
  try {
    await source.pipeTo(sink, { ...LEAVE_OPEN, signal });
    return "done";
  } catch {
    return signal.aborted || (await hasFailed(sink)) ? "sink_broke" : "source_broke";
  }
}

/** A broken sink's `closed` rejects at once, a sound one's stays open. The pipe breaks the source anyway (tried). */
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
 * Breaks the sink when the signal fires: otherwise a write to a reader that takes nothing would wait as long as the
 * reader likes. Returns the function that ends this watch.
 */
export function breakWhenStopped(writer: WritableStreamDefaultWriter, signal: AbortSignal): () => void {
  const stop = (): void => void writer.abort(signal.reason).catch(() => undefined);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop);
  return () => signal.removeEventListener("abort", stop);
}

/** The bytes that a pump may carry, and the signals that end it. */
export interface PumpLimits {
  /** One byte more ends with `too_large`. */
  readonly maxBytes: number;
  /** The bytes that are under way at once. */
  readonly bufferBytes: number;
  /** A read waits for a full buffer or the end: a megabyte takes fewer turns, but its bytes come later. */
  readonly fills: boolean;
  /** Ends the pump, and cancels the source. */
  readonly stop: AbortSignal;
  /** Ends the pump, but leaves the source readable. */
  readonly drop: AbortSignal;
  /** Blanks secrets in the bytes; it returns as many bytes as it takes. */
  readonly blanker?: SecretBlanker | undefined;
}

/**
 * Carries bytes through JavaScript, because the platform's pipe can neither count them nor leave the source readable
 * when the sink breaks. One buffer is used again and again and the loop makes as little garbage as it can, because a
 * body comes in thousands of pieces, and V8 lets garbage grow before it collects.
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
        // The write ends when its bytes were taken, so that this memory is free for the next ones.
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

/** Reads and drops the rest of a source until it ends or breaks, or `stop` cancels it. Never rejects. */
export async function discardAll(source: ReadableStream<Uint8Array>, stop: AbortSignal): Promise<void> {
  if (stop.aborted) return;
  let end = (): void => undefined;
  try {
    // This throws if another reader has the source by now.
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
