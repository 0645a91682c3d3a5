// Measured times as people read them. Pure, so that tests in workerd and in Node may both use it.

/** The figure below which this share of all of them lies; NaN when there are none. */
export function percentile(figures: readonly number[], share: number): number {
  return figures.toSorted((a, b) => a - b)[Math.floor((figures.length - 1) * share)] ?? Number.NaN;
}

export function shownMs(figures: readonly number[]): string {
  return `p50 ${percentile(figures, 0.5).toFixed(1)} ms, p99 ${percentile(figures, 0.99).toFixed(1)} ms`;
}
