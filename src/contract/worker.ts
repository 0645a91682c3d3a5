// The calls that the edge makes to a broker for pulling workers. The edge has checked the key; names come from the URL.
import type { Result } from "../core/failure.ts";
import type { InstancePhase } from "../core/fleet/instance.ts";
import type { AttemptOutcome } from "../core/job/event.ts";
import type { JobWork } from "./job-request.ts";

/** A worker as its requests name it: by their key, and by the id that the worker gave itself. */
export interface WorkerCall {
  readonly keyId: string;
  readonly workerId: string;
}

export interface TakeCall extends WorkerCall {
  /** Made by the edge, which names the poll by it in `abandonTake` when the client goes away. */
  readonly pollId: string;
  /** How many jobs the worker could run now. */
  readonly wanted: number;
  /** The worker reports that it runs nothing (`job_in_progress=0`). */
  readonly idle: boolean;
  readonly gpu: string | null;
  readonly version: string | null;
}

/** A job under a lease. `lease` is the fence: every report to the broker names it. */
export interface HandedLease {
  /** The public id, as clients see it: `<uuid>-u1` or `sync-<uuid>-u1`. */
  readonly jobId: string;
  readonly lease: string;
}

/** A leased job on its way to a pulling worker. */
export interface HandedJob extends JobWork, HandedLease {}

export interface PingCall extends WorkerCall {
  /** The jobs that the worker reports to be running. */
  readonly jobIds: readonly string[];
  /** A failed fitness check (`status=unhealthy`), in one sentence. */
  readonly unfit: string | null;
  /** The worker was told to end: it finishes the jobs that it has and wants no others (`leaving=1`). */
  readonly leaving: boolean;
  readonly gpu: string | null;
  readonly version: string | null;
}

/** A call of a worker about one job. */
export interface WorkerJobCall extends WorkerCall {
  readonly jobId: string;
}

export interface ReportCall extends WorkerJobCall {
  readonly outcome: AttemptOutcome;
  /** The result asks for a restart of its worker (`stopPod`). */
  readonly refresh: boolean;
}

/** `late`: the worker does not hold the job, or does not hold it any more, and nothing has changed. */
export type ReportReply = "accepted" | "late" | "unknown_job";

/** RunPod's states of a worker. */
type WorkerState = "RUNNING" | "IDLE" | "INITIALIZING" | "THROTTLED" | "UNHEALTHY";

/** One line of the list of workers. A null value is not known, or does not apply. */
export interface WorkerView {
  readonly id: string;
  /** A worker that pulls, or an upstream that is pushed to. */
  readonly kind: "pull" | "push";
  readonly state: WorkerState;
  readonly tier: string;
  readonly rateKind: "flex" | "active";
  readonly slots: number;
  /** How many jobs the worker holds, of all tenants. */
  readonly running: number;
  /** The ids of those of them that are the caller's. */
  readonly jobs: readonly string[];
  /** When the worker last sent anything, epoch ms. */
  readonly lastSeenAtMs: number | null;
  readonly keyId: string | null;
  readonly gpu: string | null;
  readonly version: string | null;
  readonly draining: boolean;
  /** One sentence: why the worker is unhealthy, or what else is odd about it. */
  readonly reason: string | null;
  /** The machine that the fleet has it on; null: somebody else has started it. Brokers of an earlier release leave it out. */
  readonly machine?: MachineView | null;
}

/** One machine of a fleet, as its owner sees it. Times are epoch ms. */
export interface MachineView {
  readonly phase: InstancePhase;
  readonly sinceMs: number;
  readonly providerId: string | null;
  readonly gpuTypeId: string | null;
  readonly priceNanodollarsPerHour: number;
  readonly release: number;
  /** When it was last asked to be created or started, when its provider had done so, and when its worker first asked for a job. */
  readonly startedAtMs: number;
  readonly answeredAtMs: number | null;
  readonly readyAtMs: number | null;
  readonly lastError: string | null;
}

export interface WorkerApi {
  /** The digest of a key in the endpoint's settings. Fails with `settings_behind`: newer settings may have the key. */
  workerKey(call: { readonly keyId: string }): Promise<Result<{ readonly digest: string }>>;
  /** Takes jobs; held until there is one, at most TAKE_HOLD_MAX_MS. An empty list: no job came. */
  takeJobs(call: TakeCall): Promise<Result<readonly HandedJob[]>>;
  /** The client of a poll is gone: the jobs of `leases` were not delivered and go back to the queue without a count. */
  abandonTake(call: WorkerCall & { readonly pollId: string; readonly leases: readonly HandedLease[] }): Promise<void>;
  /** Resolves with whether the worker leaves and should wait for the answers to its open polls, which come soon. */
  ping(call: PingCall): Promise<boolean>;
  report(call: ReportCall): Promise<ReportReply>;
  /** Progress that a running handler reports; the status shows it while the job runs. */
  progress(call: WorkerJobCall & { readonly output: Uint8Array }): Promise<ReportReply>;
  /**
   * Returns the ids of jobs that the worker is to stop, each once; held until there are any, or for `holdMs`. Null: the
   * worker does not ask for jobs any more, so that its call need not be held. `again`: the edge goes on holding a call of the worker,
   * which may have gone meanwhile.
   */
  awaitStops(
    call: WorkerCall & { readonly holdMs: number; readonly again?: boolean },
  ): Promise<readonly string[] | null>;
  /** All workers and upstreams of the endpoint; null: the endpoint is not the caller's. */
  listWorkers(call: { readonly tenantId: string }): Promise<readonly WorkerView[] | null>;
  /** `draining`: the worker gets no new job but finishes its own; else it gets jobs again. False: no such worker. */
  drainWorker(call: {
    readonly tenantId: string;
    readonly workerId: string;
    readonly draining: boolean;
  }): Promise<boolean>;
}
