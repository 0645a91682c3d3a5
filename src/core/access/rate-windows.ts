// How many calls a caller may make: fixed windows, each with a quota, counted from values of time that callers give. The
// texts are those of draft-ietf-httpapi-ratelimit-headers-11, which RunPod's clients read.

export interface RateWindow {
  readonly name: string;
  readonly seconds: number;
  readonly quota: number;
}

/** The value of the header `RateLimit-Policy`. */
export function ratePolicy(windows: readonly RateWindow[]): string {
  return windows.map(({ name, quota, seconds }) => `"${name}";q=${quota};w=${seconds}`).join(", ");
}

/** The outcome of one more call: the value of the header `RateLimit`, and the window that is full, if one is. */
export interface RateTaken {
  readonly header: string;
  readonly full: { readonly window: string; readonly retryAfterSeconds: number } | null;
}

/** The calls of one caller. */
export class RateWindows {
  readonly #counts: { window: number; calls: number }[] = [];

  /**
   * Counts a call at this time, epoch ms. A refused call counts, too: a client that does not wait gains nothing. The
   * quotas may be others than at the last call, the windows' number and lengths may not.
   */
  take(windows: readonly RateWindow[], nowMs: number): RateTaken {
    const left = windows.map(({ name, seconds, quota }, at) => {
      const window = Math.floor(nowMs / (seconds * 1_000));
      const count = this.#counts[at] ?? { window, calls: 0 };
      this.#counts[at] = count;
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
