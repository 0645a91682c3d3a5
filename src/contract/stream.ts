// The chunks of streaming jobs: who appends them, and how clients read them.
import type { Result } from "../core/failure.ts";
import type { Frame, ValuePart } from "../core/job/chunk-frames.ts";
import type { JobStatus } from "../core/job/job.ts";
import type { StreamCursor } from "../core/job/stream-cursor.ts";
import type { JobCall } from "./job-view.ts";
import type { HandedLease, ReportReply, WorkerJobCall } from "./worker.ts";

/** One chunk: its raw JSON text, its mark if it is a piece of a cut value, and its place in the job's chunks. */
export type StreamChunk = StreamCursor & Frame;

export interface StreamPage {
  readonly status: JobStatus;
  /** The error of a FAILED job. */
  readonly error: string | null;
  /** The number of the job's newest attempt. */
  readonly attempt: number;
  readonly chunks: readonly StreamChunk[];
  /** More chunks are stored already than fit into this page. */
  readonly more: boolean;
}

/** A chunk that a pulling worker posts, or a piece of one. */
interface PostedChunk extends WorkerJobCall {
  readonly chunk: Uint8Array;
  /** Its place among the posts of its attempt, from zero, as our own SDK counts them. Undefined: RunPod's SDK does not. */
  readonly number?: number | undefined;
}

/** Beside the reports' replies. `too_long`: the log of this attempt, or the endpoint, is full, and the job has failed. */
type AppendReply = ReportReply | "too_long" | "ahead";

/** A piece of a posted chunk: `index` counts from zero within one post, which the edge names by an id. */
export interface PostedPiece {
  readonly postId: string;
  readonly index: number;
  readonly isLast: boolean;
  /** Undefined for a piece of a string. */
  readonly part?: ValuePart | undefined;
}

export interface StreamApi {
  /**
   * Stores a chunk of a pulling worker. The chunk is durable when this returns, and no reader sees it before.
   * A number that is stored already is accepted and counts once. `ahead`: posts before this number are not stored, so
   * that it is not stored either.
   */
  appendChunk(call: PostedChunk): Promise<AppendReply>;
  /**
   * Stores one piece of a chunk that a pulling worker has posted and that is too large for one row. No reader sees any
   * piece before the last one is durable; pieces of a post that does not come to its end are dropped by the next one.
   * A piece that is sent again after a lost answer counts once. `lost`: the broker does not have the pieces before it.
   */
  appendPiece(call: PostedChunk & PostedPiece): Promise<AppendReply | "lost">;
  /**
   * Stores chunks that a carrier has gathered. The first has the number `firstSeq`, so that chunks that are sent again
   * after a lost answer count once. False: the lease is not held, or the log is full. `part`: the mark of each of them.
   */
  appendChunks(
    call: HandedLease & {
      readonly firstSeq: number;
      readonly chunks: readonly Uint8Array[];
      readonly part?: ValuePart | undefined;
    },
  ): Promise<boolean>;
  /** The chunks of the attempt that this worker runs, of which its output is made. Null: it does not hold the job. */
  ownChunks(call: WorkerJobCall & { readonly after: StreamCursor }): Promise<StreamPage | null>;
  /**
   * Chunks after a place, for any number of readers; held until there are some, the job is over, or `holdMs`.
   * `drained`: what the next drainStream would return. `stays`: fails if no further call of the tenant can be held.
   */
  readStream(
    call: JobCall & { readonly after: StreamCursor | "drained"; readonly holdMs: number; readonly stays?: boolean },
  ): Promise<Result<StreamPage>>;
  /** The chunks that are there now: each is returned once, and only those of the newest attempt are. */
  drainStream(call: JobCall): Promise<Result<StreamPage>>;
}
