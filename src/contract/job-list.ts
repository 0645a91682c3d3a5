// Lists of a tenant's jobs, and changes of many of them. Both go newest first by the uuid, in pages: `before` is the uuid of the
// last row that the page before has looked at, null for the first page, and `next` is that of the next page.
import type { Failure } from "../core/failure.ts";
import type { JobFailure } from "../core/job/failure.ts";
import type { JobFilter } from "../core/job/filter.ts";
import type { Metadata } from "../core/job/metadata.ts";
import type { JobView } from "./job-view.ts";

/** What a list shows of a job: no payloads. Times in epoch ms. */
export interface JobSummary
  extends Pick<JobView, "id" | "status" | "delayMs" | "executionMs" | "workerId" | "retries"> {
  readonly createdAtMs: number;
  /** When the job last entered the queue by submit or retry. */
  readonly queuedAtMs: number;
  readonly finishedAtMs: number | null;
  /** When the job's retention ends; null while the job has not ended. */
  readonly expiresAtMs: number | null;
  /** How many attempts have begun. */
  readonly attempts: number;
  /** Why the job is FAILED, with the beginning of the message; null for a job of another status. */
  readonly failure: JobFailure | null;
  readonly metadata: Metadata | null;
  /** How far the webhook has come; null: the job has none. */
  readonly webhook: { readonly tries: number; readonly dead: boolean } | null;
}

interface PageCall {
  readonly tenantId: string;
  readonly filter: JobFilter;
  readonly before: string | null;
  /** The most jobs to show or to change, 1 to JOBS_LISTED_MAX. */
  readonly limit: number;
}

/** A page may have fewer jobs than its limit, or none, and yet a next one. */
interface Page {
  /** Rows that were looked at, those of other tenants and of jobs that are not kept any more included. */
  readonly scanned: number;
  /** Null: there is no further row. */
  readonly next: string | null;
}

export interface ChangedJobs extends Page {
  readonly changed: number;
  /** Jobs that match and that a limit keeps from being retried, and the first reason. */
  readonly refused: number;
  readonly refusal: Failure | null;
}

export interface JobListApi {
  listJobs(call: PageCall): Promise<Page & { readonly jobs: JobSummary[] }>;
  /**
   * Cancels the matching jobs that wait or run, or retries those that are FAILED: each as the call for one job would, so
   * `waitingMax` is that of `retry`. One page is one step; the caller makes further ones until `next` is null.
   */
  changeJobs(
    call: PageCall & { readonly action: "cancel" | "retry"; readonly waitingMax: number },
  ): Promise<ChangedJobs>;
}
