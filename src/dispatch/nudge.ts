// The sleep of a carrier between two polls of its upstream; a callback from the upstream (a nudge) ends it early.
import type { Clock } from "./clock.ts";

export class Nudge {
  /** Ends the present sleep; null when nothing sleeps. Most attempts never sleep. */
  #woken: AbortController | null = null;
  #isPending = false;

  fire(): void {
    this.#isPending = true;
    this.#woken?.abort();
  }

  /** Sleeps until the time is over, the signal fires or a nudge comes; one that came since the last sleep counts. */
  async sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#isPending) {
      this.#woken = new AbortController();
      await clock.sleep(ms, AbortSignal.any([signal, this.#woken.signal]));
      this.#woken = null;
    }
    this.#isPending = false;
  }
}
