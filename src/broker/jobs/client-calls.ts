// Clients' calls about existing jobs: read, describe, wait, cancel, retry. Each returns the job as its client may see it.
import type { CallOf } from "../../contract/broker.ts";
import type { JobReport } from "../../contract/job-report.ts";
import type { JobCall, JobView } from "../../contract/job-view.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import type { JobEvent } from "../../core/job/event.ts";
import { isTerminal } from "../../core/job/job.ts";
import { WAIT_SLICE_MAX_MS } from "../../core/limits.ts";
import type { Wake } from "../wake.ts";
import { refuseRetry } from "./admit.ts";
import { learnBound } from "./bounds.ts";
import { TOO_MANY_HELD } from "./held-calls.ts";
import type { OverJobs } from "./jobs.ts";
import type { ShownJobs } from "./shown-jobs.ts";

interface Parts extends OverJobs {
  readonly shown: ShownJobs;
  readonly wake: Wake;
}

export class ClientCalls {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async read(call: CallOf<"read">): Promise<Result<JobView>> {
    const { jobs, shown, wake } = this.#parts;
    const nowMs = Date.now();
    if (learnBound(call, this.#parts, nowMs)) await wake.run(nowMs);
    const stored = jobs.own(call, nowMs);
    if (stored === null || call.ttlMs === null) return shown.show(stored);
    const { after } = jobs.apply(stored, { kind: "set_ttl", ttlMs: call.ttlMs }, nowMs);
    await wake.arm(nowMs);
    return shown.show({ ...stored, job: after });
  }

  describe(call: JobCall): Result<JobReport> {
    const nowMs = Date.now();
    const stored = this.#parts.jobs.own(call, nowMs);
    return stored === null ? fail({ kind: "not_found", what: "job" }) : ok(this.#parts.shown.report(stored, nowMs));
  }

  async wait(call: CallOf<"wait">): Promise<Result<JobView>> {
    const { jobs, shown, held, longPolls } = this.#parts;
    const stored = jobs.own(call, Date.now());
    if (stored === null || isTerminal(stored.job.status)) return shown.show(stored);
    if (call.holdMs > 0 && !held.hasRoom(call.tenantId)) return fail(TOO_MANY_HELD);
    const holdMs = Math.min(call.holdMs, WAIT_SLICE_MAX_MS);
    if (holdMs > 0) await held.count(call.tenantId, longPolls.wait(stored.job.uuid, holdMs));
    // Later calls do not find a job that timed out; only a caller that waited for it receives TIMED_OUT, once.
    return shown.showOwn(stored.job);
  }

  async cancel(call: JobCall): Promise<Result<JobView>> {
    return this.#command(call, { kind: "cancel" }, "");
  }

  async retry(call: CallOf<"retry">): Promise<Result<JobView>> {
    const { endpoint, wake } = this.#parts;
    const nowMs = Date.now();
    if (learnBound(call, this.#parts, nowMs)) await wake.run(nowMs);
    const refusal = endpoint.deletion ?? refuseRetry(call, this.#parts, endpoint.settings?.tenantSharePercent ?? 100);
    if (refusal !== null) return fail(refusal);
    return this.#command(call, { kind: "retry" }, "only a FAILED job can be retried");
  }

  async #command(call: JobCall, event: JobEvent, refusal: string): Promise<Result<JobView>> {
    const { jobs, shown, wake } = this.#parts;
    const nowMs = Date.now();
    const stored = jobs.own(call, nowMs);
    if (stored === null) return fail({ kind: "not_found", what: "job" });
    if (jobs.apply(stored, event, nowMs).reply === "refused")
      return fail({ kind: "wrong_state", message: `${refusal}; it is ${stored.job.status}` });
    await wake.run(nowMs);
    return shown.showOwn(stored.job);
  }
}
