// The waiting of /runsync and /status-sync: asks the broker in slices until the job or the wait is over.
import type { JobCall, JobView } from "../../contract/job-view.ts";
import { ok, type Result } from "../../core/failure.ts";
import { isTerminal } from "../../core/job/job.ts";
import { WAIT_SLICE_MAX_MS } from "../../core/limits.ts";
import type { BrokerClient } from "../../dispatch/broker-client.ts";

/** The pause between two calls to a broker that is down or that answers early, so that a held request does not spin. */
const PAUSE_MS = 500;

/**
 * The job as soon as it is over, or its state after `waitMs`. A broker that does not answer is asked again until the
 * wait ends; then the last known state is the answer, or without one the failure. A tenant that waits for too many jobs
 * at once is answered with the present state.
 */
export async function waitForJob(
  broker: BrokerClient,
  { waitMs, known: first, ...job }: JobCall & { readonly waitMs: number; readonly known: JobView | null },
  signal: AbortSignal,
): Promise<Result<JobView>> {
  const endMs = Date.now() + waitMs;
  let known = first;
  while (true) {
    const askedMs = Date.now();
    const holdMs = Math.max(0, Math.min(WAIT_SLICE_MAX_MS, endMs - askedMs));
    if (known !== null && (isTerminal(known.status) || holdMs === 0 || signal.aborted)) return ok(known);
    const answer = await broker.call("wait", { ...job, holdMs });
    if (answer.ok) known = answer.value;
    // Answered as at the end of its wait: a client that polls /status from here on loses nothing.
    else if (answer.failure.kind === "too_many_held") {
      return known === null ? broker.call("wait", { ...job, holdMs: 0 }) : ok(known);
    } else if (answer.failure.kind !== "unavailable") return answer;
    else if (known === null && (Date.now() >= endMs || signal.aborted)) return answer;
    const isEarly = Date.now() < askedMs + holdMs / 2;
    if (isEarly && (known === null || !isTerminal(known.status))) await scheduler.wait(PAUSE_MS);
  }
}
