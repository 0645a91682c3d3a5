// What the live index of a broker takes of its object's memory: an estimate by what each thing was measured to take in V8 with
// pointers of 8 bytes (test/node/live-index-heap.test.ts). It stands above the measure, because tables grow by doubling and
// what is overtaken stays in them for a while.
import { isWaiting, type JobStatus } from "../job/job.ts";

/** The entry with its numbers (120), the text of the uuid (56), its place in the table (28 to 56), deadlines (16 to 48). */
const JOB_BYTES = 285;
/** A place in the order of its tenant, or among those that are parked. */
const WAITING_BYTES = 48;
/** What is known of the lease, and a place among the jobs of its holder. */
const LEASE_BYTES = 120;
/** Its plan in the schedule of webhooks, with a deadline for the try and one for its sender. */
const WEBHOOK_BYTES = 240;
/** Counters, a line in the fair order, and tables for receivers, beside the text of the id. */
const TENANT_BYTES = 1_200;
/** The receiver's places in the tables of a tenant and of the schedule, beside the text of the host. */
const HOST_BYTES = 600;
/** A finish whose line is not posted: its number and the job's name, in lists that are up to half empty. */
export const LIVE_LINE_BYTES = 32;

/** A webhook that a retry has moved into a row of its own: its name twice, and what one owes by its plan and its receiver. */
export const OWED_WEBHOOK_BYTES = 1_200;

/** A job that lives or owes something. */
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
