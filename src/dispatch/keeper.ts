// How the broker of an endpoint is reached: a fresh stub each try, because a stub stays broken after its object was
// replaced, and tries until a deadline, because an outcome that is not told is GPU time paid twice.
import type { BrokerApi } from "../contract/broker.ts";

const PAUSE_FIRST_MS = 100;
const PAUSE_MAX_MS = 5_000;

/** Time as a value: tests give their own. `sleep` ends early, without an error, when the signal fires. */
export interface Clock {
  now(): number;
  /** Runs it once after so long, unless what this returns is called before. */
  after(ms: number, run: () => void): () => void;
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

/** The broker of an endpoint. The stub is good for one call: after an error take another. */
export function brokerOf(env: Env, endpointId: string): BrokerApi {
  // The RPC stub answers every method of the class behind it, and EndpointBroker implements BrokerApi.
  return env.ENDPOINT_BROKER.getByName(endpointId) as unknown as BrokerApi;
}

/** Calls until an answer comes or `forMs` have passed; then throws the last error. `call` takes a fresh stub each time. */
export async function callUntil<T>(
  call: () => Promise<T>,
  options: { readonly clock: Clock; readonly forMs: number; readonly signal?: AbortSignal },
): Promise<T> {
  const untilMs = options.clock.now() + options.forMs;
  for (let pauseMs = PAUSE_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
    try {
      return await call();
    } catch (cause) {
      if (options.clock.now() + pauseMs > untilMs || options.signal?.aborted === true) throw cause;
      await options.clock.sleep(pauseMs, options.signal);
    }
  }
}
