// How releases of RunPod's SDK differ; workers name their release in their requests (docs/wire.md 3.8). Our own SDK has been exact since its
// first release.

/** How a worker of our own SDK begins the name of its release. */
const OWN = "Waybill-Worker/";

/** The first release that always notes a job before it polls again: older ones may briefly report to run nothing. */
const NOTES_JOBS_FROM = [1, 10, 1] as const;
/** The first release that runs hooks before its handlers, and reports a failed hook. */
const REPORTS_STARTS_FROM = [2, 0, 0] as const;

/** Can a worker of this release be believed when it reports that it runs nothing? An unknown release cannot. */
export function reportsIdleness(version: string | null): boolean {
  return isFrom(version, NOTES_JOBS_FROM) ?? false;
}

/** May a worker of this release report a failed start? From an older release such a report is a handler's error. */
export function mayReportStart(version: string | null): boolean {
  return isFrom(version, REPORTS_STARTS_FROM) ?? true;
}

/** Null: the release is not known. */
function isFrom(version: string | null, first: readonly [number, number, number]): boolean | null {
  if (version?.startsWith(OWN) === true) return true;
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
