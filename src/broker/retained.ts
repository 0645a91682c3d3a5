// How many finished jobs of each tenant are kept: what /health counts, so that it reads no row of a tenant with 100,000.
import type { Job, JobStatus } from "../core/job.ts";

export interface RetainedCounts {
  completed: number;
  failed: number;
  /** Those of them that needed more than one attempt. */
  retried: number;
}

export class Retained {
  readonly #byTenant = new Map<string, RetainedCounts>();

  /** From the rows that an earlier start of the object has left. */
  constructor(
    rows: Iterable<{ readonly tenantId: string; readonly status: JobStatus; readonly countedFailures: number }>,
  ) {
    for (const row of rows) this.#count(row, 1);
  }

  of(tenantId: string): Readonly<RetainedCounts> {
    return this.#byTenant.get(tenantId) ?? { completed: 0, failed: 0, retried: 0 };
  }

  /** A job changed, came or went; null: it was not there, or is no more. */
  moved(before: Job | null, after: Job | null): void {
    if (before !== null) this.#count(before, -1);
    if (after !== null) this.#count(after, 1);
  }

  #count(job: Pick<Job, "tenantId" | "status" | "countedFailures">, by: number): void {
    const name = COUNTED[job.status];
    if (name === undefined) return;
    const counts = this.#byTenant.get(job.tenantId) ?? { completed: 0, failed: 0, retried: 0 };
    counts[name] += by;
    if (job.countedFailures > 0) counts.retried += by;
    this.#byTenant.set(job.tenantId, counts);
  }
}

/** The finished statuses that RunPod counts. */
const COUNTED: Partial<Readonly<Record<JobStatus, "completed" | "failed">>> = {
  COMPLETED: "completed",
  FAILED: "failed",
};
