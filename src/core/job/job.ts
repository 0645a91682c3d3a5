// The record of one job: its facts as the broker's row holds them. What may happen to it stands in transition.ts.

import type { TokenUsage } from "../openai/token-usage.ts";
import { type FailureCode, type JobFailure, runpodText } from "./failure.ts";
import type { Origin } from "./origin.ts";
import type { RateKind } from "./pricing.ts";

/** RunPod's six statuses. TIMED_OUT is told to those who wait and to the webhook; every route then answers 404. */
export type JobStatus = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED" | "FAILED" | "CANCELLED" | "TIMED_OUT";

export type JobMode = "run" | "runsync";

/** One attempt's claim on a job and a slot. `token` is the fence; rate and slots are copied so history never changes. */
export interface Lease {
  readonly token: string;
  /** Whose slot it is: an upstream's id, or holderOfWorker() of a pulling worker. */
  readonly holderId: string;
  /** The key of the pulling worker that took the job; null when the job was pushed. */
  readonly workerKeyId: string | null;
  /** The client's own request carries the job: a lease that is lost says nothing about its worker. */
  readonly byClient: boolean;
  readonly tier: string;
  readonly rateKind: RateKind;
  readonly slots: number;
  readonly nanodollarsPerSecond: number;
  readonly startedAtMs: number;
  /**
   * Where a job may wait once more (a hosted upstream): when the upstream first answered IN_PROGRESS; null: not yet. The job is
   * billed from then on. Elsewhere this is not there, and a job runs as long as its lease.
   */
  readonly ranFromMs?: number | null;
  /** By the newest renewal that this object has had, or an earlier one has written. */
  readonly untilMs: number;
  /** A start of the object found it running, and it holds until then without a renewal; 0 once it has one. */
  readonly graceUntilMs: number;
  /** The start of the broker object that gave it: another one at expiry means a restart, not a lost worker. */
  readonly incarnation: string;
}

/** Through this moment the carrier's word counts; nothing but a renewal moves it. */
export function leaseEndMs({ untilMs, graceUntilMs }: Lease): number {
  return Math.max(untilMs, graceUntilMs);
}

/** What one finished attempt costs; seq is the attempt's number. */
export interface Bill {
  readonly seq: number;
  readonly tier: string;
  readonly rateKind: RateKind;
  readonly slots: number;
  readonly nanodollarsPerSecond: number;
  readonly seconds: number;
  readonly amountNanodollars: number;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  /** Of a job whose origin counts them. */
  readonly tokens: TokenUsage | null;
}

/**
 * How far the call back has come. `nextAtMs`: the next try, or once it is `dead` the next offer of its dead letter to D1;
 * null: delivered, buried, or nothing to send yet.
 */
export interface WebhookState {
  readonly tries: number;
  readonly nextAtMs: number | null;
  readonly dead: boolean;
  readonly detail: string | null;
}

/** One attempt that has ended. */
export interface PastAttempt {
  /** As in `Job.attempts`, and as the seq of its usage line. */
  readonly number: number;
  readonly workerId: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** Null: it completed the job. */
  readonly code: FailureCode | null;
  /** Perhaps cut for the room in the row. */
  readonly message: string | null;
  readonly billed: boolean;
}

/** A pulling worker that had the job until then, epoch ms. Its reports name job and worker, but no attempt. */
export interface FormerWorker {
  readonly holderId: string;
  readonly untilMs: number;
}

/** Bytes that an object keeps of a job beside its facts. What stands in R2 is not among them. */
export interface StoredBytes {
  /** With all that was submitted beside it. */
  readonly input: number;
  readonly output: number;
  /** Of attempts that have ended. */
  readonly chunks: number;
}

export interface Job {
  readonly uuid: string;
  readonly mode: JobMode;
  readonly tenantId: string;
  readonly origin: Origin | null;
  readonly status: JobStatus;
  readonly createdAtMs: number;
  /** When it last entered the queue by submit or retry: `delayTime` counts from here. */
  readonly queuedAtMs: number;
  /** Number of its last entry into IN_QUEUE, by whatever cause: a purge covers all numbers up to one. */
  readonly queueSeq: number;
  readonly ttlAtMs: number;
  readonly executionTimeoutMs: number;
  readonly lowPriority: boolean;
  readonly retentionMs: number;
  /** How often a client has sent it back by /retry: each round ends with a finish and a webhook of its own. */
  readonly round: number;
  /** Leases ever given; the newest attempt's number. */
  readonly attempts: number;
  /** Attempts since submit or retry that failed where the worker may have begun. */
  readonly countedFailures: number;
  /** The upstream of the newest of them: the next attempt goes to another one, if there is a sound one. */
  readonly failedOn: string | null;
  readonly restarts: number;
  /** Leases that ended without a word from the pulling worker that was given them: it may never have had the job. */
  readonly undelivered: number;
  /** Pulling workers that failed their start while they held it. */
  readonly startFailures: number;
  /** Newest last; also over retries, because such a worker may still run the job and report it late. */
  readonly formerWorkers: readonly FormerWorker[];
  /** Not started before; 0 when nothing holds it back. */
  readonly notBeforeMs: number;
  readonly lease: Lease | null;
  readonly upstreamJob: { readonly upstreamId: string; readonly id: string } | null;
  readonly delayMs: number | null;
  readonly executionMs: number | null;
  readonly workerId: string | null;
  /** Of its end; null for a job that lives or was not to fail. */
  readonly failure: JobFailure | null;
  /** Attempts that have ended, oldest first, over retries too. */
  readonly history: readonly PastAttempt[];
  readonly finishedAtMs: number | null;
  /** The bill of the newest finish, and its place in the order of finishes; null when it cost nothing. */
  readonly bill: Bill | null;
  readonly finishSeq: number | null;
  readonly webhook: WebhookState | null;
  /** Null: a release that did not count them has written the row. */
  readonly stored: StoredBytes | null;
}

/** True once nothing but `retry` from FAILED can change the status. */
export function isTerminal(status: JobStatus): boolean {
  return status !== "IN_QUEUE" && status !== "IN_PROGRESS";
}

/** Accepted and without a lease: it is in the order of its endpoint, or waits for a time to enter it. */
export function isWaiting(status: JobStatus): boolean {
  return status === "IN_QUEUE";
}

/** An attempt holds its lease. */
export function isRunning(status: JobStatus): boolean {
  return status === "IN_PROGRESS";
}

/** The job ended with its worker's answer. */
export function hasResult(status: JobStatus): boolean {
  return status === "COMPLETED";
}

/** Its ttl has passed: whoever waits is told so this once, and every later question finds nothing. */
export function isTimedOut(status: JobStatus): boolean {
  return status === "TIMED_OUT";
}

/** The failure that a client is told: RunPod gives one only with FAILED. */
export function shownFailure(job: Job): JobFailure | null {
  return job.status === "FAILED" ? job.failure : null;
}

/** The same as RunPod's clients read it. */
export function shownError(job: Job): string | null {
  const failure = shownFailure(job);
  return failure === null ? null : runpodText(failure, job.countedFailures);
}

/** What a job knows of no run yet: after its submit, and again after a retry. */
export const NOT_RUN = {
  status: "IN_QUEUE",
  countedFailures: 0,
  failedOn: null,
  restarts: 0,
  undelivered: 0,
  startFailures: 0,
  notBeforeMs: 0,
  lease: null,
  upstreamJob: null,
  delayMs: null,
  executionMs: null,
  workerId: null,
  failure: null,
  finishedAtMs: null,
  bill: null,
  finishSeq: null,
} as const satisfies Partial<Job>;

/** A call back that has nothing to say yet. */
export const NOTHING_TO_SEND: WebhookState = { tries: 0, nextAtMs: null, dead: false, detail: null };

/** Does a purge of everything up to this number of the queue cancel the job? */
export function isPurgedBy(job: Job, throughQueueSeq: number): boolean {
  return isWaiting(job.status) && job.queueSeq <= throughQueueSeq;
}

/** End of retention, epoch ms; a job that timed out is gone at once. Infinity while it lives. */
export function expiresAtMs(job: Job): number {
  if (job.finishedAtMs === null) return Number.POSITIVE_INFINITY;
  return job.status === "TIMED_OUT" ? job.finishedAtMs : job.finishedAtMs + job.retentionMs;
}

/**
 * The earliest thing that time alone can still do to a live job, epoch ms; Infinity for a finished one. A retry time that
 * has come is past: it must not come up at every alarm for as long as no slot is free. A lease holds through its last ms.
 */
export function dueAtMs(job: Job, nowMs: number): number {
  if (job.status === "IN_QUEUE") return job.notBeforeMs > nowMs ? Math.min(job.ttlAtMs, job.notBeforeMs) : job.ttlAtMs;
  if (job.lease === null) return Number.POSITIVE_INFINITY;
  return Math.min(job.ttlAtMs, leaseEndMs(job.lease) + 1, job.lease.startedAtMs + job.executionTimeoutMs);
}
