// What is known of single releases of RunPod's SDK, which workers name in their requests (docs/wire.md 3.8).

/** The first that surely takes note of a job before it asks again: those before it say for a moment that they run nothing. */
const NOTES_JOBS_FROM = [1, 10, 1] as const;
/** The first that has hooks before its handlers, and reports when one fails. */
const REPORTS_STARTS_FROM = [2, 0, 0] as const;

/** Does a worker of this release say only then that it runs nothing when that is so? An unknown one may not. */
export function reportsIdleness(version: string | null): boolean {
  return isFrom(version, NOTES_JOBS_FROM) ?? false;
}

/** May a worker of this release report that it could not start? Of an older one such a report is some handler's error. */
export function mayReportStart(version: string | null): boolean {
  return isFrom(version, REPORTS_STARTS_FROM) ?? true;
}

/** Null: the release is not known. */
function isFrom(version: string | null, first: readonly [number, number, number]): boolean | null {
  const numbers = /^(\d+)\.(\d+)\.(\d+)/
    .exec(version ?? "")
    ?.slice(1)
    .map(Number);
  if (numbers === undefined) return null;
  for (const [at, least] of first.entries()) {
    const number = numbers[at] ?? 0;
    if (number !== least) return number > least;
  }
  return true;
}
