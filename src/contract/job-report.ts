// A job in full, for the tenant that sent it: what GET /v1/jobs/{id} is made of.
import type { Bill, PastAttempt, WebhookState } from "../core/job/job.ts";
import type { JobView } from "./job-view.ts";

/** Times in epoch ms. */
export interface JobReport extends Omit<JobView, "output"> {
  readonly createdAtMs: number;
  /** When it last entered the queue by submit or retry. */
  readonly queuedAtMs: number;
  readonly ttlAtMs: number;
  readonly finishedAtMs: number | null;
  /** When it is forgotten; null while it lives. */
  readonly expiresAtMs: number | null;
  /** Attempts that have ended, oldest first, the newest of many. */
  readonly history: readonly PastAttempt[];
  /** The one that runs. */
  readonly running: Pick<PastAttempt, "number" | "workerId" | "startedAtMs"> | null;
  readonly webhook: (WebhookState & { readonly url: string }) | null;
  /** Of the newest finish; the record may not have it yet. */
  readonly bill: Bill | null;
}
