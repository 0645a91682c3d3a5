// /stream of a local endpoint: the long poll that hands out each chunk once, and the same chunks as events.
import { fail, type Result } from "../../core/failure.ts";
import { readWait } from "../../core/job/query.ts";
import { laterOf, STREAM_START, type StreamCursor } from "../../core/job/stream-cursor.ts";
import { endEvent, eventsOf, readLastEventId } from "../../core/job/stream-events.ts";
import { STREAM_COMMENT_EVERY_MS, STREAM_HOLD_MS } from "../../core/limits.ts";
import { EVENTS, type LocalAnswer, type LocalCall, rawAnswer, refuse } from "./answer.ts";
import type { LocalJob } from "./job.ts";

export async function streamAnswer(call: LocalCall, job: LocalJob): Promise<LocalAnswer> {
  const wantsEvents = (call.headers.get("accept") ?? "").includes("text/event-stream");
  return wantsEvents ? events(call, job) : await drain(call, job);
}

async function drain({ url, gone }: LocalCall, job: LocalJob): Promise<LocalAnswer> {
  const wait = readWait(url.href, STREAM_HOLD_MS);
  if (!wait.ok) return refuse(wait.failure);
  const endMs = performance.now() + wait.value;
  for (;;) {
    // A client that has gone can ask for the chunks again.
    const chunks = gone.aborted ? [] : job.drain();
    const leftMs = endMs - performance.now();
    if (chunks.length > 0 || job.isOver || leftMs <= 0 || gone.aborted) {
      const head = JSON.stringify({ id: job.id, status: job.state.status, error: job.error ?? undefined });
      const elements = chunks.map(({ bytes }) => `{"output":${Buffer.from(bytes).toString()}}`);
      return rawAnswer(200, `${head.slice(0, -1)},"stream":[${elements.join()}]}`);
    }
    await job.changed(leftMs, gone);
  }
}

function events(call: LocalCall, job: LocalJob): LocalAnswer {
  const place = readPlace(call.headers.get("last-event-id"));
  if (!place.ok) return refuse(place.failure);
  const { after, sawEnd } = place.value;
  // An event source that gets 204 does not come again.
  if (sawEnd && job.isOver && job.chunksAfter(after).length === 0) return { status: 204, headers: {}, body: null };
  return rawAnswer(200, eventTexts(job, after, call.gone), EVENTS);
}

function readPlace(lastId: string | null): Result<{ readonly after: StreamCursor; readonly sawEnd: boolean }> {
  const place = lastId === null ? { after: STREAM_START, sawEnd: false } : readLastEventId(lastId);
  if (place !== null) return { ok: true, value: place };
  return fail({ kind: "invalid", field: "Last-Event-ID", message: "must be the id of an event of this stream" });
}

async function* eventTexts(job: LocalJob, after: StreamCursor, gone: AbortSignal): AsyncGenerator<string> {
  let cursor = after;
  for (let isSilent = true; !gone.aborted; ) {
    const chunks = job.chunksAfter(cursor);
    if (chunks.length > 0) yield eventsOf(chunks, cursor);
    for (const chunk of chunks) cursor = laterOf(cursor, chunk);
    if (job.isOver && job.chunksAfter(cursor).length === 0) {
      yield endEvent(job.id, { status: job.state.status, error: job.error }, cursor);
      return;
    }
    if (chunks.length > 0) {
      isSilent = false;
      continue;
    }
    if (isSilent) yield ": waiting\n\n";
    isSilent = !(await job.changed(STREAM_COMMENT_EVERY_MS, gone));
  }
}
