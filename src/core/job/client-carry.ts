// When the client's own request carries its job to the upstream, instead of a carrier that the broker starts.
import type { Job } from "./job.ts";

/**
 * A request lives 30 s after its client has gone, so nothing longer may hang on one. A call of an OpenAI route ends with its
 * client anyway. Of a `/runsync` (`waitMs`: how long its client waits) either the timeout says that it ends in time, or the
 * endpoint's own jobs do: `p99Ms` is the execution time that all but one in a hundred stay under, null when too few are known.
 */
export function mayClientCarry(
  job: Pick<Job, "origin" | "executionTimeoutMs">,
  waitMs: number | null,
  p99Ms: number | null,
): boolean {
  if (job.origin?.endsWithClient === true) return true;
  if (waitMs === null) return false;
  return job.executionTimeoutMs <= waitMs || (p99Ms !== null && p99Ms < waitMs / 2);
}
