// The percentile of a few numbers by nearest rank: always one of the numbers themselves.

/** `sorted` is in rising order, `percent` from 1 to 100. Undefined: there are no numbers. */
export function nearestRank(sorted: readonly number[], percent: number): number | undefined {
  return sorted[Math.ceil((sorted.length * percent) / 100) - 1];
}
