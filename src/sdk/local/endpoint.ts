// An endpoint in memory: jobs that wait in order, run as many at once as the worker may, and are kept as long as a deployed endpoint
// keeps them.
import { randomUUID } from "node:crypto";
import { EXECUTION_TIMEOUT, failed } from "../../core/job/failure.ts";
import type { JobStatus } from "../../core/job/job.ts";
import {
  PROGRESS_MAX_BYTES,
  RESULT_MAX_BYTES,
  RUN_RETENTION_DEFAULT_MS,
  RUNSYNC_RETENTION_DEFAULT_MS,
} from "../../core/limits.ts";
import { OutputTap } from "../../core/openai/output-usage.ts";
import { Concurrency } from "../concurrency.ts";
import { readChunk, readReport } from "../read-report.ts";
import { type Ended, type JobLine, type JobRun, runJob, stopReason } from "../run-job.ts";
import { TAKEN } from "../worker-api.ts";
import { type LocalEnd, LocalJob, type LocalWork } from "./job.ts";

/** One run of a job. A handler that does not heed its signal may run on while its job, which has ended, is run again. */
interface Run {
  readonly job: LocalJob;
  readonly abort: AbortController;
  ended: Promise<void>;
}

const GONE = { status: 404, text: "the job is over", retryAfterMs: null };

export class LocalEndpoint {
  readonly #run: Omit<JobRun, "signal" | "line">;
  readonly #concurrency: Concurrency;
  readonly #jobs = new Map<string, LocalJob>();
  readonly #timers = new Map<LocalJob, ReturnType<typeof setTimeout>>();
  /** In their order; those of low priority wait for all others. */
  #waiting: LocalJob[] = [];
  readonly #running = new Set<Run>();
  readonly #ended = { completed: 0, failed: 0 };
  #isDraining = false;
  #starting: Promise<void> = Promise.resolve();

  constructor(run: Omit<JobRun, "signal" | "line">) {
    this.#run = run;
    this.#concurrency = new Concurrency(run.config, run.log);
  }

  submit(work: LocalWork): LocalJob {
    const job = new LocalJob(randomUUID(), work, Date.now());
    this.#jobs.set(job.id, job);
    if (typeof work.fields.webhook === "string") this.#run.log.of(job.id).warn("its webhook is not sent from here");
    this.#enqueue(job);
    return job;
  }

  /** Null: there is none, or it is no longer kept. */
  find(id: string): LocalJob | null {
    return this.#jobs.get(id) ?? null;
  }

  /** A job that is over stays as it is. */
  cancel(job: LocalJob): void {
    this.#end(job, "CANCELLED");
  }

  /** False: only a FAILED job can be run again. */
  retry(job: LocalJob): boolean {
    if (job.state.status !== "FAILED") return false;
    this.#ended.failed -= 1;
    job.enqueueAgain(Date.now());
    this.#enqueue(job);
    return true;
  }

  /** Cancels all that wait, and tells how many they were. */
  purge(): number {
    const waiting = this.#waiting;
    for (const job of waiting) this.cancel(job);
    return waiting.length;
  }

  setTtl(job: LocalJob, ttlMs: number): void {
    if (job.isOver) return;
    job.ttlAtMs = job.queuedAtMs + ttlMs;
    this.#arm(job);
  }

  /** Counts of jobs, and of the one worker that this process is. */
  health() {
    const busy = this.#running.size > 0 ? 1 : 0;
    const inProgress = [...this.#running].filter(({ abort }) => !abort.signal.aborted).length;
    const ready = this.#running.size < this.#concurrency.current ? 1 : 0;
    return {
      jobs: { ...this.#ended, inProgress, inQueue: this.#waiting.length, retried: 0 },
      workers: { idle: 1 - busy, initializing: 0, ready, running: busy, throttled: 0, unhealthy: 0 },
    };
  }

  /** All jobs, the newest first. */
  newest(): readonly LocalJob[] {
    return [...this.#jobs.values()].reverse();
  }

  /** The place of a job that waits, from 1 on. */
  positionOf(job: LocalJob): number {
    return 1 + this.#waiting.indexOf(job);
  }

  /** Is there room for one more job? Then one that waits is about to start. */
  get hasRoom(): boolean {
    return this.#running.size < this.#concurrency.current;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  /** Starts no more jobs, and resolves when those that run have ended. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    await this.#starting;
    await Promise.all([...this.#running].map(({ ended }) => ended));
  }

  #enqueue(job: LocalJob): void {
    const firstLow = this.#waiting.findIndex(({ work }) => work.lowPriority);
    const at = job.work.lowPriority || firstLow === -1 ? this.#waiting.length : firstLow;
    this.#waiting = this.#waiting.toSpliced(at, 0, job);
    this.#arm(job);
    this.#startMore();
  }

  /** One look at a time: the concurrency may be a function that takes its time. */
  #startMore(): void {
    this.#starting = this.#starting.then(async () => {
      while (!this.#isDraining && this.#waiting.length > 0) {
        const concurrency = await this.#concurrency.read();
        const [next, ...rest] = this.#waiting;
        if (next === undefined || this.#isDraining || this.#running.size >= concurrency) return;
        this.#waiting = rest;
        this.#begin(next);
      }
    });
  }

  #begin(job: LocalJob): void {
    const abort = new AbortController();
    const log = this.#run.log.of(job.id);
    job.begin(this.#run.reporter.workerId, Date.now());
    this.#arm(job);
    log.debug("started");
    const run: Run = { job, abort, ended: Promise.resolve() };
    this.#running.add(run);
    run.ended = this.#finish(job, abort.signal)
      .catch((error: unknown) => log.error("the job could not be run", { reason: String(error) }))
      .finally(() => {
        this.#running.delete(run);
        this.#startMore();
      });
  }

  async #finish(job: LocalJob, signal: AbortSignal): Promise<void> {
    const log = this.#run.log.of(job.id);
    const { input, fields } = job.work;
    const handed = { ...fields, id: job.id, input };
    const ended = await runJob(handed, { ...this.#run, line: lineOf(job, signal), log, signal });
    if (ended === null || signal.aborted) {
      log.info("stopped: its result is dropped");
      return;
    }
    this.#settle(job, ended);
    log.info(job.state.status === "FAILED" ? "failed" : "completed", { ms: job.state.executionMs });
  }

  #settle(job: LocalJob, ended: NonNullable<Ended>): void {
    if (Buffer.byteLength(ended.report.body) > RESULT_MAX_BYTES) {
      const message = `the result is larger than ${RESULT_MAX_BYTES / 1024 / 1024} MiB`;
      this.#end(job, "FAILED", { failure: failed("answer_too_large", message) });
      return;
    }
    const { error, output, whole } = job.endOf((chunks) => readReport(ended, chunks));
    const told = error ?? (job.work.request === null ? null : errorOfOpenAi(output));
    if (told === null) this.#end(job, "COMPLETED", { output, whole });
    else this.#end(job, "FAILED", { failure: failed("handler_error", told), output, whole });
  }

  #end(job: LocalJob, status: JobStatus, given: LocalEnd = {}): void {
    if (job.isOver) return;
    job.end(status, Date.now(), given);
    this.#waiting = this.#waiting.filter((other) => other !== job);
    if (status === "COMPLETED") this.#ended.completed += 1;
    if (status === "FAILED") this.#ended.failed += 1;
    this.#arm(job);
    const isStopped = status === "CANCELLED" || status === "TIMED_OUT" || job.state.failure === EXECUTION_TIMEOUT;
    if (isStopped) for (const run of this.#running) if (run.job === job) run.abort.abort(stopReason());
  }

  /** Sets the timer for what time does next to a job: its end, or that it is kept no longer. */
  #arm(job: LocalJob): void {
    clearTimeout(this.#timers.get(job));
    const timer = setTimeout(() => this.#passTime(job), Math.max(0, dueMs(job) - Date.now()));
    timer.unref();
    this.#timers.set(job, timer);
  }

  #passTime(job: LocalJob): void {
    const nowMs = Date.now();
    if (nowMs < dueMs(job)) {
      this.#arm(job);
      return;
    }
    if (!job.isOver && nowMs < job.ttlAtMs) {
      this.#end(job, "FAILED", { failure: EXECUTION_TIMEOUT });
      return;
    }
    // Whoever waits for the job at this moment is told; no later call finds it.
    this.#end(job, "TIMED_OUT");
    this.#jobs.delete(job.id);
    clearTimeout(this.#timers.get(job));
    this.#timers.delete(job);
  }
}

/** When time does something to the job, epoch ms. */
function dueMs({ work, state, ttlAtMs }: LocalJob): number {
  if (state.finishedAtMs !== null) {
    return state.finishedAtMs + (work.mode === "runsync" ? RUNSYNC_RETENTION_DEFAULT_MS : RUN_RETENTION_DEFAULT_MS);
  }
  return state.startedAtMs === null ? ttlAtMs : Math.min(ttlAtMs, state.startedAtMs + work.executionTimeoutMs);
}

/** What a job tells before its end, as long as it is not stopped. */
function lineOf(job: LocalJob, signal: AbortSignal): JobLine {
  return {
    progress: async (_jobId, body) => {
      if (signal.aborted || job.isOver) return;
      const progress = readChunk(body);
      job.showProgress(Buffer.byteLength(progress) > PROGRESS_MAX_BYTES ? "null" : progress);
    },
    chunk: async (_jobId, body) => {
      if (signal.aborted) return GONE;
      job.addChunk(readChunk(body));
      return TAKEN;
    },
  };
}

/** The error that the output of an OpenAI client's job is; null: it is none. */
function errorOfOpenAi(output: string | null): string | null {
  if (output === null) return null;
  const tap = new OutputTap();
  tap.push(Buffer.from(output));
  return tap.facts(0).error;
}
