// A job's chunks as server-sent events, for any number of readers, each from its own place. An event's id is that
// place, so a reader that was cut off continues from there by its Last-Event-ID.
import type { StreamPage } from "../../contract/stream.ts";
import { isTerminal } from "../../core/job/job.ts";
import { laterOf, type StreamCursor } from "../../core/job/stream-cursor.ts";
import { endEvent, eventsOf } from "../../core/job/stream-events.ts";
import { STREAM_COMMENT_EVERY_MS } from "../../core/limits.ts";
import { log } from "../../log.ts";
import { rawAnswer } from "../kit/answer.ts";
import { keepAnswering, type RouteContext } from "../kit/context.ts";
import { readPage, type StreamRead } from "../kit/read-stream.ts";

/** The pause between two calls to a broker that does not answer. */
const PAUSE_MS = 1_000;

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
        encoder.encode(isOver ? `${page.chunks.length === 0 ? "" : text}${endEvent(read.jobId, page, cursor)}` : text),
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
