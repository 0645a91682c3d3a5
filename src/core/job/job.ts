// The record of one job: its facts as the broker's row holds them. transition.ts decides what happens to it.

import type { TokenUsage } from "../openai/token-usage.ts";
import { type FailureCode, type JobFailure, runpodText } from "./failure.ts";
import type { Origin } from "./origin.ts";
import type { RateKind } from "./pricing.ts";

/** RunPod's six statuses. TIMED_OUT is sent to waiting calls and to the webhook; later calls are answered with 404. */
export type JobStatus = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED" | "FAILED" | "CANCELLED" | "TIMED_OUT";

export type JobMode = "run" | "runsync";

/** One attempt's claim on a job and a slot. `token` is the fence; rate and slots are copied so history never changes. */
export interface Lease {
  readonly token: string;
  /** The holder of the slot: an upstream's id, or holderOfWorker() of a pulling worker. */
  readonly holderId: string;
  /** The key of the pulling worker that took the job; null when the job was pushed. */
  readonly workerKeyId: string | null;
  /** The client's own request carries the job, so a loss of this lease is no sign that the worker failed. */
  readonly byClient: boolean;
  readonly tier: string;
  readonly rateKind: RateKind;
  readonly slots: number;
  readonly nanodollarsPerSecond: number;
  readonly startedAtMs: number;
  /** The job has waited for the start of this worker's machine, which became ready after it was queued; absent: it has not. */
  readonly cold?: true;
  /**
   * Only on a hosted upstream, where a job may wait once more: when the upstream first answered IN_PROGRESS, epoch ms;
   * null: not yet. The job is billed from then on. Elsewhere this is undefined, and a job runs as long as its lease.
   */
  readonly ranFromMs?: number | null;
  /** The end, epoch ms, by the newest renewal that this object received or an earlier start of it wrote. */
  readonly untilMs: number;
  /** Until when the lease holds without a renewal because a start of the object found it, epoch ms; 0 once renewed. */
  readonly graceUntilMs: number;
  /** The start of the object that gave or last renewed it: another one at expiry means a restart, no lost worker. */
  readonly incarnation: string;
}

/** The last ms, epoch ms, at which the carrier's reports are accepted; only a renewal moves it. */
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
  /** Null unless the origin of the job counts tokens. */
  readonly tokens: TokenUsage | null;
}

/**
 * How far the webhook has come. `nextAtMs`: when it is tried next or, once it is `dead`, when its dead letter is next
 * offered to D1; null: it is delivered, its dead letter is in D1, or there is nothing to send yet.
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
  /** Null: the attempt completed the job. */
  readonly code: FailureCode | null;
  /** Perhaps cut, because the row has little room. */
  readonly message: string | null;
  readonly billed: boolean;
  /** As in its lease. */
  readonly cold?: true;
}

/** A pulling worker that had the job until `untilMs`, epoch ms. Its reports name job and worker, but no attempt. */
export interface FormerWorker {
  readonly holderId: string;
  readonly untilMs: number;
}

/** Bytes that an object stores for a job beside its facts. Payloads in R2 are not counted. */
export interface StoredBytes {
  /** The input with the other fields of the request. */
  readonly input: number;
  readonly output: number;
  /** The chunks of attempts that have ended. */
  readonly chunks: number;
}

export interface Job {
  readonly uuid: string;
  readonly mode: JobMode;
  readonly tenantId: string;
  /** The token for browsers that submitted it; absent: a key did. Of other tokens none finds it. */
  readonly tokenId?: string;
  readonly origin: Origin | null;
  readonly status: JobStatus;
  readonly createdAtMs: number;
  /** When it last entered the queue by submit or retry: `delayTime` counts from here. */
  readonly queuedAtMs: number;
  /** Number of its last entry into IN_QUEUE, by any cause: a purge cancels all numbers up to a bound. */
  readonly queueSeq: number;
  readonly ttlAtMs: number;
  readonly executionTimeoutMs: number;
  readonly lowPriority: boolean;
  readonly retentionMs: number;
  /** How often a client has sent the job back by /retry: each round ends with its own finish and webhook. */
  readonly round: number;
  /** The number of leases that the job has had; it is the newest attempt's number. */
  readonly attempts: number;
  /**
   * Attempts since submit or retry that failed where the worker may have begun, and that another try follows. Clients
   * read it as `retries`, so the last failure of a job does not count.
   */
  readonly countedFailures: number;
  /** Where the newest of them failed: the next attempt goes to another upstream, if a sound one exists. */
  readonly failedOn: string | null;
  readonly restarts: number;
  /** How many leases may never have reached their pulling worker: it sent nothing, or reported itself idle at once. */
  readonly undelivered: number;
  /** How many pulling workers failed their start while they held the job. */
  readonly startFailures: number;
  /** Newest last, kept over retries, because such a worker may still run the job and report it late. */
  readonly formerWorkers: readonly FormerWorker[];
  /** The job is not started before this time, epoch ms; 0 when nothing holds it back. */
  readonly notBeforeMs: number;
  readonly lease: Lease | null;
  readonly upstreamJob: { readonly upstreamId: string; readonly id: string } | null;
  readonly delayMs: number | null;
  readonly executionMs: number | null;
  readonly workerId: string | null;
  /** Why the job ended; null for a job that has not ended, or that ended without a failure. */
  readonly failure: JobFailure | null;
  /** Attempts that have ended, oldest first, including those before a retry. */
  readonly history: readonly PastAttempt[];
  readonly finishedAtMs: number | null;
  /** The bill of the newest finish, and its place in the order of finishes; null when it was not billed. */
  readonly bill: Bill | null;
  readonly finishSeq: number | null;
  readonly webhook: WebhookState | null;
  /** Null: the row was written by a release that did not count these bytes. */
  readonly stored: StoredBytes | null;
}

/** This worker itself has reported the job's result, so that no process of its name runs it any more. */
export function isCompletedBy({ status, workerId }: Pick<Job, "status" | "workerId">, worker: string): boolean {
  return status === "COMPLETED" && workerId === worker;
}

/** True once nothing but `retry` from FAILED can change the status. */
export function isTerminal(status: JobStatus): boolean {
  return status !== "IN_QUEUE" && status !== "IN_PROGRESS";
}

/** The job is accepted and has no lease: it is in its endpoint's order, or waits for a time to enter it. */
export function isWaiting(status: JobStatus): boolean {
  return status === "IN_QUEUE";
}

/** An attempt holds the job's lease. */
export function isRunning(status: JobStatus): boolean {
  return status === "IN_PROGRESS";
}

/** The job ended with its worker's answer. */
export function hasResult(status: JobStatus): boolean {
  return status === "COMPLETED";
}

/** The job's ttl has passed: calls that wait for it are answered with that, and later calls do not find it. */
export function isTimedOut(status: JobStatus): boolean {
  return status === "TIMED_OUT";
}

/** The failure that a client may read: RunPod gives one only with FAILED. */
export function shownFailure(job: Job): JobFailure | null {
  return job.status === "FAILED" ? job.failure : null;
}

/** The same failure as the text that RunPod's clients read. */
export function shownError(job: Job): string | null {
  const failure = shownFailure(job);
  return failure === null ? null : runpodText(failure, job.countedFailures);
}

/** The values of a job that has not run, after its submit and again after a retry. */
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

/** A webhook of a job that has not ended. */
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
 * When time alone next changes a live job, epoch ms; Infinity for a finished one. A retry time that has passed does not
 * count: it would be due at every alarm for as long as no slot is free. A lease still holds in its last ms.
 */
export function dueAtMs(job: Job, nowMs: number): number {
  if (job.status === "IN_QUEUE") return job.notBeforeMs > nowMs ? Math.min(job.ttlAtMs, job.notBeforeMs) : job.ttlAtMs;
  if (job.lease === null) return Number.POSITIVE_INFINITY;
  return Math.min(job.ttlAtMs, leaseEndMs(job.lease) + 1, job.lease.startedAtMs + job.executionTimeoutMs);
}
