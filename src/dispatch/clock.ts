// Time as a value: code that waits is given its clock, so that a test can give its own.

export interface Clock {
  now(): number;
  /** Calls `run` once after `ms`, unless the function that this returns is called before. */
  after(ms: number, run: () => void): () => void;
  /** Waits for `ms`, or until the signal fires, which is no error. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal?.addEventListener("abort", end);
    }),
};
