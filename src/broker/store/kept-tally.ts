// What is kept of a tenant's jobs, as numbers: rows and bytes for its share of the endpoint, finished jobs for /health.
import type { Job, JobStatus } from "../../core/job/job.ts";

export interface Tally {
  readonly rows: number;
  readonly bytes: number;
  readonly completed: number;
  readonly failed: number;
  /** Finished jobs that needed more than one attempt. */
  readonly retried: number;
}

export const NOTHING_KEPT: Tally = { rows: 0, bytes: 0, completed: 0, failed: 0, retried: 0 };

/** The finished statuses that RunPod counts. */
const COUNTED: Partial<Readonly<Record<JobStatus, "completed" | "failed">>> = {
  COMPLETED: "completed",
  FAILED: "failed",
};

export function tallyOf(job: Pick<Job, "status" | "countedFailures">, bytes: number): Tally {
  const name = COUNTED[job.status];
  if (name === undefined) return { ...NOTHING_KEPT, rows: 1, bytes };
  return { ...NOTHING_KEPT, rows: 1, bytes, [name]: 1, retried: job.countedFailures > 0 ? 1 : 0 };
}

/** `times` -1: what is left without `b`. */
export function plus(a: Tally, b: Tally, times: 1 | -1 = 1): Tally {
  return {
    rows: a.rows + times * b.rows,
    bytes: a.bytes + times * b.bytes,
    completed: a.completed + times * b.completed,
    failed: a.failed + times * b.failed,
    retried: a.retried + times * b.retried,
  };
}

/** Tallies by tenant. */
export class Tallies {
  readonly #byTenant = new Map<string, Tally>();

  get(tenantId: string): Tally {
    return this.#byTenant.get(tenantId) ?? NOTHING_KEPT;
  }

  has(tenantId: string): boolean {
    return this.#byTenant.has(tenantId);
  }

  set(tenantId: string, tally: Tally): void {
    this.#byTenant.set(tenantId, tally);
  }

  add(tenantId: string, tally: Tally): void {
    this.#byTenant.set(tenantId, plus(this.get(tenantId), tally));
  }

  subtract(tenantId: string, tally: Tally): void {
    this.#byTenant.set(tenantId, plus(this.get(tenantId), tally, -1));
  }

  entries(): Iterable<readonly [tenantId: string, tally: Tally]> {
    return this.#byTenant;
  }
}

/** One job's tally as one small number, because there is one for each live job in memory. */
export function pack({ bytes, completed, failed, retried }: Tally): number {
  return bytes * 8 + completed + failed * 2 + retried * 4;
}

export function unpack(packed: number): Tally {
  const flags = packed % 8;
  return {
    rows: 1,
    bytes: (packed - flags) / 8,
    completed: flags % 2,
    failed: Math.floor(flags / 2) % 2,
    retried: Math.floor(flags / 4),
  };
}
