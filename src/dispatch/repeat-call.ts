// The one policy by which a call to a broker is made again: with growing pauses, until an answer comes, or until it is no use.
import { type Clock, systemClock } from "./clock.ts";

const PAUSE_FIRST_MS = 50;
const PAUSE_MAX_MS = 5_000;

/** When to give up. What is left out sets no bound. */
export interface Patience {
  readonly triesMax?: number;
  /** The last try begins at most so long after the first one, in milliseconds. */
  readonly forMs?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** Is this error one that another try may mend? Without it every error is. */
  readonly isPassing?: (error: unknown, tryNumber: number) => boolean;
}

/** Calls until an answer comes; when there is no more patience it throws the last error. */
export async function repeatCall<T>(call: () => Promise<T>, patience: Patience): Promise<T> {
  const { triesMax = Infinity, forMs = Infinity, signal, clock = systemClock, isPassing } = patience;
  const untilMs = clock.now() + forMs;
  for (let tryNumber = 1; ; tryNumber += 1) {
    try {
      return await call();
    } catch (error) {
      // Callers of one broker that was replaced must not all come back at the same moment.
      const pauseMs = Math.min(PAUSE_FIRST_MS * 2 ** (tryNumber - 1), PAUSE_MAX_MS) * (0.5 + Math.random() / 2);
      const isOver = tryNumber >= triesMax || clock.now() + pauseMs > untilMs || signal?.aborted === true;
      if (isPassing?.(error, tryNumber) === false || isOver) throw error;
      await clock.sleep(pauseMs, signal);
    }
  }
}
