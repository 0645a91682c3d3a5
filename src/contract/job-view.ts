// A job as a client may know it: RunPod's fields of it, and why it waits.
import type { JobFailure } from "../core/job/failure.ts";
import type { JobStatus } from "../core/job/job.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";

export type QueueReason =
  | "NO_WORKERS"
  | "ALL_BUSY"
  | "STARTING"
  | "RETRY_WAIT"
  | "TENANT_LIMIT"
  | "PAUSED"
  | "BUDGET"
  | "UPSTREAM_PAUSED"
  | "UPSTREAM_UNHEALTHY"
  | "CRASH_LOOP";

/** What a client may know of a job. Null means: leave the key out of the answer. */
export interface JobView {
  readonly id: string;
  readonly status: JobStatus;
  readonly delayMs: number | null;
  readonly executionMs: number | null;
  readonly workerId: string | null;
  /** RunPod's text of the failure. */
  readonly error: string | null;
  readonly failure: JobFailure | null;
  readonly retries: number;
  readonly output: PayloadRef | null;
  /** Only while IN_QUEUE. `since`: epoch ms since when the reason holds. */
  readonly queue: {
    readonly position: number;
    readonly reason: QueueReason;
    readonly detail: string;
    readonly since: number;
  } | null;
}

/** A call about one job. `settingsVersion` lets a broker that is behind ask for its settings. */
export interface JobCall {
  readonly tenantId: string;
  readonly jobId: string;
}
