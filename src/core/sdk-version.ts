// What is known of single releases of RunPod's SDK, which workers name in their requests.

/** The first that surely takes note of a job before it asks again: those before it say for a moment that they run nothing. */
const NOTES_JOBS_FROM = [1, 10, 1] as const;

/** Does a worker of this release say only then that it runs nothing when that is so? An unknown one may not. */
export function isIdleOnlyWhenSaid(version: string | null): boolean {
  const numbers = /^(\d+)\.(\d+)\.(\d+)/
    .exec(version ?? "")
    ?.slice(1)
    .map(Number);
  if (numbers === undefined) return false;
  for (const [at, least] of NOTES_JOBS_FROM.entries()) {
    const number = numbers[at] ?? 0;
    if (number !== least) return number > least;
  }
  return true;
}
