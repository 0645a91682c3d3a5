// The one policy by which a call to a broker is repeated: with growing pauses, until an answer comes or hope is gone.
import { type Clock, systemClock } from "./clock.ts";

const PAUSE_FIRST_MS = 50;
const PAUSE_MAX_MS = 5_000;

/** When to give up. A field that is left out sets no bound. */
export interface Patience {
  readonly triesMax?: number;
  /** The last try begins at most this many milliseconds after the first one. */
  readonly forMs?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** Could another try succeed after this error? Without this function every error is tried again. */
  readonly isPassing?: (error: unknown, tryNumber: number) => boolean;
}

/** Calls until an answer comes; throws the last error when `patience` is over. */
export async function repeatCall<T>(call: () => Promise<T>, patience: Patience): Promise<T> {
  const { triesMax = Infinity, forMs = Infinity, signal, clock = systemClock, isPassing } = patience;
  const untilMs = clock.now() + forMs;
  for (let tryNumber = 1; ; tryNumber += 1) {
    try {
      return await call();
    } catch (error) {
      // The pause is random, because the callers of a replaced broker must not all come back at the same moment.
      const pauseMs = Math.min(PAUSE_FIRST_MS * 2 ** (tryNumber - 1), PAUSE_MAX_MS) * (0.5 + Math.random() / 2);
      const isOver = tryNumber >= triesMax || clock.now() + pauseMs > untilMs || signal?.aborted === true;
      if (isPassing?.(error, tryNumber) === false || isOver) throw error;
      await clock.sleep(pauseMs, signal);
    }
  }
}
