// Asks which jobs are to stop, while there are some that have run for a while: no job that ends at once is worth a held call.
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "./log.ts";
import { pauseAfter } from "./pause.ts";
import { readStops, shownAnswer, type WorkerApi } from "./worker-api.ts";

const BEGIN_AFTER_MS = 500;
/** A poll that was answered sooner is not held by anyone: this keeps the calls apart. */
const PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

interface StopWatchOptions {
  readonly api: WorkerApi;
  readonly url: string;
  readonly log: Log;
  readonly isBusy: () => boolean;
  readonly stop: (jobId: string) => void;
  readonly signal: AbortSignal;
}

export class StopWatch {
  readonly #options: StopWatchOptions;
  #isWatching = false;

  constructor(options: StopWatchOptions) {
    this.#options = options;
  }

  /** To be called when a job begins. */
  wake(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    void this.#watch().finally(() => {
      this.#isWatching = false;
    });
  }

  async #watch(): Promise<void> {
    const { api, url, log, isBusy, stop, signal } = this.#options;
    let failures = 0;
    for (let pauseMs = BEGIN_AFTER_MS; ; ) {
      await sleep(pauseMs, undefined, { ref: false });
      if (signal.aborted || !isBusy()) return;
      const answer = await api.awaitStops(url, signal);
      for (const jobId of readStops(answer)) stop(jobId);
      const isAnswered = answer.status === 200 || answer.status === 204;
      failures = isAnswered ? 0 : failures + 1;
      if (failures === 1 && !signal.aborted)
        log.warn("asking which jobs are to stop failed", { answer: shownAnswer(answer) });
      pauseMs = isAnswered
        ? PAUSE_MS
        : pauseAfter(answer, failures, { firstMs: PAUSE_MS, longestMs: LONGEST_PAUSE_MS });
    }
  }
}
