// Streams of jobs: chunks arrive under a lease and are durable before any reader is sent them. Each reader reads on
// from its own place; RunPod's clients share one place, the drain.
import type { CallOf } from "../../contract/broker.ts";
import type { PostedPiece, StreamApi, StreamPage } from "../../contract/stream.ts";
import type { WorkerCall } from "../../contract/worker.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { packedBytes, type ValuePart } from "../../core/job/chunk-frames.ts";
import { failed, type JobFailure } from "../../core/job/failure.ts";
import { isTerminal, type Job, shownError } from "../../core/job/job.ts";
import { laterOf, type StreamCursor } from "../../core/job/stream-cursor.ts";
import { holderOfWorker } from "../../core/job/worker-id.ts";
import { ENDPOINT_STREAMS_MAX_BYTES, RESULT_MAX_BYTES, WAIT_SLICE_MAX_MS } from "../../core/limits.ts";
import type { StoredJob } from "../store/job-row.ts";
import type { Wake } from "../wake.ts";
import { PAGE_MOST_BYTES, pageBytes } from "./egress-bytes.ts";
import { TOO_MANY_HELD } from "./held-calls.ts";
import type { OverJobs } from "./jobs.ts";
import { streamOf } from "./long-polls.ts";

interface Parts extends OverJobs {
  readonly wake: Wake;
}

type JobKey = Pick<Job, "uuid" | "tenantId">;

const TOO_LONG = failed("answer_too_large", `the stream is longer than ${RESULT_MAX_BYTES / 1024 / 1024} MiB`);
const FULL = failed(
  "endpoint_full",
  "the endpoint has no room for more of the stream: purge jobs, or keep finished ones for a shorter time",
);

const NO_PIECES = { pieces: 0, sizeBytes: 0 };

/** `part`: the mark of each chunk. `piece`: its place in its post, where the chunk comes in pieces. */
interface Appended {
  readonly chunks: readonly Uint8Array[];
  readonly part?: ValuePart | undefined;
  readonly piece?: PostedPiece;
}

export class Streams {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async appendChunk(call: CallOf<"appendChunk">): ReturnType<StreamApi["appendChunk"]> {
    const stored = this.#parts.jobs.byId(call.jobId);
    if (stored === null) return "unknown_job";
    const lease = leaseOf(stored, call);
    if (lease === null || !this.#renew(stored, lease)) return "late";
    return this.#judge(stored, call) ?? (await this.#append(stored, lease, { chunks: [call.chunk] }));
  }

  async appendPiece(call: CallOf<"appendPiece">): ReturnType<StreamApi["appendPiece"]> {
    const stored = this.#parts.jobs.byId(call.jobId);
    if (stored === null) return "unknown_job";
    const lease = leaseOf(stored, call);
    if (lease === null || !this.#renew(stored, lease)) return "late";
    const judged = this.#judge(stored, call);
    if (judged !== null) return judged;
    const { open, endedPostId } = this.#parts.chunks.end(stored.job.uuid, stored.job.attempts);
    const pieces = open?.postId === call.postId ? open.pieces : 0;
    if (call.index < pieces || endedPostId === call.postId) return "accepted";
    if (call.index > pieces) return "lost";
    return await this.#append(stored, lease, { chunks: [call.chunk], part: call.part, piece: call });
  }

  async appendChunks(call: CallOf<"appendChunks">): Promise<boolean> {
    const stored = this.#parts.jobs.byId(call.jobId);
    if (stored?.job.lease?.token !== call.lease || !this.#renew(stored, call.lease)) return false;
    const { nextSeq } = this.#parts.chunks.end(stored.job.uuid, stored.job.attempts);
    const chunks = call.chunks.slice(Math.max(nextSeq - call.firstSeq, 0));
    if (chunks.length === 0) return true;
    return (await this.#append(stored, call.lease, { chunks, part: call.part })) === "accepted";
  }

  async ownChunks(call: CallOf<"ownChunks">): Promise<StreamPage | null> {
    const { jobs } = this.#parts;
    const found = jobs.byId(call.jobId);
    if (found === null || leaseOf(found, call) === null) return null;
    return this.#leave(found.job, found, (stored) => {
      if (leaseOf(stored, call) === null) return null;
      return this.#page(stored.job, laterOf(call.after, { attempt: stored.job.attempts, seq: 0 }));
    });
  }

  async readStream(call: CallOf<"readStream">): Promise<Result<StreamPage>> {
    const stored = this.#parts.jobs.own(call, Date.now());
    if (stored === null) return fail({ kind: "not_found", what: "job" });
    const { tenantId, status } = stored.job;
    const { held } = this.#parts;
    const mayStay = !isTerminal(status) && (call.holdMs > 0 || call.stays === true) && held.hasRoom(tenantId);
    const reading = this.#read(stored, call, mayStay);
    // The call counts from its arrival on: a call whose page has to wait for a later turn is held as well.
    if (mayStay) await held.count(tenantId, reading.then(noPage));
    return reading;
  }

  async #read(stored: StoredJob, call: CallOf<"readStream">, mayStay: boolean): Promise<Result<StreamPage>> {
    const holdMs = Math.min(call.holdMs, WAIT_SLICE_MAX_MS);
    const first = await this.#look(stored.job, stored, { ...call, holdMs, mayStay });
    if (first.held === "too_many") return fail(TOO_MANY_HELD);
    await first.held;
    // Later calls do not find a job that timed out; only a caller that waited for it receives TIMED_OUT, once.
    const { page } =
      first.held === null ? first : await this.#look(stored.job, null, { after: call.after, holdMs: 0, mayStay });
    return page === null ? fail({ kind: "not_found", what: "job" }) : ok(page);
  }

  /** Reads a page and moves the drain without an await in between, so that two calls at once get different chunks. */
  async drainStream(call: CallOf<"drainStream">): Promise<Result<StreamPage>> {
    const { jobs, chunks, store } = this.#parts;
    const found = jobs.own(call, Date.now());
    if (found === null) return fail({ kind: "not_found", what: "job" });
    const page = await this.#leave(found.job, found, ({ job }) => {
      const drained = this.#page(job, this.#drainedOf(job));
      const last = drained.chunks.at(-1);
      if (last !== undefined) store.transaction(() => chunks.setDrained(job.uuid, last));
      return drained;
    });
    return page === null ? fail({ kind: "not_found", what: "job" }) : ok(page);
  }

  /**
   * The reply to a post that is not to be stored, by its number; null: it is the next one, or has no number. Every post
   * has a row that ends it and none is left out, so that the rows of the log alone show which number comes next.
   */
  #judge({ job }: StoredJob, { number }: CallOf<"appendChunk">): "accepted" | "ahead" | null {
    if (number === undefined) return null;
    const { posts } = this.#parts.chunks.end(job.uuid, job.attempts);
    if (number === posts) return null;
    return number < posts ? "accepted" : "ahead";
  }

  /** A chunk is a sign of life, so it renews the lease. False: the lease has run out. */
  #renew(stored: StoredJob, token: string): boolean {
    return this.#parts.jobs.apply(stored, { kind: "renew", token }, Date.now()).reply === "done";
  }

  /** Appends to the log. Pieces at its end that belong to another post are dropped: that post was given up. */
  async #append(stored: StoredJob, token: string, { chunks, part, piece }: Appended): Promise<"accepted" | "too_long"> {
    const { store, kept, chunks: log, longPolls } = this.#parts;
    const { uuid, attempts: attempt } = stored.job;
    const { nextSeq, posts, sizeBytes: logBytes, open } = log.end(uuid, attempt);
    const own = open !== null && open.postId === piece?.postId ? open : NO_PIECES;
    const droppedBytes = own === open ? 0 : (open?.sizeBytes ?? 0);
    const addedBytes = packedBytes(chunks);
    const sizeBytes = logBytes - droppedBytes + addedBytes;
    const failure =
      sizeBytes > RESULT_MAX_BYTES ? TOO_LONG : store.sizeBytes > ENDPOINT_STREAMS_MAX_BYTES ? FULL : null;
    if (failure !== null) {
      await this.#refuseStream(stored, token, failure, Date.now());
      return "too_long";
    }
    const isOpen = piece?.isLast === false;
    const seq = nextSeq + own.pieces;
    store.transaction(() => {
      if (droppedBytes > 0) log.dropOpen(uuid, { attempt, seq });
      log.append(uuid, { attempt, seq }, chunks, { isOpen, part });
    });
    const held = { pieces: own.pieces + 1, sizeBytes: own.sizeBytes + addedBytes };
    log.noteEnd(uuid, {
      attempt,
      nextSeq: isOpen ? nextSeq : seq + chunks.length,
      posts: isOpen ? posts : posts + 1,
      sizeBytes,
      open: isOpen ? { postId: piece.postId, ...held } : null,
      endedPostId: isOpen ? null : (piece?.postId ?? null),
    });
    kept.put(stored.job, sizeBytes);
    if (!isOpen) longPolls.wake(streamOf(uuid));
    return "accepted";
  }

  async #refuseStream({ job }: StoredJob, token: string, failure: JobFailure, nowMs: number): Promise<void> {
    const { jobs, wake } = this.#parts;
    const stored = jobs.load(job.uuid);
    if (stored === null) return;
    jobs.apply(stored, { kind: "finish", token, outcome: { kind: "rejected", failure } }, nowMs);
    await wake.run(nowMs);
  }

  /** Each attempt sends the whole stream again, so chunks of earlier attempts are not handed out any more. */
  #drainedOf(job: Job): StreamCursor {
    const begun = { attempt: job.attempts, seq: 0 };
    return laterOf(this.#parts.chunks.drained(job.uuid) ?? begun, begun);
  }

  /** Reads the page after a place. `held` resolves when there may be more; `too_many`: the tenant may hold no call more. */
  async #look(
    key: JobKey,
    found: StoredJob | null,
    {
      after,
      stays,
      holdMs,
      mayStay,
    }: Pick<CallOf<"readStream">, "after" | "stays" | "holdMs"> & {
      readonly mayStay: boolean;
    },
  ): Promise<{ readonly page: StreamPage | null; readonly held: Promise<void> | "too_many" | null }> {
    let held: Promise<void> | "too_many" | null = null;
    const page = await this.#leave(key, found, ({ job }) => {
      const seen = this.#page(job, after === "drained" ? this.#drainedOf(job) : after);
      if (isTerminal(job.status)) return seen;
      const waits = seen.chunks.length === 0 && holdMs > 0;
      if ((waits || stays === true) && !mayStay) held = "too_many";
      // The wait begins in the same turn as the read, so that no chunk arrives unnoticed in between.
      else if (waits) held = this.#parts.longPolls.wait(streamOf(job.uuid), holdMs);
      return seen;
    });
    return { page, held };
  }

  /** Composes a page in a turn with room for it. A later turn reads the job anew instead of `found`. Null: no page. */
  #leave(
    { uuid, tenantId }: JobKey,
    found: StoredJob | null,
    compose: (stored: StoredJob) => StreamPage | null,
  ): Promise<StreamPage | null> {
    const { jobs, egress } = this.#parts;
    return egress.leave(tenantId, PAGE_MOST_BYTES, (isLater) => {
      const stored = isLater || found === null ? jobs.load(uuid) : found;
      const page = stored === null ? null : compose(stored);
      return { value: page, bytes: page === null ? 0 : pageBytes(page) };
    });
  }

  #page(job: Job, after: StreamCursor): StreamPage {
    return {
      status: job.status,
      error: shownError(job),
      attempt: job.attempts,
      ...this.#parts.chunks.page(job.uuid, after),
    };
  }
}

function noPage(): void {}

/** The token of the lease that this worker holds of the job; null: it holds none. */
function leaseOf({ job }: StoredJob, call: WorkerCall): string | null {
  const isHolder = job.lease?.holderId === holderOfWorker(call.keyId, call.workerId);
  return isHolder ? (job.lease?.token ?? null) : null;
}
