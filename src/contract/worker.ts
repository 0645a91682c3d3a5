// The calls of the edge to a broker on behalf of pulling workers. The edge has checked the key; names come from the URL.
import type { Result } from "../core/failure.ts";
import type { AttemptOutcome } from "../core/job/event.ts";
import type { JobWork } from "./job-request.ts";

/** A worker as its requests name it: the key that they carry, and the id that it gave itself. */
export interface WorkerCall {
  readonly keyId: string;
  readonly workerId: string;
}

export interface TakeCall extends WorkerCall {
  /** Made by the edge; names the poll when its client goes away. */
  readonly pollId: string;
  /** Jobs that the worker could run now. */
  readonly wanted: number;
  /** It says that it runs nothing (`job_in_progress=0`). */
  readonly idle: boolean;
  readonly gpu: string | null;
  readonly version: string | null;
}

/** A job under a lease. `lease` is the fence: every word back to the broker carries it. */
export interface HandedLease {
  /** The public id, as clients see it: `<uuid>-u1` or `sync-<uuid>-u1`. */
  readonly jobId: string;
  readonly lease: string;
}

/** A leased job on its way to a pulling worker. */
export interface HandedJob extends JobWork, HandedLease {}

export interface PingCall extends WorkerCall {
  /** Jobs that it runs, as it says. */
  readonly jobIds: readonly string[];
  /** A failed fitness check (`status=unhealthy`), in one sentence. */
  readonly unfit: string | null;
  readonly gpu: string | null;
  readonly version: string | null;
}

/** A call of a worker about one job. */
export interface WorkerJobCall extends WorkerCall {
  readonly jobId: string;
}

export interface ReportCall extends WorkerJobCall {
  readonly outcome: AttemptOutcome;
  /** The result asks for a restart of the worker (`stopPod`). */
  readonly refresh: boolean;
}

/** `late`: the worker does not hold the job (any more), nothing changed. */
export type ReportReply = "accepted" | "late" | "unknown_job";

/** RunPod's states of a worker. */
type WorkerState = "RUNNING" | "IDLE" | "INITIALIZING" | "THROTTLED" | "UNHEALTHY";

/** One line of the list of workers. Null: not known, or nothing to say. */
export interface WorkerView {
  readonly id: string;
  /** A worker that pulls, or an upstream that is pushed to. */
  readonly kind: "pull" | "push";
  readonly state: WorkerState;
  readonly tier: string;
  readonly rateKind: "flex" | "active";
  readonly slots: number;
  /** Jobs that it holds, of any tenant. */
  readonly running: number;
  /** Those of them that are the caller's. */
  readonly jobs: readonly string[];
  /** Epoch ms. */
  readonly lastSeenAtMs: number | null;
  readonly keyId: string | null;
  readonly gpu: string | null;
  readonly version: string | null;
  readonly draining: boolean;
  /** One sentence: why it is unhealthy, or what else is odd about it. */
  readonly reason: string | null;
}

export interface WorkerApi {
  /** The digest that the endpoint's settings have for a key. `settings_behind`: they have none, and newer ones may. */
  workerKey(call: { readonly keyId: string }): Promise<Result<{ readonly digest: string }>>;
  /** Held until there is a job, at most TAKE_HOLD_MAX_MS. An empty list: none came. */
  takeJobs(call: TakeCall): Promise<Result<readonly HandedJob[]>>;
  /** The client of a poll is gone: `leases` were not delivered and go back, without counting. */
  abandonTake(call: WorkerCall & { readonly pollId: string; readonly leases: readonly HandedLease[] }): Promise<void>;
  ping(call: PingCall): Promise<void>;
  report(call: ReportCall): Promise<ReportReply>;
  /** What a running handler tells of itself; shown in the status while the job runs. */
  progress(call: WorkerJobCall & { readonly output: Uint8Array }): Promise<ReportReply>;
  /**
   * Held until a job of the worker is to stop, or `holdMs`. Each id is given out once. Null: the worker does not come back
   * for jobs, so that it need not be held.
   */
  awaitStops(call: WorkerCall & { readonly holdMs: number }): Promise<readonly string[] | null>;
  /** All workers and upstreams of the endpoint; null: it is not the caller's. */
  listWorkers(call: { readonly tenantId: string }): Promise<readonly WorkerView[] | null>;
  /** `draining`: from now on the worker gets no job, and what it runs runs on; else it is back. False: no such worker. */
  drainWorker(call: {
    readonly tenantId: string;
    readonly workerId: string;
    readonly draining: boolean;
  }): Promise<boolean>;
}
