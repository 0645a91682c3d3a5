// job-stream for pulling workers: stores one chunk of a generator handler before it answers. Also makes the output of a
// stream whose worker did not send its aggregate, from the chunks that the worker has sent.
import type { StreamApi } from "../../contract/stream.ts";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import type { Frame } from "../../core/job/chunk-frames.ts";
import type { AttemptOutcome } from "../../core/job/event.ts";
import { STREAM_START, type StreamCursor } from "../../core/job/stream-cursor.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { RESULT_MAX_BYTES } from "../../core/limits.ts";
import { attemptFailed, rejected } from "../../dispatch/classify.ts";
import { readChunkBody } from "../../payload/chunk-body.ts";
import { PayloadSink } from "../../payload/sink.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { Answered } from "../kit/route.ts";
import type { WorkerJobEntry } from "./auth.ts";
import { workerBodyOf } from "./body.ts";

const TOO_LARGE = rejected("answer_too_large", `a streamed chunk is larger than ${RESULT_MAX_BYTES / 1024 / 1024} MiB`);

/** How a worker of our own SDK numbers the chunks of an attempt, from zero; RunPod's sends no such parameter. */
const NUMBER = "chunk";

/** Stores one chunk. A chunk that is too large for the log becomes several there, which are shown together. */
export async function postChunk(c: RouteContext, entry: WorkerJobEntry): Promise<Answered> {
  const number = readNumber(entry.query);
  if (number === null) return await refuseNumber(entry, "must be a whole number from 0 on");
  const post = new ChunkPost(c, entry, number);
  const read = await readChunkBody(await workerBodyOf(c.req.raw), (piece) => post.append(piece));
  switch (read.kind) {
    case "ok":
      if (read.last === null) return fail({ kind: "invalid", field: "output", message: "is required" });
      return await post.end(read.last);
    case "stopped":
      return read.why;
    case "too_large":
      return await refuseChunk(entry, TOO_LARGE, { kind: "too_large", maxBytes: RESULT_MAX_BYTES });
    case "invalid": {
      const outcome = attemptFailed("bad_answer", `a streamed chunk was not valid: ${read.message}`);
      return await refuseChunk(entry, outcome, { kind: "invalid", field: "body", message: read.message });
    }
  }
}

/** Undefined: the post has no number. Null: what it has is none. */
function readNumber(query: URLSearchParams): number | undefined | null {
  const text = query.get(NUMBER);
  if (text === null) return undefined;
  return /^\d{1,12}$/.test(text) ? Number(text) : null;
}

/** The pieces of one post on their way to the broker, one at a time. */
class ChunkPost {
  readonly #c: RouteContext;
  readonly #entry: WorkerJobEntry;
  readonly #number: number | undefined;
  readonly #postId = crypto.randomUUID();
  #index = 0;

  constructor(c: RouteContext, entry: WorkerJobEntry, number: number | undefined) {
    this.#c = c;
    this.#entry = entry;
    this.#number = number;
  }

  /** Appends a piece that others follow; the answer, if they are of no use. */
  async append(chunk: Frame): Promise<Answered | null> {
    const reply = await this.#send(chunk, false);
    this.#index += 1;
    return reply.ok && reply.value === "accepted" ? null : await this.#answer(reply);
  }

  async end(chunk: Frame): Promise<Answered> {
    const { worker, broker, jobId } = this.#entry;
    const isWhole = this.#index === 0;
    const reply = isWhole
      ? await broker.call("appendChunk", { ...worker, jobId, number: this.#number, chunk: chunk.bytes })
      : await this.#send(chunk, true);
    return await this.#answer(reply);
  }

  #send({ bytes, part }: Frame, isLast: boolean) {
    const { worker, broker, jobId } = this.#entry;
    return broker.call("appendPiece", {
      ...worker,
      jobId,
      number: this.#number,
      postId: this.#postId,
      index: this.#index,
      isLast,
      chunk: bytes,
      part,
    });
  }

  async #answer(reply: Result<Awaited<ReturnType<StreamApi["appendPiece"]>>>): Promise<Answered> {
    if (!reply.ok) return reply;
    if (reply.value === "unknown_job") return fail({ kind: "not_found", what: "job" });
    if (reply.value === "too_long") return fail({ kind: "too_large", maxBytes: RESULT_MAX_BYTES });
    if (reply.value === "ahead") {
      return await refuseNumber(this.#entry, `is ${this.#number}, and chunks of this attempt before it are missing`);
    }
    // The worker then sends the whole chunk again, and its pieces so far are dropped.
    if (reply.value === "lost") return fail({ kind: "unavailable", message: "the endpoint lost a part of the chunk" });
    return jsonAnswer(200, { accepted: reply.value === "accepted" }, this.#c.get("requestId"));
  }
}

/**
 * Ends the attempt: the SDK would go on without the chunk and call the job done. It sends a chunk again after 5xx, but
 * not when the connection broke.
 */
async function refuseChunk(
  { worker, broker, jobId }: WorkerJobEntry,
  outcome: AttemptOutcome,
  failure: Failure,
): Promise<Answered> {
  const reply = await broker.call("report", { ...worker, jobId, outcome, refresh: false });
  return reply.ok ? fail(failure) : reply;
}

/** The output would have a hole, so that the attempt ends. `problem`: what is wrong with the chunk's number. */
async function refuseNumber(entry: WorkerJobEntry, problem: string): Promise<Answered> {
  const outcome = attemptFailed("bad_answer", `the number of a streamed chunk ${problem}`);
  return await refuseChunk(entry, outcome, { kind: "invalid", field: NUMBER, message: problem });
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
      return page.ok ? fail({ kind: "not_found", what: "job" }) : page;
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
