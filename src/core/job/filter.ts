// Which of a tenant's jobs a list shows or a change of many jobs takes. Time is a range of the key of the rows, so that a
// list of one hour reads the rows of that hour alone; the rest is compared job by job.
import type { FailureCode } from "./failure.ts";
import { firstUuidAt } from "./id.ts";
import { expiresAtMs, type Job, type JobStatus, shownFailure } from "./job.ts";
import type { Metadata } from "./metadata.ts";

/** All that is given must match. */
export interface JobFilter {
  readonly status?: readonly JobStatus[];
  /**
   * Bounds, epoch ms, of the time in the job's id: at which its request began, which is before `createdAtMs` by the upload
   * of a large input. `fromMs` is within the range, `toMs` is not.
   */
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly errorCode?: FailureCode;
  readonly metadata?: Metadata;
}

/** A range of uuids: from the first one on, below the second one. */
export interface UuidRange {
  readonly from: string;
  readonly below: string;
}

/** Every uuid is below this: the digits of one are at most `f`. */
const ABOVE_ALL = "g";

/** The uuids that the filter's time allows. `before`: a uuid that the list has come to; only older ones follow. */
export function rangeOf({ fromMs, toMs }: JobFilter, before: string | null): UuidRange {
  const to = toMs === undefined ? ABOVE_ALL : firstUuidAt(toMs);
  return { from: fromMs === undefined ? "" : firstUuidAt(fromMs), below: before !== null && before < to ? before : to };
}

/** Whether a job, with any purge applied, is still kept and is one that the filter asks for, its time apart. */
export function matchesFilter(job: Job, metadata: Metadata | null, filter: JobFilter, nowMs: number): boolean {
  if (expiresAtMs(job) <= nowMs) return false;
  if (filter.status !== undefined && !filter.status.includes(job.status)) return false;
  if (filter.errorCode !== undefined && shownFailure(job)?.code !== filter.errorCode) return false;
  return Object.entries(filter.metadata ?? {}).every(([name, tag]) => hasTag(metadata, name, tag));
}

function hasTag(metadata: Metadata | null, name: string, tag: string): boolean {
  return metadata !== null && Object.hasOwn(metadata, name) && metadata[name] === tag;
}

/** The filter with these statuses alone, of those that it allows. */
export function withinStatuses(filter: JobFilter, statuses: readonly JobStatus[]): JobFilter {
  return { ...filter, status: statuses.filter((status) => filter.status?.includes(status) ?? true) };
}
