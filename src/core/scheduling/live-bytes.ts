// An estimate of the memory that a broker's live index takes of its object, from the size of each part as measured in
// V8 with pointers of 8 bytes (test/load/live-index-heap.test.ts). It is above the measured size, because tables grow
// by doubling and keep stale entries for a while.
import { isWaiting, type JobStatus } from "../job/job.ts";

/** The entry with its numbers (120), the uuid's text (56), its place in the table (28 to 56), deadlines (16 to 48). */
const JOB_BYTES = 285;
/** A place in the order of the job's tenant, or among the parked jobs. */
const WAITING_BYTES = 48;
/** The facts of the lease, and a place among the jobs of its holder. */
const LEASE_BYTES = 120;
/** An entry in the schedule of webhooks, with a deadline for the try and one for its sender. */
const WEBHOOK_BYTES = 240;
/** Counters, a line in the fair order, and tables for receivers, beside the text of the id. */
const TENANT_BYTES = 1_200;
/** A receiver's places in the tables of a tenant and of the schedule, beside the text of its host. */
const HOST_BYTES = 600;
/** A finish whose line is not posted: its number and the job's name, in lists that are up to half empty. */
export const LIVE_LINE_BYTES = 32;

/** A webhook that a retry moved into a row of its own: its key twice, its entry in the schedule, and its receiver. */
export const OWED_WEBHOOK_BYTES = 1_200;

/** The bytes of a job that has not ended, or that still owes a line or a webhook. */
export function liveJobBytes(job: {
  readonly status: JobStatus;
  readonly lease: unknown;
  readonly owedHost: string | null;
}): number {
  const waiting = isWaiting(job.status) ? WAITING_BYTES : 0;
  return JOB_BYTES + waiting + (job.lease === null ? 0 : LEASE_BYTES) + (job.owedHost === null ? 0 : WEBHOOK_BYTES);
}

export function tenantBytes(tenantId: string): number {
  return TENANT_BYTES + tenantId.length;
}

export function hostBytes(host: string): number {
  return HOST_BYTES + 2 * host.length;
}
