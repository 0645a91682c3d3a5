// A carrier that sleeps between two looks at its upstream, and that can be woken: the upstream has called back.
import type { Clock } from "./keeper.ts";

export class Nudge {
  #abort = new AbortController();
  #isPending = false;

  fire(): void {
    this.#isPending = true;
    this.#abort.abort();
  }

  /** Sleeps until the time, the signal, or the next nudge; one that came since the last sleep counts. */
  async sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#isPending) await clock.sleep(ms, AbortSignal.any([signal, this.#abort.signal]));
    if (!this.#isPending) return;
    this.#isPending = false;
    this.#abort = new AbortController();
  }
}
