// The agent's side of its keeper (keeper-process.ts): orders to it, and what it tells of each run.
import { type ChildProcess, fork } from "node:child_process";
import { extname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { killSession } from "../dev-processes.ts";
import { newsSchema, type Order, type Program, type RunEnd } from "./keeper-messages.ts";

/** Who wants to know about one run. */
export interface RunWatcher {
  /** Its process runs. */
  started(): void;
  /** Nothing of it is left, or it could not be started. */
  ended(end: RunEnd): void;
}

/** One run of a program. */
export interface Run {
  /** SIGTERM, and SIGKILL to all that is left of it after so many ms. */
  end(graceMs: number): void;
}

interface Kept {
  readonly watcher: RunWatcher;
  /** Null: it is not started yet. */
  pid: number | null;
}

/** For the grace of all programs, and the end of what was killed then. */
const STOP_MAX_MS = 4_500;

export class Keeper {
  /** Resolves when it takes orders; those that are given before wait. */
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #runs = new Map<number, Kept>();
  #lastRun = 0;
  #isStopping = false;

  /** `lost`: it has ended by itself. All that it had started was killed, and nothing can be started any more. */
  constructor(lost: () => void) {
    const file = new URL(`./keeper-process${extname(import.meta.url)}`, import.meta.url);
    this.#child = fork(file, [], {
      // A group of its own: a Ctrl-C in the terminal is for the agent, and so is a kill of its group.
      detached: true,
      env: {},
      execArgv: [],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    this.#child.on("message", (message) => {
      const news = newsSchema.parse(message);
      if (news.news === "ready") ready.resolve();
      else if (news.news === "started") this.#started(news.run, news.pid);
      else this.#ended(news.run, news.end);
    });
    // With an error there may be no exit: the keeper could not be started.
    const { promise, resolve } = Promise.withResolvers<number | null>();
    this.#child.once("exit", resolve);
    this.#child.once("error", () => resolve(this.#child.exitCode));
    this.#exited = promise.then((code) => {
      if (code !== 0) this.#killAll();
      if (!this.#isStopping) lost();
    });
  }

  start(program: Program, watcher: RunWatcher): Run {
    this.#lastRun += 1;
    const run = this.#lastRun;
    this.#runs.set(run, { watcher, pid: null });
    this.#order({ order: "start", run, program });
    return { end: (graceMs) => this.#order({ order: "end", run, graceMs }) };
  }

  /** Ends all programs, and the keeper, within 5 s. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#child.connected) this.#child.disconnect();
    const isLate = await Promise.race([this.#exited, sleep(STOP_MAX_MS, true, { ref: false })]);
    if (isLate !== true) return;
    this.#killAll();
    this.#child.kill("SIGKILL");
    await this.#exited;
  }

  #order(order: Order): void {
    // An order that does not arrive is one to a keeper that has ended, which is told by its exit.
    this.#child.send(order, () => undefined);
  }

  #started(run: number, pid: number): void {
    const kept = this.#runs.get(run);
    if (kept === undefined) return;
    kept.pid = pid;
    kept.watcher.started();
  }

  #ended(run: number, end: RunEnd): void {
    const kept = this.#runs.get(run);
    this.#runs.delete(run);
    kept?.watcher.ended(end);
  }

  #killAll(): void {
    for (const { pid } of this.#runs.values()) if (pid !== null) killSession(pid);
  }
}
