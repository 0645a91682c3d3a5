// A job in full, for the tenant that sent it: GET /v1/jobs/{id} shows this.
import type { Bill, PastAttempt, WebhookState } from "../core/job/job.ts";
import type { Metadata } from "../core/job/metadata.ts";
import type { JobView } from "./job-view.ts";

/** Times in epoch ms. */
export interface JobReport extends Omit<JobView, "output"> {
  /** The tags that the client gave the job; null: none. */
  readonly metadata: Metadata | null;
  readonly createdAtMs: number;
  /** When the job last entered the queue by submit or retry. */
  readonly queuedAtMs: number;
  readonly ttlAtMs: number;
  readonly finishedAtMs: number | null;
  /** When the job's retention ends; null while the job has not ended. */
  readonly expiresAtMs: number | null;
  /** Attempts that have ended, oldest first; of many only the newest are kept. */
  readonly history: readonly PastAttempt[];
  /** The attempt that runs now; null: none does. */
  readonly running: Pick<PastAttempt, "number" | "workerId" | "startedAtMs"> | null;
  readonly webhook: (WebhookState & { readonly url: string }) | null;
  /** The bill of the newest finish; D1 may not have its usage line yet. */
  readonly bill: Bill | null;
}
