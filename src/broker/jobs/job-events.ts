// Logs the ends of attempts and of jobs as structured events. These carry codes and ids only, because a text that a
// worker reports may contain a tenant's data.
import type { FailureCode } from "../../core/job/failure.ts";
import { showJobId } from "../../core/job/id.ts";
import { isTerminal, type Job } from "../../core/job/job.ts";
import { log } from "../../log.ts";

/** Codes that have an event of their own; the others are `attempt_failed`. */
const EVENTS: Partial<Readonly<Record<FailureCode, string>>> = {
  upstream_paused: "upstream_paused",
  upstream_unhealthy: "upstream_unhealthy",
  worker_lost: "worker_lost",
};
/** Codes of attempts that ended without a failure. */
const WANTED: ReadonlySet<FailureCode> = new Set(["cancelled", "ttl_passed"]);

/** Logs the end of an attempt that failed, and the end of a job. */
export function logChange(endpoint: string, before: Job, after: Job): void {
  const job = showJobId(after.uuid, after.mode);
  const attempt = before.lease !== null && after.lease === null ? after.history.at(-1) : undefined;
  if (attempt !== undefined && attempt.code !== null && !WANTED.has(attempt.code)) {
    const { number, workerId, code } = attempt;
    log(EVENTS[code] ?? "attempt_failed", { endpoint, job, attempt: number, worker: workerId, code });
  }
  if (!isTerminal(after.status) || isTerminal(before.status)) return;
  const { status, failure, attempts, delayMs, executionMs, bill } = after;
  const amountNanodollars = bill?.amountNanodollars ?? 0;
  const code = failure?.code ?? null;
  log("job_finished", { endpoint, job, status, code, attempts, delayMs, executionMs, amountNanodollars });
}
