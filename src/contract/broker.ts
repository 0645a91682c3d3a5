// The calls of the edge to the broker of an endpoint. Payloads travel as bytes or as the key of an R2 object.
import type { Result } from "../core/failure.ts";
import type { JobStatus } from "../core/job.ts";
import type { WebhookOutcome } from "../core/job-event.ts";
import type { PayloadRef } from "../core/payload-ref.ts";
import type { LeaseKeeper } from "./dispatch.ts";
import type { EndpointSettings } from "./settings.ts";
import type { StreamApi } from "./stream.ts";
import type { WorkerApi } from "./worker.ts";

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
  readonly error: string | null;
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

export interface SubmitCall {
  readonly tenantId: string;
  readonly settingsVersion: number;
  /** Made by the edge, because large inputs are stored under it first. */
  readonly jobId: string;
  readonly mode: "run" | "runsync";
  readonly input: PayloadRef;
  /** Raw JSON of every other top-level field, as it came: name → JSON text. */
  readonly fields: Readonly<Record<string, string>>;
  readonly policy: {
    readonly executionTimeoutMs: number | null;
    readonly ttlMs: number | null;
    readonly lowPriority: boolean;
  };
  readonly webhook: { readonly url: string; readonly sealedSecret: string } | null;
  /** Waiting jobs that the tenant may have in this endpoint. */
  readonly waitingMax: number;
  /** `runsync` only: the wait asked for; a result is kept at least that long. */
  readonly waitMs: number | null;
  readonly idempotency: { readonly key: string; readonly fingerprint: string } | null;
}

/** `created` false: the same Idempotency-Key was used before; the edge deletes the input it stored. */
export interface Submitted {
  readonly created: boolean;
  readonly job: JobView;
}

/** A call about one job. `settingsVersion` lets a broker that is behind ask for its settings. */
export interface JobCall {
  readonly tenantId: string;
  readonly jobId: string;
}

export interface Health {
  readonly jobs: { completed: number; failed: number; inProgress: number; inQueue: number; retried: number };
  readonly workers: {
    idle: number;
    initializing: number;
    ready: number;
    running: number;
    throttled: number;
    unhealthy: number;
  };
}

export interface BrokerApi extends LeaseKeeper, WorkerApi, StreamApi {
  configure(settings: EndpointSettings): Promise<{ version: number }>;
  submit(call: SubmitCall): Promise<Result<Submitted>>;
  read(call: JobCall & { readonly ttlMs: number | null }): Promise<Result<JobView>>;
  /** Answers as soon as the job is terminal, or after `holdMs` (at most WAIT_SLICE_MAX_MS) with the present state. */
  wait(call: JobCall & { readonly holdMs: number }): Promise<Result<JobView>>;
  cancel(call: JobCall): Promise<Result<JobView>>;
  retry(call: JobCall): Promise<Result<JobView>>;
  purgeQueue(call: { readonly tenantId: string }): Promise<{ removed: number }>;
  health(call: { readonly tenantId: string }): Promise<Health>;
  /** The newest jobs of the caller, newest first, at most 100. */
  requests(call: { readonly tenantId: string }): Promise<{ jobs: JobView[] }>;
  depth(call: { readonly tenantId: string }): Promise<{ waiting: number; running: number }>;
  /** A dispatch wake-up arrived: lease what fits and start its carriers. */
  start(): Promise<{ started: number }>;
  /** A webhook wake-up arrived: start couriers for what is due. */
  startWebhooks(): Promise<{ started: number }>;
  /** An upstream has called back under this lease: its carrier is to look at once. */
  nudge(call: { readonly jobId: string; readonly lease: string }): Promise<void>;
  finishWebhook(call: {
    readonly jobId: string;
    readonly round: number;
    readonly tryNumber: number;
    readonly result: WebhookOutcome;
  }): Promise<void>;
}

/** One delivery as a courier sees it. `body` parts are spliced by the courier; it reads R2 itself. */
export interface Delivery {
  readonly endpointId: string;
  readonly jobId: string;
  /** Which finish of the job it tells of: 0, and one more after each /retry. */
  readonly round: number;
  readonly tryNumber: number;
  /** Stable over tries, without a dot: `msg_<uuid>_r<round>`. */
  readonly webhookId: string;
  readonly url: string;
  readonly sealedSecret: string;
  readonly job: JobView;
  readonly input: PayloadRef;
}

export type { WebhookOutcome as WebhookResult } from "../core/job-event.ts";

export interface CourierApi {
  deliver(delivery: Delivery): Promise<void>;
}
