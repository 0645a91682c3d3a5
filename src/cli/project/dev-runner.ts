// The loop of `dev`: starts the worker, ends it when a file changes, and starts it again; until all is to end.
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../core/failure.ts";
import type { DevInbox } from "./dev-inbox.ts";
import { CannotStart, type DevPlace, type DevStart } from "./dev-place.ts";
import type { DevScreen } from "./dev-screen.ts";
import { startWorker, type WorkerEnd, type WorkerProcess } from "./worker-process.ts";

export interface RunnerOptions {
  readonly place: DevPlace;
  readonly inbox: DevInbox;
  readonly screen: DevScreen;
  readonly folder: string;
  /** The worker's file below the folder. */
  readonly worker: string;
}

/** How long the jobs of a worker that is to end may go on. */
const STOP_MAX_MS = 10_000;
/** A worker that ends by itself, such as behind each job, is started again, but not in a tight loop. */
const STARTS_APART_MS = 1_000;

export class DevRunner {
  readonly #options: RunnerOptions;
  #worker: WorkerProcess | null = null;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Resolves when all is to end, and the worker has ended. */
  async run(): Promise<void> {
    const { inbox } = this.#options;
    while (!inbox.isEnding) {
      inbox.takeChange();
      const start = await this.#prepare();
      if (inbox.isEnding) return;
      if (start === null) await inbox.something();
      else await this.#runOnce(start);
    }
  }

  /** Ends the worker at once. */
  kill(): void {
    this.#worker?.kill();
  }

  /** Null: the worker cannot be started as its files are now, which is told. */
  async #prepare(): Promise<DevStart | null> {
    const { place, screen, inbox } = this.#options;
    try {
      return await place.prepare();
    } catch (error) {
      if (inbox.isEnding) return null;
      if (!(error instanceof CannotStart)) throw error;
      screen.tell("waiting", `${messageOf(error)}\nIt is tried again when a file changes.`);
      return null;
    }
  }

  async #runOnce(start: DevStart): Promise<void> {
    const { place, inbox, screen } = this.#options;
    const startedMs = performance.now();
    const worker = startWorker({ ...start, ...this.#options, printed: (stream, line) => screen.printed(stream, line) });
    this.#worker = worker;
    screen.note("started", { pid: worker.pid });
    place.started(worker);
    const ended = await Promise.race([worker.ended, inbox.something()]);
    if (ended === undefined) await this.#stop(worker);
    else await this.#afterEnd(ended, startedMs);
    this.#worker = null;
  }

  /** Lets the jobs of the worker end. One more change is a sign that nobody waits for them. */
  async #stop(worker: WorkerProcess): Promise<void> {
    const { inbox, place } = this.#options;
    inbox.takeChange();
    worker.terminate();
    place.stopping(worker);
    const isLate = sleep(STOP_MAX_MS, undefined, { ref: false });
    await Promise.race([worker.ended, isLate, inbox.change()]);
    worker.kill();
    await worker.ended;
  }

  async #afterEnd(end: WorkerEnd, startedMs: number): Promise<void> {
    const { place, inbox, screen, worker } = this.#options;
    const { code, signal } = end;
    const how = code === null ? `was ended by ${signal}` : `ended with code ${code}`;
    if (await place.restarts(end)) {
      screen.tell("ended", `${worker} ${how} and is started again`, { code, signal });
      const restMs = Math.max(0, startedMs + STARTS_APART_MS - performance.now());
      await Promise.race([sleep(restMs), inbox.something()]);
      return;
    }
    screen.tell("ended", `${worker} ${how}: it is started again when a file changes`, { code, signal });
    await inbox.something();
  }
}
