// What pulling workers report of jobs: results, failed starts, progress. A report names worker and job, and no attempt:
// a report that is late, repeated or of another worker finds no lease and changes no job.
import type { ReportCall, ReportReply, WorkerApi } from "../../contract/worker.ts";
import type { AttemptOutcome } from "../../core/job/event.ts";
import { failed } from "../../core/job/failure.ts";
import { withFailure } from "../../core/job/older-outcome.ts";
import { holderOfWorker } from "../../core/job/worker-id.ts";
import type { RosterWorker } from "../../core/scheduling/worker-roster.ts";
import { log } from "../../log.ts";
import type { Jobs, OverJobs } from "../jobs/jobs.ts";
import type { StoredJob } from "../store/job-row.ts";
import type { Wake } from "../wake.ts";
import type { StartFailed, WorkerExits } from "./exits.ts";

interface Parts extends OverJobs {
  readonly exits: WorkerExits;
  readonly wake: Wake;
}

export class WorkerReports {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async report(call: ReportCall): Promise<ReportReply> {
    const nowMs = Date.now();
    const worker = this.#parts.roster.hear(call, nowMs);
    const outcome = believed(worker, withFailure(call.outcome));
    if (worker !== null) {
      worker.actedAtMs = nowMs;
      if (call.refresh) this.#parts.exits.askRestart(worker, nowMs);
      if (outcome.kind === "start_failed") this.#failStart(worker, outcome, call.jobId, nowMs);
      void this.#parts.exits.expectBack(worker.holderId);
    }
    const reply = this.#settle(worker, { ...call, outcome }, nowMs);
    await this.#parts.wake.run(nowMs);
    return reply;
  }

  /** If the worker does not hold the job any more, the report may be a repeated one of an earlier process. */
  #failStart(worker: RosterWorker, outcome: StartFailed, jobId: string, nowMs: number): void {
    const { jobs, exits, pullSlots } = this.#parts;
    const held = jobs.heldBy(worker.holderId, jobId);
    if (held === null && (worker.polls.size > 0 || pullSlots.runs(worker.holderId))) return;
    exits.failStart(worker, outcome, held?.job.uuid ?? null, nowMs);
  }

  #settle(worker: RosterWorker | null, call: ReportCall, nowMs: number): ReportReply {
    const { jobs } = this.#parts;
    const { jobId, outcome } = call;
    const stored = jobs.byId(jobId);
    if (stored === null) return "unknown_job";
    const held = jobs.heldBy(holderOfWorker(call.keyId, call.workerId), jobId);
    if (held === null || held.job.lease === null) {
      // Accepts a repeated report whose answer was lost: the job's row names the result of this report.
      if (isStoredAs(stored, outcome)) return "accepted";
      if (worker !== null) this.#takeLateReport(worker, jobId, nowMs);
      return "late";
    }
    const { token } = held.job.lease;
    if (jobs.apply(held, { kind: "finish", token, outcome }, nowMs).reply !== "done") return "late";
    if (worker === null) return "accepted";
    if (outcome.kind !== "start_failed") this.#noteRun(worker, nowMs);
    if (worker.givenUp.has(jobId)) worker.givenUp.set(jobId, "reported");
    return "accepted";
  }

  progress(call: Parameters<WorkerApi["progress"]>[0]): ReportReply {
    const nowMs = Date.now();
    const holderId = holderOfWorker(call.keyId, call.workerId);
    const worker = this.#parts.roster.hear(call, nowMs);
    if (this.#parts.jobs.byId(call.jobId) === null) return "unknown_job";
    const uuid = renewHeld(this.#parts.jobs, holderId, call.jobId, nowMs);
    if (uuid === null) return "late";
    if (worker !== null) this.#noteRun(worker, nowMs);
    this.#parts.progress.keep(uuid, call.output);
    return "accepted";
  }

  #noteRun(worker: RosterWorker, nowMs: number): void {
    worker.hasRun = true;
    worker.ranAtMs = nowMs;
    worker.failedStarts = 0;
  }

  /** The worker does not hold the job any more. If it reported that it runs nothing, another process of its id ran it. */
  #takeLateReport(worker: RosterWorker, jobId: string, nowMs: number): void {
    const { endpoint, roster, stops } = this.#parts;
    const givenUp = worker.givenUp.get(jobId);
    if (givenUp === "away" || givenUp === "reported") roster.noteTwin(worker, nowMs);
    worker.givenUp.delete(jobId);
    log("late_report", { endpoint: endpoint.id, job: jobId });
    stops.takeReport(worker.holderId, jobId);
  }
}

/** Renews the lease of a job and returns the job's uuid; null: the worker does not hold the job. */
export function renewHeld(jobs: Jobs, holderId: string, jobId: string, nowMs: number): string | null {
  const stored = jobs.heldBy(holderId, jobId);
  const token = stored?.job.lease?.token;
  if (stored === null || token === undefined) return null;
  return jobs.apply(stored, { kind: "renew", token }, nowMs).reply === "done" ? stored.job.uuid : null;
}

/** A handler's error may have any text, also a client's: once a handler has run, a failed start counts as its error. */
function believed(worker: RosterWorker | null, outcome: AttemptOutcome): AttemptOutcome {
  if (outcome.kind !== "start_failed" || worker?.hasRun !== true) return outcome;
  return { kind: "handler_error", failure: failed("handler_error", outcome.start.error), output: null };
}

/** Is the large result of this report the one that is kept? */
function isStoredAs({ outputPlace }: StoredJob, outcome: AttemptOutcome): boolean {
  const output = "output" in outcome ? outcome.output : null;
  return output?.kind === "r2" && outputPlace?.kind === "r2" && output.key === outputPlace.key;
}
