// A job as a client may see it: RunPod's fields of the job, and the reason why it waits.
import type { JobFailure } from "../core/job/failure.ts";
import type { JobStatus } from "../core/job/job.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";

export type QueueReason =
  | "NO_WORKERS"
  | "ALL_BUSY"
  | "STARTING"
  | "NO_CAPACITY"
  | "RETRY_WAIT"
  | "TENANT_LIMIT"
  | "PAUSED"
  | "BUDGET"
  | "UPSTREAM_PAUSED"
  | "UPSTREAM_UNHEALTHY"
  | "CRASH_LOOP";

/** What a client may see of a job. A key whose value is null is left out of the answer. */
export interface JobView {
  readonly id: string;
  readonly status: JobStatus;
  readonly delayMs: number | null;
  readonly executionMs: number | null;
  readonly workerId: string | null;
  /** The failure as the text that RunPod's clients read. */
  readonly error: string | null;
  readonly failure: JobFailure | null;
  readonly retries: number;
  readonly output: PayloadRef | null;
  /** Null unless the job is IN_QUEUE. `since`: when the reason began to hold, epoch ms. */
  readonly queue: {
    readonly position: number;
    readonly reason: QueueReason;
    readonly detail: string;
    readonly since: number;
  } | null;
}

/** A call about one job. The broker finds the job only if it is this tenant's. */
export interface JobCall {
  readonly tenantId: string;
  readonly jobId: string;
  /** And only if this token for browsers has submitted it. Absent: a key asks, which finds all jobs of its tenant. */
  readonly tokenId?: string | undefined;
}
