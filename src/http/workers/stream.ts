// job-stream of pulling workers: one chunk of a generator handler, durable before the answer. And the output of a stream whose
// worker did not send its aggregate: made of the chunks that it has sent.
import type { Hono } from "hono";
import { callBroker } from "../../broker/stub.ts";
import type { Failure, Result } from "../../core/failure.ts";
import { fail, ok } from "../../core/failure.ts";
import type { AttemptOutcome } from "../../core/job/event.ts";
import { STREAM_START, type StreamCursor } from "../../core/job/stream-cursor.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { CHUNK_MAX_BYTES, RESULT_MAX_BYTES } from "../../core/limits.ts";
import { attemptFailed } from "../../dispatch/classify.ts";
import { readChunkBody } from "../../payload/chunk-body.ts";
import { PayloadSink } from "../../payload/sink.ts";
import { jsonAnswer } from "../kit/answer.ts";
import { type RouteContext, type Routing, refuse } from "../kit/routing.ts";
import { enterWorkerJob, type WorkerJobEntry } from "./auth.ts";
import { workerBodyOf } from "./body.ts";

/** Adds the route that generator handlers post to. */
export function addWorkerStreamRoutes(app: Hono<Routing>): void {
  app.post("/v2/:endpoint/job-stream/:worker/:job", postChunk);
}

async function postChunk(c: RouteContext): Promise<Response> {
  const entered = await enterWorkerJob(c);
  if (!entered.ok) return refuse(c, entered.failure);
  const { endpointId, keyId, workerId, jobId } = entered.value;
  const read = await readChunkBody(await workerBodyOf(c.req.raw), CHUNK_MAX_BYTES);
  if (read.kind === "invalid") {
    const outcome = attemptFailed(`a streamed chunk was not valid: ${read.message}`);
    return refuseChunk(c, entered.value, outcome, { kind: "invalid", field: "body", message: read.message });
  }
  if (read.kind === "too_large") {
    const error = `a streamed chunk is larger than ${CHUNK_MAX_BYTES / 1024} KiB`;
    const failure = { kind: "too_large", maxBytes: CHUNK_MAX_BYTES } as const;
    return refuseChunk(c, entered.value, { kind: "rejected", error }, failure);
  }
  if (read.chunk === null) return refuse(c, { kind: "invalid", field: "output", message: "is required" });
  const call = { keyId, workerId, jobId, chunk: read.chunk };
  // Not made again: the first one may have stored the chunk, and nothing tells two equal chunks apart.
  const reply = await callBroker(c.env, endpointId, (broker) => broker.appendChunk(call), { idempotent: false });
  if (!reply.ok) return refuse(c, reply.failure);
  if (reply.value === "unknown_job") return refuse(c, { kind: "not_found" });
  if (reply.value === "too_long") return refuse(c, { kind: "too_large", maxBytes: RESULT_MAX_BYTES });
  return jsonAnswer(200, { accepted: reply.value === "accepted" }, c.get("requestId"));
}

/** The SDK would go on without the chunk and call the job done: its attempt ends instead. After 5xx the chunk comes again. */
async function refuseChunk(
  c: RouteContext,
  { endpointId, keyId, workerId, jobId }: WorkerJobEntry,
  outcome: AttemptOutcome,
  failure: Failure,
): Promise<Response> {
  const call = { keyId, workerId, jobId, outcome, refresh: false };
  const reply = await callBroker(c.env, endpointId, (broker) => broker.report(call), { idempotent: true });
  return refuse(c, reply.ok ? failure : reply.failure);
}

/** All chunks of the worker's attempt as one JSON list, stored under `key` where it is large. */
export async function gatherChunks(
  env: Env,
  { endpointId, keyId, workerId, jobId }: WorkerJobEntry,
  key: string,
  tap: (view: Uint8Array) => void,
): Promise<Result<PayloadRef>> {
  const sink = new PayloadSink({ bucket: env.PAYLOADS, key, maxBytes: RESULT_MAX_BYTES, tap });
  const encoder = new TextEncoder();
  let failure = await sink.write(encoder.encode("["));
  let after: StreamCursor = STREAM_START;
  for (let isMore = true; isMore && failure === null; ) {
    const call = { keyId, workerId, jobId, after };
    const page = await callBroker(env, endpointId, (broker) => broker.ownChunks(call), { idempotent: true });
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
