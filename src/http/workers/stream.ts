// job-stream for pulling workers: stores one chunk of a generator handler before it answers. Also makes the output of a
// stream whose worker did not send its aggregate, from the chunks that the worker has sent.
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import type { AttemptOutcome } from "../../core/job/event.ts";
import { STREAM_START, type StreamCursor } from "../../core/job/stream-cursor.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { CHUNK_MAX_BYTES, RESULT_MAX_BYTES } from "../../core/limits.ts";
import { attemptFailed } from "../../dispatch/classify.ts";
import { CHUNK_TOO_LARGE } from "../../dispatch/stream-intake.ts";
import { readChunkBody } from "../../payload/chunk-body.ts";
import { PayloadSink } from "../../payload/sink.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { Answered } from "../kit/route.ts";
import type { WorkerJobEntry } from "./auth.ts";
import { workerBodyOf } from "./body.ts";

/** Stores one chunk. */
export async function postChunk(c: RouteContext, entry: WorkerJobEntry): Promise<Answered> {
  const { worker, broker, jobId } = entry;
  const read = await readChunkBody(await workerBodyOf(c.req.raw), CHUNK_MAX_BYTES);
  if (read.kind === "invalid") {
    const outcome = attemptFailed("bad_answer", `a streamed chunk was not valid: ${read.message}`);
    return refuseChunk(entry, outcome, { kind: "invalid", field: "body", message: read.message });
  }
  if (read.kind === "too_large") {
    const failure = { kind: "too_large", maxBytes: CHUNK_MAX_BYTES } as const;
    return refuseChunk(entry, CHUNK_TOO_LARGE, failure);
  }
  if (read.chunk === null) return fail({ kind: "invalid", field: "output", message: "is required" });
  const reply = await broker.call("appendChunk", { ...worker, jobId, chunk: read.chunk });
  if (!reply.ok) return reply;
  if (reply.value === "unknown_job") return fail({ kind: "not_found" });
  if (reply.value === "too_long") return fail({ kind: "too_large", maxBytes: RESULT_MAX_BYTES });
  return jsonAnswer(200, { accepted: reply.value === "accepted" }, c.get("requestId"));
}

/** Ends the attempt: the SDK would go on without the chunk and call the job done. After 5xx it sends it again. */
async function refuseChunk(
  { worker, broker, jobId }: WorkerJobEntry,
  outcome: AttemptOutcome,
  failure: Failure,
): Promise<Answered> {
  const reply = await broker.call("report", { ...worker, jobId, outcome, refresh: false });
  return reply.ok ? fail(failure) : reply;
}

/** All chunks of the worker's attempt as one JSON list, stored under `key` if it is large. */
export async function gatherChunks(
  env: Env,
  { worker, broker, jobId }: WorkerJobEntry,
  key: string,
  tap: (view: Uint8Array) => void,
): Promise<Result<PayloadRef>> {
  const sink = new PayloadSink({ bucket: env.PAYLOADS, key, maxBytes: RESULT_MAX_BYTES, tap });
  const encoder = new TextEncoder();
  let failure = await sink.write(encoder.encode("["));
  let after: StreamCursor = STREAM_START;
  for (let isMore = true; isMore && failure === null; ) {
    const page = await broker.call("ownChunks", { ...worker, jobId, after });
    if (!page.ok || page.value === null) {
      await sink.abort();
      return page.ok ? fail({ kind: "not_found" }) : page;
    }
    for (const chunk of page.value.chunks) {
      if (after.seq > 0) failure ??= await sink.write(encoder.encode(","));
      failure ??= await sink.write(chunk.bytes);
      after = chunk;
    }
    isMore = page.value.more;
  }
  failure ??= await sink.write(encoder.encode("]"));
  const stored = failure === null ? await sink.finish() : failure;
  if (stored.kind === "inline" || stored.kind === "r2") return ok(stored);
  return fail({ kind: "unavailable", message: "the storage of large results (R2) does not answer" });
}
