// A job as clients read it: RunPod's keys in RunPod's order, and keys without a value left out.
import type { PayloadRef } from "../json/payload-ref.ts";
import type { JobStatus } from "./job.ts";

/** What a client is shown of a job. */
interface ShownJob {
  readonly id: string;
  readonly status: JobStatus;
  readonly delayMs: number | null;
  readonly executionMs: number | null;
  readonly workerId: string | null;
  readonly error: string | null;
  readonly retries: number;
  readonly output: PayloadRef | null;
  /** Why it waits. */
  readonly queue: object | null;
}

/** The JSON of one job, cut at the place where its output belongs. */
export function statusParts(job: ShownJob): (string | PayloadRef)[] {
  const before = {
    delayTime: job.delayMs ?? undefined,
    error: job.error ?? undefined,
    executionTime: job.executionMs ?? undefined,
    id: job.id,
  };
  const after = {
    queue: job.queue ?? undefined,
    retries: job.retries > 0 ? job.retries : undefined,
    status: job.status,
    workerId: job.workerId ?? undefined,
  };
  // Both objects have a key that always has a value, so that neither half is ever empty.
  const head = JSON.stringify(before).slice(0, -1);
  const tail = JSON.stringify(after).slice(1);
  return job.output === null ? [`${head},${tail}`] : [`${head},"output":`, job.output, `,${tail}`];
}
