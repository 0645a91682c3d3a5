// A carrier that sleeps between two looks at its upstream, and that can be woken: the upstream has called back.
import type { Clock } from "./clock.ts";

export class Nudge {
  /** Ends the present sleep; null: nobody sleeps. Most attempts never do. */
  #woken: AbortController | null = null;
  #isPending = false;

  fire(): void {
    this.#isPending = true;
    this.#woken?.abort();
  }

  /** Sleeps until the time, the signal, or the next nudge; one that came since the last sleep counts. */
  async sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#isPending) {
      this.#woken = new AbortController();
      await clock.sleep(ms, AbortSignal.any([signal, this.#woken.signal]));
      this.#woken = null;
    }
    this.#isPending = false;
  }
}
