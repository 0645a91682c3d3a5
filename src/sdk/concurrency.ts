// How many jobs a worker runs at once: its author's number, or what the author's function says before each further job.
import { isPowerOfTwo } from "./delivery.ts";
import type { WorkerConfig } from "./handler.ts";
import type { Log } from "./log.ts";
import { shownThrown } from "./outcome.ts";

export class Concurrency {
  readonly #wanted: WorkerConfig["concurrency"];
  readonly #log: Log;
  #current = 1;
  /** Reads in a row that gave no number of use. */
  #failures = 0;

  constructor({ concurrency }: Pick<WorkerConfig, "concurrency">, log: Log) {
    this.#wanted = concurrency;
    this.#log = log;
  }

  /** What the last `read` gave; 1 before the first. */
  get current(): number {
    return this.#current;
  }

  async read(): Promise<number> {
    const given = await this.#ask();
    if (typeof given === "number" && Number.isInteger(given) && given >= 1) {
      this.#current = given;
      this.#failures = 0;
    } else {
      this.#noteUseless(given);
    }
    return this.#current;
  }

  /** A worker of short jobs asks hundreds of times a second, so there is a line for each doubling. */
  #noteUseless(given: unknown): void {
    this.#failures += 1;
    if (!isPowerOfTwo(this.#failures)) return;
    this.#log.error("concurrency must be a whole number from 1 on, so it stays as it was", {
      given: given instanceof Error ? `${given.name}: ${given.message}` : shownThrown(given),
      used: this.#current,
      times: this.#failures,
    });
  }

  /** A function that fails ends neither the worker nor its jobs. */
  async #ask(): Promise<unknown> {
    const wanted = this.#wanted ?? 1;
    if (typeof wanted !== "function") return wanted;
    try {
      return await wanted(this.#current);
    } catch (error) {
      return error;
    }
  }
}
