// Tells what a worker works for that it is alive, and which jobs it runs. While there are jobs a thread of its own does: a handler that
// computes keeps the main thread busy for minutes, and a worker that is not heard of for three heartbeats loses its jobs. An idle worker
// needs no such thread, which takes 17 MB.
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { isPowerOfTwo } from "./delivery.ts";
import type { WorkerEnvironment } from "./environment.ts";
import {
  HeartbeatCall,
  type HeartbeatSettings,
  type RunningJobs,
  type ThreadCall,
  type ThreadReply,
} from "./heartbeat-call.ts";
import type { Log } from "./log.ts";

/** The thread is a file beside this one, in the source and in the package. */
const THREAD = new URL(`./heartbeat-thread${extname(import.meta.url)}`, import.meta.url);
/** The thread outlives the last job by this: starting it takes 30 ms of a processor, too much for each of a thousand short jobs. */
const THREAD_KEPT_MS = 60_000;
/** A thread that has failed is started again, but not in a loop. */
const AGAIN_MS = 1_000;

export class Heartbeat {
  readonly #settings: HeartbeatSettings | null;
  readonly #log: Log;
  #thread: Worker | null = null;
  #jobs: RunningJobs = { ids: [], working: [] };
  #timer: NodeJS.Timeout | undefined;
  #threadEnd: NodeJS.Timeout | undefined;
  #failures = 0;
  #isOver = false;
  /** Takes what the thread tells of the heartbeat by which the worker leaves. */
  #left: (mayBeAnswered: boolean) => void = () => undefined;
  /** A heartbeat of this thread. */
  #beat: () => void = () => undefined;

  /** Does nothing where the environment has no address for it. */
  constructor({ pingUrl, key, pingIntervalMs }: WorkerEnvironment, release: string, log: Log) {
    this.#log = log;
    this.#settings = pingUrl === null ? null : { pingUrl, key, release, intervalMs: pingIntervalMs };
    if (this.#settings !== null) this.#begin(this.#settings);
    else log.warn("RUNPOD_WEBHOOK_PING is not set: a job that takes long may be given to another worker");
  }

  /** The jobs that run from now on. A new one is named at once, or as soon as its handler has run for a moment. */
  setJobs(jobs: RunningJobs): void {
    const { ids } = jobs;
    this.#jobs = jobs;
    clearTimeout(this.#threadEnd);
    if (this.#settings === null || this.#isOver) return;
    if (ids.length > 0 && this.#thread === null) {
      // The new thread needs a moment before it can name the job.
      this.#beat();
      this.#startThread(this.#settings);
    }
    this.#thread?.postMessage({ kind: "jobs", jobs } satisfies ThreadCall);
    if (ids.length === 0) this.#threadEnd = setTimeout(() => this.#endThread(), THREAD_KEPT_MS).unref();
  }

  /** Tells that this worker wants no more jobs. Resolves with whether its open poll may be answered because of that. */
  async leave(): Promise<boolean> {
    if (this.#settings === null) return false;
    if (this.#thread === null) return await new HeartbeatCall(this.#settings).sendLeaving(this.#jobs.ids);
    // The call needs several turns of an event loop, which a handler may keep from this thread for seconds.
    const left = new Promise<boolean>((resolve) => {
      this.#left = resolve;
    });
    this.#thread.postMessage({ kind: "leave" } satisfies ThreadCall);
    return await left;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    clearInterval(this.#timer);
    clearTimeout(this.#threadEnd);
    await this.#endThread();
  }

  /** The heartbeats of an idle worker, the first one at once. */
  #begin(settings: HeartbeatSettings): void {
    const call = new HeartbeatCall(settings);
    this.#beat = async () => this.#note(await call.send(this.#jobs.ids));
    this.#beat();
    this.#timer = setInterval(() => this.#thread === null && this.#beat(), settings.intervalMs).unref();
  }

  #startThread(settings: HeartbeatSettings): void {
    // The thread has no use for the arguments of Node, such as a debugger's port.
    const thread = new Worker(THREAD, { workerData: settings, execArgv: [] });
    thread.unref();
    thread.on("message", (told: ThreadReply) => {
      if (told.kind === "beat") this.#note(told.failure);
      else this.#left(told.mayBeAnswered);
    });
    thread.on("error", (error) => this.#log.error("the thread of the heartbeats failed", { reason: String(error) }));
    thread.on("exit", () => {
      if (this.#thread !== thread) return;
      this.#thread = null;
      setTimeout(() => this.setJobs(this.#jobs), AGAIN_MS).unref();
    });
    this.#thread = thread;
  }

  async #endThread(): Promise<void> {
    const thread = this.#thread;
    this.#thread = null;
    await thread?.terminate();
  }

  #note(failure: string | null): void {
    if (failure === null) {
      if (this.#failures > 0) this.#log.info("heartbeats are answered again", { failed: this.#failures });
      this.#failures = 0;
      return;
    }
    this.#failures += 1;
    if (isPowerOfTwo(this.#failures)) {
      this.#log.warn("a heartbeat failed", { failed: this.#failures, answer: failure });
    }
  }
}
