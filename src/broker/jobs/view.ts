// What a client may see of a stored job.
import type { JobView, QueueReason } from "../../contract/job-view.ts";
import type { FleetWait } from "../../core/fleet/explain.ts";
import { showJobId } from "../../core/job/id.ts";
import { isTerminal, isWaiting, type Job, shownError, shownFailure } from "../../core/job/job.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import type { UpstreamPool } from "../../core/scheduling/upstream-pool.ts";

/** Returns RunPod's fields of a job. `executionMs` is null until the job is over; a job that waits has no worker. */
export function viewJob(job: Job, output: PayloadRef | null, queue: JobView["queue"]): JobView {
  return {
    id: showJobId(job.uuid, job.mode),
    status: job.status,
    delayMs: isWaiting(job.status) ? null : job.delayMs,
    executionMs: isTerminal(job.status) ? job.executionMs : null,
    workerId: job.workerId,
    error: shownError(job),
    failure: shownFailure(job),
    retries: job.countedFailures,
    output,
    queue,
  };
}

/** Why a waiting job waits: its own retry first, then the endpoint, then the upstreams. */
export function explainWait(
  job: Job,
  position: number,
  facts: {
    readonly paused: boolean;
    /** As many jobs as the tenant may run at once, where so many run; null: its jobs may start. */
    readonly bound: number | null;
    readonly pool: UpstreamPool;
    /** Returns why no worker takes jobs; null: the wait has another cause. */
    readonly absence: () => string | null;
    /** Returns what keeps a worker of the fleet from being there; null: none is on its way. */
    readonly fleet: () => FleetWait | null;
    readonly nowMs: number;
  },
): JobView["queue"] {
  const explain = (reason: QueueReason, detail: string, since: number) => ({ position, reason, detail, since });
  if (facts.paused) return explain("PAUSED", "The endpoint is paused by its owner.", job.queuedAtMs);
  if (job.notBeforeMs > facts.nowMs) {
    const seconds = Math.ceil((job.notBeforeMs - facts.nowMs) / 1_000);
    return explain("RETRY_WAIT", `An attempt failed; the next one starts in ${seconds} s.`, job.queuedAtMs);
  }
  if (facts.bound !== null) {
    const many = facts.bound === 1 ? "1 job of yours runs" : `${facts.bound} jobs of yours run`;
    return explain("TENANT_LIMIT", `${many} in this endpoint, as many as may run at once.`, job.queuedAtMs);
  }
  const state = facts.pool.describe(facts.nowMs, facts.pool.boundTo(job));
  // The pool only counts slots; whether a worker is there to fill them follows from the workers' own calls.
  const absence = state.reason === "NO_WORKERS" || state.reason === "ALL_BUSY" ? facts.absence() : null;
  const fleet = absence !== null || state.reason === "NO_WORKERS" || state.reason === "ALL_BUSY" ? facts.fleet() : null;
  if (fleet !== null) return explain(fleet.reason, fleet.detail, fleet.sinceMs);
  if (absence !== null) return explain("NO_WORKERS", absence, job.queuedAtMs);
  const since = state.reason.startsWith("UPSTREAM_") ? state.sinceMs : job.queuedAtMs;
  return explain(state.reason, state.detail, since);
}
