// Shows pages of a tenant's jobs without their payloads.
import type { CallOf } from "../../contract/broker.ts";
import type { JobSummary } from "../../contract/job-list.ts";
import { cutToBytes } from "../../core/bytes/utf8.ts";
import { expiresAtMs } from "../../core/job/job.ts";
import type { ListedJob } from "../store/listed-rows.ts";
import { LIST_PAGE_MOST_BYTES, listedBytes } from "./egress-bytes.ts";
import type { JobSearch } from "./job-search.ts";
import type { OverJobs } from "./jobs.ts";
import { viewJob } from "./view.ts";

interface Parts extends OverJobs {
  readonly jobSearch: JobSearch;
}

/** Enough of a failure's message to recognise it; the whole one stands in the job's report. */
const MESSAGE_MAX_BYTES = 256;

export class JobList {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async page(call: CallOf<"listJobs">): Promise<{ jobs: JobSummary[]; scanned: number; next: string | null }> {
    const { jobSearch, listedRows, egress } = this.#parts;
    const { uuids, ...page } = await jobSearch.find(call);
    const jobs = await egress.leave(call.tenantId, LIST_PAGE_MOST_BYTES, () => {
      const nowMs = Date.now();
      const read = uuids.map((uuid) => listedRows.read(call.tenantId, uuid)).filter((listed) => listed !== null);
      // Some may have changed or gone in the turns since they were found.
      const shown = read.filter((listed) => jobSearch.matches(listed, call.filter, nowMs));
      const bytes = read.reduce((sum, { chars }) => sum + listedBytes(chars), 0);
      return { value: shown.map((listed) => this.#summarize(listed)), bytes };
    });
    return { jobs, ...page };
  }

  #summarize({ job: stored, metadata }: ListedJob): JobSummary {
    const job = this.#parts.jobs.settle({ job: stored });
    const { id, status, delayMs, executionMs, workerId, retries, failure } = viewJob(job, null, null);
    const { createdAtMs, queuedAtMs, finishedAtMs, attempts, webhook } = job;
    const expiresMs = expiresAtMs(job);
    return {
      ...{ id, status, delayMs, executionMs, workerId, retries },
      ...{ createdAtMs, queuedAtMs, finishedAtMs, attempts, metadata },
      expiresAtMs: Number.isFinite(expiresMs) ? expiresMs : null,
      failure: failure === null ? null : { ...failure, message: cutToBytes(failure.message, MESSAGE_MAX_BYTES) },
      webhook: webhook === null ? null : { tries: webhook.tries, dead: webhook.dead },
    };
  }
}
