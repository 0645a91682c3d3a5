// Rebuilds memory at a start of the object from the rows that it reads: the jobs that are live or owe something.
import type { Graces } from "../../core/job/graces.ts";
import { expiresAtMs, type Job } from "../../core/job/job.ts";
import { SWEEP_OWING_EVERY_MS } from "../../core/limits.ts";
import type { StartRow } from "../store/job-row.ts";
import type { AfterCommit } from "./after-commit.ts";
import type { OverJobs } from "./jobs.ts";

interface Parts extends OverJobs {
  readonly afterCommit: AfterCommit;
}

/** Runs once, before anything else happens to a job. */
export function rebuildMemory(parts: Parts, nowMs: number): void {
  const { store, kept, purges, index, sweep, graceRow, jobs } = parts;
  const graces = graceRow.read();
  for (const row of store.startRows(kept.floor, kept.readListed())) {
    const { job } = row;
    kept.read(job);
    const isPurged = purges.cancelledAtMs(job) !== null;
    if (!isPurged) remember(row, graces, parts, nowMs);
    sweep.found(sweptAtMs(isPurged ? jobs.settle({ job }) : job, parts, nowMs));
    kept.settleInStart(job.uuid, index);
  }
  graceRow.keep(graces);
}

/** When the sweep can delete the row, epoch ms. An expired row whose job still owes something is tried later. */
function sweptAtMs(job: Job, { index, owedWebhooks }: Parts, nowMs: number): number {
  const expiresMs = expiresAtMs(job);
  const owes = index.has(job.uuid) || owedWebhooks.holdsJob(job.uuid);
  return owes && expiresMs <= nowMs ? nowMs + SWEEP_OWING_EVERY_MS : expiresMs;
}

function remember({ job, webhookHost }: StartRow, graces: Graces, parts: Parts, nowMs: number): void {
  const { index, usageOutbox, afterCommit } = parts;
  const resumed = job.lease === null ? job : { ...job, lease: graces.resume(job.lease, nowMs) };
  if (resumed.lease !== null) afterCommit.started(job.tenantId, resumed.lease, nowMs);
  const through = usageOutbox.through(job.tenantId);
  index.put(resumed, through, webhookHost, nowMs);
  if (job.finishSeq !== null && job.finishSeq > through) usageOutbox.schedule(nowMs);
}
