// How many calls of the management API one key may make: fixed windows, each with a quota, counted from values of time
// that callers give. The texts are those of draft-ietf-httpapi-ratelimit-headers-11, which RunPod's clients read.

interface Window {
  readonly name: string;
  readonly seconds: number;
  readonly quota: number;
}

/**
 * The windows of RunPod's management API (60, 3,000 and 50,000 calls there). A deployment of one's own has no other customers to
 * protect, but each call costs up to ten rows of D1, which takes some thousand writes a second from all of its callers.
 */
const WINDOWS: readonly Window[] = [
  { name: "minute", seconds: 60, quota: 3_000 },
  { name: "hour", seconds: 3_600, quota: 60_000 },
  { name: "day", seconds: 86_400, quota: 500_000 },
];

/** The value of the header `RateLimit-Policy`. */
export const RATE_LIMIT_POLICY = WINDOWS.map(({ name, quota, seconds }) => `"${name}";q=${quota};w=${seconds}`).join(
  ", ",
);

/** The outcome of one more call: the value of the header `RateLimit`, and the window that is full, if one is. */
export interface RateTaken {
  readonly header: string;
  readonly full: { readonly window: string; readonly retryAfterSeconds: number } | null;
}

/** The calls of one key. */
export class RateWindows {
  readonly #counts = WINDOWS.map(() => ({ window: -1, calls: 0 }));

  /** Counts a call at this time, epoch ms. A refused call counts, too: a client that does not wait gains nothing. */
  take(nowMs: number): RateTaken {
    const left = WINDOWS.map(({ name, seconds, quota }, at) => {
      const window = Math.floor(nowMs / (seconds * 1_000));
      const count = this.#counts[at];
      if (count === undefined) throw new Error("there is a count for each window");
      if (count.window !== window) Object.assign(count, { window, calls: 0 });
      count.calls += 1;
      const resetSeconds = Math.max(1, Math.ceil(((window + 1) * seconds * 1_000 - nowMs) / 1_000));
      return { name, rest: quota - count.calls, resetSeconds };
    });
    const full = left.findLast(({ rest }) => rest < 0);
    return {
      header: left
        .map(({ name, rest, resetSeconds }) => `"${name}";r=${Math.max(0, rest)};t=${resetSeconds}`)
        .join(", "),
      full: full === undefined ? null : { window: full.name, retryAfterSeconds: full.resetSeconds },
    };
  }
}
