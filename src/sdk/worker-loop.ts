// A worker that fetches its jobs: as many at once as it may, each reported until its report is taken, until it is told to end.
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { Concurrency } from "./concurrency.ts";
import { deliver, isPowerOfTwo } from "./delivery.ts";
import type { WorkerEnvironment } from "./environment.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { reportOfError } from "./outcome.ts";
import { pauseAfter } from "./pause.ts";
import { type Ended, type JobRun, runJob, stopReason } from "./run-job.ts";
import { StopWatch } from "./stop-watch.ts";
import { type Answer, type HandedJob, readJobs, shownAnswer, type WorkerApi } from "./worker-api.ts";

interface LoopRun extends Omit<JobRun, "signal"> {
  readonly api: WorkerApi;
  readonly place: WorkerEnvironment;
}

interface Running {
  readonly abort: AbortController;
  readonly ended: Promise<void>;
  /** Its handler has not ended. */
  isWorking: boolean;
}

const PAUSES = { firstMs: 500, longestMs: 10_000 };
/** What RunPod's own SDK waits after 429. */
const TOO_MANY_PAUSE_MS = 5_000;
/** How long a worker that leaves waits for the answer to its open poll. Waybill answers half a second after it was told. */
const LET_GO_MAX_MS = 2_000;
/** A poll without a job that was answered sooner than this is not held by anyone: the next one waits. */
const HELD_MIN_MS = 500;

export class WorkerLoop {
  readonly #run: LoopRun;
  readonly #heartbeat: Heartbeat;
  readonly #stops: StopWatch | null;
  readonly #running = new Map<string, Running>();
  /** Fires when no more jobs are to be asked for. */
  readonly #draining = new AbortController();
  /** Fires when the open poll is not waited for any longer. */
  readonly #cutting = new AbortController();
  /** Fires when the last job is reported: until then one can be cancelled, also while the worker ends. */
  readonly #ended = new AbortController();
  readonly #concurrency: Concurrency;
  #wake: () => void = () => undefined;

  constructor(run: LoopRun, heartbeat: Heartbeat) {
    this.#run = run;
    this.#concurrency = new Concurrency(run.config, run.log);
    this.#heartbeat = heartbeat;
    const { api, place, log } = run;
    const isBusy = () => this.#running.size > 0;
    const stop = (jobId: string) => this.#stop(jobId);
    this.#stops =
      place.stopUrl === null
        ? null
        : new StopWatch({ api, url: place.stopUrl, log, isBusy, stop, signal: this.#ended.signal });
  }

  /** Works until drain() was called and the last job is reported. */
  async work(): Promise<void> {
    const { signal } = this.#draining;
    let failures = 0;
    while (!signal.aborted) {
      const free = (await this.#concurrency.read()) - this.#running.size;
      if (signal.aborted) break;
      if (free <= 0) {
        await this.#untilChanged();
        continue;
      }
      const askedMs = performance.now();
      const answer = await this.#run.api.take(free, this.#running.size > 0, this.#cutting.signal);
      if (signal.aborted && answer.status !== 200) break;
      const jobs = readJobs(answer);
      for (const job of jobs ?? []) this.#begin(job);
      failures = jobs !== null || answer.status === 204 ? 0 : failures + 1;
      await this.#pause(answer, failures, (jobs ?? []).length > 0 ? Infinity : performance.now() - askedMs);
    }
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
    this.#ended.abort();
    await this.#heartbeat.stop();
  }

  /** Asks for no more jobs; those that run go on. */
  drain(): void {
    if (this.#draining.signal.aborted) return;
    this.#draining.abort();
    this.#wake();
    void this.#leave();
  }

  /**
   * Cuts the open poll off. Waybill answers it when it is told that the worker leaves, so there it is cut only when that takes too long: a
   * job that is handed to a poll in the moment in which it is cut would wait until its lease ends. RunPod does not know what it is told, so
   * there the poll is cut at once.
   */
  async #leave(): Promise<void> {
    const late = sleep(LET_GO_MAX_MS, false, { ref: false });
    const isAnswered = await Promise.race([this.#heartbeat.leave(), late]);
    if (isAnswered) await late;
    // A handler may have kept the thread busy all the while, and timers come before what has arrived on connections: that is read now.
    await setImmediate();
    this.#cutting.abort();
  }

  get runningIds(): readonly string[] {
    return [...this.#running.keys()];
  }

  /** Resolves when a job has ended, or the worker is to end. */
  #untilChanged(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** After an answer: none where jobs came, or where the poll was held. */
  async #pause(answer: Answer, failures: number, tookMs: number): Promise<void> {
    const { signal } = this.#draining;
    if (failures === 0 && tookMs >= HELD_MIN_MS) return;
    if (failures > 0 && isPowerOfTwo(failures) && !signal.aborted) {
      this.#run.log.warn("asking for jobs failed, it is tried again", { tries: failures, answer: shownAnswer(answer) });
    }
    const isTooMany = answer.status === 429 && answer.retryAfterMs === null;
    const pauseMs = isTooMany ? TOO_MANY_PAUSE_MS : pauseAfter(answer, failures, PAUSES);
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }

  #begin(job: HandedJob): void {
    const log = this.#run.log.of(job.id);
    if (this.#running.has(job.id)) {
      log.warn("the job was handed out again while it runs here");
      return;
    }
    const abort = new AbortController();
    // A job is in the list before its handler runs, so that no heartbeat and no poll leaves it out.
    const ended = Promise.resolve()
      .then(() => this.#finish(job, abort.signal))
      .catch((error: unknown) => log.error("the job could not be reported", { reason: String(error) }))
      .finally(() => this.#end(job.id));
    this.#running.set(job.id, { abort, ended, isWorking: true });
    this.#tellHeartbeat();
    this.#stops?.wake();
  }

  async #finish(job: HandedJob, signal: AbortSignal): Promise<void> {
    const log = this.#run.log.of(job.id);
    log.debug("started");
    const startedMs = performance.now();
    const ended = await runJob(job, { ...this.#run, log, signal });
    this.#noteReporting(job.id);
    const ms = Math.round(performance.now() - startedMs);
    if (ended === null) return log.info("stopped: its result is dropped", { ms });
    const { isTaken, isFailure } = await this.#report(job.id, ended, signal);
    const note = isTaken || signal.aborted ? log.info : log.warn;
    note(isFailure ? "failed" : "completed", { ms, isTaken });
    if (this.#run.config.refreshWorker === true) this.drain();
  }

  /** Resolves when the report is taken, or nobody waits for it. `isFailure`: what the client has then learned of the job. */
  async #report(jobId: string, { report, isStream }: NonNullable<Ended>, signal: AbortSignal) {
    const { api } = this.#run;
    const log = this.#run.log.of(jobId);
    const options = { log, isOver: () => signal.aborted };
    const first = await deliver(() => api.done(jobId, report.body, isStream), options);
    if (first.kind !== "refused") return { isTaken: first.kind === "taken", isFailure: report.isFailure };
    // The client has to learn why there is no result. This report is small, and no value of a handler is in it.
    log.error("the result was refused", { answer: first.answer, bytes: Buffer.byteLength(report.body) });
    const instead = reportOfError(`the result was refused: ${first.answer}`);
    const second = await deliver(() => api.done(jobId, instead.body), options);
    return { isTaken: second.kind === "taken", isFailure: true };
  }

  #noteReporting(jobId: string): void {
    const running = this.#running.get(jobId);
    if (running !== undefined) running.isWorking = false;
    this.#tellHeartbeat();
  }

  #end(jobId: string): void {
    this.#running.delete(jobId);
    this.#tellHeartbeat();
    this.#wake();
  }

  #tellHeartbeat(): void {
    const working = [...this.#running].flatMap(([id, { isWorking }]) => (isWorking ? [id] : []));
    this.#heartbeat.setJobs({ ids: this.runningIds, working });
  }

  #stop(jobId: string): void {
    const running = this.#running.get(jobId);
    if (running === undefined || running.abort.signal.aborted) return;
    this.#run.log.of(jobId).info("is to stop");
    running.abort.abort(stopReason());
  }
}
