// Sends jobs to clients as turns have room: an answer may carry 256 KB of output, and 1,000 clients may wait for a job.
import type { JobReport } from "../../contract/job-report.ts";
import type { JobView } from "../../contract/job-view.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { expiresAtMs, isRunning, isWaiting, type Job } from "../../core/job/job.ts";
import { readMetadata } from "../../core/job/metadata.ts";
import { shownWorkerId } from "../../core/job/worker-id.ts";
import { JOBS_LISTED_MAX, PAYLOAD_INLINE_MAX_BYTES } from "../../core/limits.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { StoredJob } from "../store/job-row.ts";
import { explainAbsence } from "../workers/explain-absence.ts";
import { LISTED_MOST_BYTES, VIEW_MOST_BYTES, viewBytes } from "./egress-bytes.ts";
import type { OverJobs } from "./jobs.ts";
import { explainWait, viewJob } from "./view.ts";

interface Parts extends OverJobs {
  readonly fleet: Fleet;
}

export class ShownJobs {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The job as its client may see it, in a turn that has room for it. */
  async show(stored: StoredJob | null): Promise<Result<JobView>> {
    return stored === null ? fail({ kind: "not_found", what: "job" }) : this.showAs(stored, (job) => job);
  }

  /** As `show`, for a job that many may have waited for: it is not read before there is room. */
  showOwn(job: Pick<Job, "uuid" | "tenantId">): Promise<Result<JobView>> {
    return this.#leave(job, null, (view) => view);
  }

  /** As `show`, within a larger answer. */
  showAs<T>(stored: StoredJob, toAnswer: (job: JobView) => T): Promise<Result<T>> {
    return this.#leave(stored.job, stored, toAnswer);
  }

  /** Returns all that is shown of a job, except the output. */
  report(stored: StoredJob, nowMs: number): JobReport {
    const { job, webhook, fields } = stored;
    const { output: _, ...view } = this.#view({ ...stored, outputPlace: null }, nowMs);
    const { createdAtMs, queuedAtMs, ttlAtMs, finishedAtMs, history, lease, bill, attempts } = job;
    const expiresMs = expiresAtMs(job);
    return {
      ...view,
      ...{ createdAtMs, queuedAtMs, ttlAtMs, finishedAtMs, history, bill },
      metadata: readMetadata(fields.metadata),
      expiresAtMs: Number.isFinite(expiresMs) ? expiresMs : null,
      running:
        lease === null
          ? null
          : { number: attempts, workerId: shownWorkerId(lease.holderId), startedAtMs: lease.startedAtMs },
      webhook: webhook === null || job.webhook === null ? null : { ...job.webhook, url: webhook.url },
    };
  }

  #leave<T>(
    { uuid, tenantId }: Pick<Job, "uuid" | "tenantId">,
    stored: StoredJob | null,
    toAnswer: (job: JobView) => T,
  ): Promise<Result<T>> {
    const { jobs, egress } = this.#parts;
    return egress.leave<Result<T>>(tenantId, VIEW_MOST_BYTES, (isLater) => {
      const shown = isLater || stored === null ? jobs.load(uuid) : stored;
      if (shown === null) return { value: fail({ kind: "not_found", what: "job" }), bytes: 0 };
      const view = this.#view(shown, Date.now());
      return { value: ok(toAnswer(view)), bytes: viewBytes(view) };
    });
  }

  /** The newest jobs of a tenant, newest first, without large outputs: a client reads those by the job's own status. */
  list(tenantId: string): Promise<JobView[]> {
    const { store, jobs, egress } = this.#parts;
    return egress.leave(tenantId, LISTED_MOST_BYTES, () => {
      const nowMs = Date.now();
      const settled = store.newestOfTenant(tenantId, JOBS_LISTED_MAX).map((row) => ({ ...row, job: jobs.settle(row) }));
      const views = settled
        .filter(({ job }) => expiresAtMs(job) > nowMs)
        .map((row) =>
          small(this.#view(row.outputPlace?.kind === "inline" ? row : { ...row, outputPlace: null }, nowMs)),
        );
      return { value: views, bytes: views.reduce((sum, view) => sum + viewBytes(view), 0) };
    });
  }

  #view(stored: StoredJob, nowMs: number): JobView {
    const { endpoint, store, index, progress } = this.#parts;
    const { job } = stored;
    if (isRunning(job.status)) {
      const bytes = progress.of(job.uuid);
      return viewJob(job, bytes === null ? null : { kind: "inline", bytes }, null);
    }
    const output = store.readOutput(stored);
    if (!isWaiting(job.status)) return viewJob(job, output, null);
    const paused = endpoint.settings?.paused ?? false;
    const bound = index.boundReached(job.tenantId);
    const absence = () => explainAbsence(this.#parts, nowMs);
    const facts = {
      paused,
      bound,
      pool: endpoint.pool,
      absence,
      fleet: () => this.#parts.fleet.explain(job.tenantId, nowMs),
      nowMs,
    };
    return viewJob(job, output, explainWait(job, index.position(job), facts));
  }
}

/** The progress that a running handler reports may be too large for a list as well. */
function small(view: JobView): JobView {
  const isLarge = view.output?.kind === "inline" && view.output.bytes.length > PAYLOAD_INLINE_MAX_BYTES;
  return isLarge ? { ...view, output: null } : view;
}
