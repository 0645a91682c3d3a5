// A job's chunks as the text of server-sent events. The id of each is its place, from which a reader that was cut off goes on.
import type { Frame } from "./chunk-frames.ts";
import type { JobStatus } from "./job.ts";
import { cursorText, parseCursor, type StreamCursor } from "./stream-cursor.ts";

type PlacedChunk = StreamCursor & Frame;

const END_MARK = ".end";

/** The place that a reader has reached; `sawEnd`: it has had the very last event. Null: we gave out no such id. */
export function readLastEventId(text: string): { readonly after: StreamCursor; readonly sawEnd: boolean } | null {
  const sawEnd = text.endsWith(END_MARK);
  const after = parseCursor(sawEnd ? text.slice(0, -END_MARK.length) : text);
  return after === null ? null : { after, sawEnd };
}

/** `data` is an element of RunPod's /stream: `{"output": …}`. A new attempt is announced before its first chunk. */
export function eventsOf(chunks: readonly PlacedChunk[], cursor: StreamCursor): string {
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

/** The last event: how the job has ended. */
export function endEvent(
  jobId: string,
  { status, error }: { readonly status: JobStatus; readonly error: string | null },
  cursor: StreamCursor,
): string {
  const data = JSON.stringify({ id: jobId, status, error: error ?? undefined });
  return `id: ${cursorText(cursor)}${END_MARK}\nevent: status\ndata: ${data}\n\n`;
}
