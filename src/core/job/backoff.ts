// How long to wait before trying again: doubled each time up to a maximum, with jitter, so that not all return at once.

/** Base × 2^(failures − 1), at most max, plus 0 to 25 %. `jitter` is 0 ≤ j < 1; all figures in ms. */
export function backoffMs(failures: number, baseMs: number, maxMs: number, jitter: number): number {
  const doublings = Math.min(Math.max(failures - 1, 0), 30);
  const plain = Math.min(baseMs * 2 ** doublings, maxMs);
  return Math.round(plain * (1 + jitter / 4));
}
