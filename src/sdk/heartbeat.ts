// Tells what a worker works for that it is alive, and which jobs it runs, from a thread of its own: a handler that computes keeps the
// main thread busy for minutes, and a worker that is not heard of for three heartbeats loses its jobs.
import { Worker } from "node:worker_threads";
import { isPowerOfTwo } from "./delivery.ts";
import type { WorkerEnvironment } from "./environment.ts";
import type { HeartbeatSettings } from "./heartbeat-thread.ts";
import type { Log } from "./log.ts";

/** The thread is a file beside this one, in the source and in the package. */
const THREAD = new URL(`./heartbeat-thread.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url);

export class Heartbeat {
  readonly #thread: Worker | null;
  #failures = 0;

  /** Does nothing where the environment has no address for it. */
  constructor(place: WorkerEnvironment, release: string, log: Log) {
    const { pingUrl, key, pingIntervalMs } = place;
    if (pingUrl === null) {
      log.warn("RUNPOD_WEBHOOK_PING is not set: a job that takes long may be given to another worker");
      this.#thread = null;
      return;
    }
    const settings: HeartbeatSettings = { pingUrl, key, release, intervalMs: pingIntervalMs };
    // The thread has no use for the arguments of Node, such as a debugger's port, and little for memory.
    this.#thread = new Worker(THREAD, {
      workerData: settings,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 16 },
    });
    this.#thread.unref();
    this.#thread.on("message", (failure: string | null) => this.#note(failure, log));
    this.#thread.on("error", (error) => log.error("the heartbeats have ended", { reason: String(error) }));
  }

  /** The jobs that run from now on. */
  setJobs(ids: readonly string[]): void {
    this.#thread?.postMessage(ids);
  }

  async stop(): Promise<void> {
    await this.#thread?.terminate();
  }

  #note(failure: string | null, log: Log): void {
    if (failure === null) {
      if (this.#failures > 0) log.info("heartbeats are answered again", { failed: this.#failures });
      this.#failures = 0;
      return;
    }
    this.#failures += 1;
    if (isPowerOfTwo(this.#failures)) log.warn("a heartbeat failed", { failed: this.#failures, answer: failure });
  }
}
