// /stream for clients: RunPod's draining long poll, which returns each chunk once (docs/wire.md 1.6), and for clients
// that accept text/event-stream the same chunks as events.
import type { StreamPage } from "../../contract/stream.ts";
import { fail } from "../../core/failure.ts";
import { isTerminal } from "../../core/job/job.ts";
import { readWait } from "../../core/job/query.ts";
import { STREAM_START } from "../../core/job/stream-cursor.ts";
import { readLastEventId } from "../../core/job/stream-events.ts";
import { STREAM_HOLD_MS, WAIT_SLICE_MAX_MS } from "../../core/limits.ts";
import { rawAnswer } from "../kit/answer.ts";
import { keepAnswering, type RouteContext } from "../kit/context.ts";
import type { JobRouteCall } from "../kit/enter.ts";
import { enterStream, readPage, type StreamRead } from "../kit/read-stream.ts";
import type { Answered } from "../kit/route.ts";
import { eventStreamAnswer } from "./stream-events.ts";

/** Chunks of a job: events for a client that accepts them, else RunPod's long poll. The Go client uses POST. */
export async function stream(c: RouteContext, { broker, job }: JobRouteCall): Promise<Answered> {
  const read = { broker, ...job };
  const wantsEvents = (c.req.header("accept") ?? "").includes("text/event-stream");
  return wantsEvents ? events(c, read) : drain(c, read);
}

async function events(c: RouteContext, read: StreamRead): Promise<Answered> {
  const lastId = c.req.header("last-event-id");
  const place = lastId === undefined ? { after: STREAM_START, sawEnd: false } : readLastEventId(lastId);
  if (place === null) {
    return fail({ kind: "invalid", field: "Last-Event-ID", message: "must be the id of an event of this stream" });
  }
  const first = await enterStream(read, place.after);
  if (!first.ok) return first;
  // An event source that gets 204 does not come again, but a job that was retried meanwhile has more events.
  const isSeen = place.sawEnd && isTerminal(first.value.status) && first.value.chunks.length === 0;
  if (isSeen) return new Response(null, { status: 204, headers: { "x-request-id": c.get("requestId") } });
  return eventStreamAnswer(c, read, place.after, first.value);
}

async function drain(c: RouteContext, read: StreamRead): Promise<Answered> {
  const wait = readWait(c.req.url, STREAM_HOLD_MS);
  if (!wait.ok) return wait;
  const endMs = Date.now() + wait.value;
  for (;;) {
    const leftMs = Math.max(0, endMs - Date.now());
    // Waiting takes no chunk away: a client that has gone when a chunk comes can ask for it again.
    const seen = await readPage(read, "drained", Math.min(leftMs, WAIT_SLICE_MAX_MS));
    if (!seen.ok) return seen;
    const { chunks, status } = seen.value;
    if (c.req.raw.signal.aborted) return drainAnswer(c, read, { ...seen.value, chunks: [], more: false });
    if (chunks.length > 0) return take(c, read, seen.value);
    if (isTerminal(status) || Date.now() >= endMs) return drainAnswer(c, read, seen.value);
  }
}

async function take(c: RouteContext, read: StreamRead, seen: StreamPage): Promise<Answered> {
  const page = await drainPage(read);
  if (page.ok) return drainAnswer(c, read, page.value);
  // A job whose ttl has passed meanwhile cannot be found by any later call.
  const isLastWord = page.failure.kind === "not_found" && isTerminal(seen.status);
  return isLastWord ? drainAnswer(c, read, { ...seen, more: false }) : page;
}

function drainPage({ broker, ...job }: StreamRead) {
  return broker.call("drainStream", job);
}

/** A terminal status is sent with all chunks that are left: RunPod's JavaScript client stops at the first one. */
function drainAnswer(c: RouteContext, read: StreamRead, first: StreamPage): Response {
  const requestId = c.get("requestId");
  const head = { id: read.jobId, status: first.status, error: first.error ?? undefined };
  const start = `${JSON.stringify(head).slice(0, -1)},"stream":[`;
  if (!isTerminal(first.status) || !first.more) return rawAnswer(200, `${start}${elementsOf(first)}]}`, requestId);
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  keepAnswering(c, pourRest(read, start, first, writable));
  return rawAnswer(200, readable, requestId);
}

async function pourRest(
  read: StreamRead,
  start: string,
  first: StreamPage,
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  const writer = writable.getWriter();
  const encoder = new TextEncoder();
  try {
    await writer.write(encoder.encode(`${start}${elementsOf(first)}`));
    for (let isMore = first.more; isMore; ) {
      const page = await drainPage(read);
      if (!page.ok) throw new Error(page.failure.kind);
      if (page.value.chunks.length > 0) await writer.write(encoder.encode(`,${elementsOf(page.value)}`));
      isMore = page.value.more;
    }
    await writer.write(encoder.encode("]}"));
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => undefined);
  }
}

function elementsOf({ chunks }: StreamPage): string {
  const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  return chunks.map(({ bytes }) => `{"output":${decoder.decode(bytes)}}`).join(",");
}
