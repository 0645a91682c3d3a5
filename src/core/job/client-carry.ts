// Whether the client's own request carries its job to the upstream, instead of a carrier that the broker starts.
import type { Job } from "./job.ts";

/**
 * A request lives 30 s after its client has gone, so it may carry only a job that ends while the client waits. A call
 * of an OpenAI route ends with its client anyway. For a `/runsync` (`waitMs`: how long its client waits) the timeout,
 * or `p99Ms`, must show that: the time that 99 % of the endpoint's jobs stay under, null when too few are known.
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
