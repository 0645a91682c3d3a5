// The chunks of streaming jobs: who appends them, and how clients read them.
import type { Result } from "../core/failure.ts";
import type { JobStatus } from "../core/job/job.ts";
import type { StreamCursor } from "../core/job/stream-cursor.ts";
import type { JobCall } from "./job-view.ts";
import type { HandedLease, ReportReply, WorkerJobCall } from "./worker.ts";

/** One chunk: raw JSON text, and its place. */
export interface StreamChunk extends StreamCursor {
  readonly bytes: Uint8Array;
}

export interface StreamPage {
  readonly status: JobStatus;
  /** The error of a FAILED job. */
  readonly error: string | null;
  /** The newest of the job. */
  readonly attempt: number;
  readonly chunks: readonly StreamChunk[];
  /** More chunks stand there already. */
  readonly more: boolean;
}

export interface StreamApi {
  /**
   * A chunk of a pulling worker. It is durable when this answers, and no reader sees it before. `too_long`: the log of this
   * attempt, or the endpoint, is full and the job has failed for it.
   */
  appendChunk(call: WorkerJobCall & { readonly chunk: Uint8Array }): Promise<ReportReply | "too_long">;
  /**
   * Chunks that a carrier has gathered, the first of them number `firstSeq`: sent again after a lost answer they count once.
   * False: the lease is not held, or the log is full.
   */
  appendChunks(
    call: HandedLease & { readonly firstSeq: number; readonly chunks: readonly Uint8Array[] },
  ): Promise<boolean>;
  /** The chunks of the attempt that this worker has under way, to make its output of them. */
  ownChunks(call: WorkerJobCall & { readonly after: StreamCursor }): Promise<StreamPage | null>;
  /**
   * Chunks after a place, to any number of readers; held until there are some, the job is over, or `holdMs`. `drained`: what
   * the next drainStream would hand out. `stays`: refused where no further call of the tenant could be held.
   */
  readStream(
    call: JobCall & { readonly after: StreamCursor | "drained"; readonly holdMs: number; readonly stays?: boolean },
  ): Promise<Result<StreamPage>>;
  /** What is there now: each chunk is handed out once, and only those of the newest attempt. */
  drainStream(call: JobCall): Promise<Result<StreamPage>>;
}
