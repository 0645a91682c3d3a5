// A job's chunks as server-sent events, for any number of readers, each from its own place. An event's id is that
// place, so a reader that was cut off continues from there by its Last-Event-ID.
import type { StreamChunk, StreamPage } from "../../contract/stream.ts";
import { isTerminal } from "../../core/job/job.ts";
import { cursorText, laterOf, parseCursor, type StreamCursor } from "../../core/job/stream-cursor.ts";
import { STREAM_COMMENT_EVERY_MS } from "../../core/limits.ts";
import { log } from "../../log.ts";
import { rawAnswer } from "../kit/answer.ts";
import { keepAnswering, type RouteContext } from "../kit/context.ts";
import { readPage, type StreamRead } from "../kit/read-stream.ts";

/** The pause between two calls to a broker that does not answer. */
const PAUSE_MS = 1_000;
const END_MARK = ".end";

/** The place that a reader has reached; `sawEnd`: it has had the very last event. Null: we gave out no such id. */
export function readLastEventId(text: string): { readonly after: StreamCursor; readonly sawEnd: boolean } | null {
  const sawEnd = text.endsWith(END_MARK);
  const after = parseCursor(sawEnd ? text.slice(0, -END_MARK.length) : text);
  return after === null ? null : { after, sawEnd };
}

/** Answers with the events after a place. `first` is the page that was there when the reader came. */
export function eventStreamAnswer(c: RouteContext, read: StreamRead, after: StreamCursor, first: StreamPage): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  keepAnswering(c, pump(c, read, after, first, writable.getWriter()));
  return rawAnswer(200, readable, c.get("requestId"), { "content-type": "text/event-stream; charset=utf-8" });
}

/** Writes as fast as the reader takes the events: the others stay in the broker, not in our memory. */
async function pump(
  c: RouteContext,
  read: StreamRead,
  after: StreamCursor,
  first: StreamPage,
  writer: WritableStreamDefaultWriter<Uint8Array>,
): Promise<void> {
  const encoder = new TextEncoder();
  let cursor = after;
  let page = first;
  try {
    for (;;) {
      const text = page.chunks.length === 0 ? ": waiting\n\n" : eventsOf(page.chunks, cursor);
      const isOver = isTerminal(page.status) && !page.more;
      for (const chunk of page.chunks) cursor = laterOf(cursor, chunk);
      await writer.write(
        encoder.encode(isOver ? `${page.chunks.length === 0 ? "" : text}${endEvent(read, page, cursor)}` : text),
      );
      if (isOver) return await writer.close();
      const next = await nextPage(read, cursor);
      if (next === null) return await writer.close();
      page = next;
    }
  } catch (error) {
    // The reader has gone, or a bug of ours cut it off: it will come again with the last id that it has seen.
    log("stream_cut", { requestId: c.get("requestId"), error: String(error) });
    await writer.abort(error).catch(() => undefined);
  }
}

/** Null: the job does not exist any more. */
async function nextPage(read: StreamRead, cursor: StreamCursor): Promise<StreamPage | null> {
  for (;;) {
    const next = await readPage(read, cursor, STREAM_COMMENT_EVERY_MS);
    if (next.ok) return next.value;
    if (next.failure.kind !== "unavailable") return null;
    await scheduler.wait(PAUSE_MS);
  }
}

/** `data` is an element of RunPod's /stream: `{"output": …}`. A new attempt is announced before its first chunk. */
function eventsOf(chunks: readonly StreamChunk[], cursor: StreamCursor): string {
  const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  let { attempt } = cursor;
  let text = "";
  for (const chunk of chunks) {
    if (chunk.attempt !== attempt && (attempt > 0 || chunk.attempt > 1)) {
      const id = cursorText({ attempt: chunk.attempt, seq: 0 });
      text += `id: ${id}\nevent: attempt\ndata: {"attempt":${chunk.attempt}}\n\n`;
    }
    attempt = chunk.attempt;
    // JSON may have line ends as white space, and in an event a line end would end the field.
    const data = `{"output":${decoder.decode(chunk.bytes)}}`.split(/\r\n|\n|\r/).join("\ndata: ");
    text += `id: ${cursorText(chunk)}\ndata: ${data}\n\n`;
  }
  return text;
}

function endEvent({ jobId }: StreamRead, { status, error }: StreamPage, cursor: StreamCursor): string {
  const data = JSON.stringify({ id: jobId, status, error: error ?? undefined });
  return `id: ${cursorText(cursor)}${END_MARK}\nevent: status\ndata: ${data}\n\n`;
}
