// Cancels or retries many of a tenant's jobs, a step a call. Each job is a decision and a transaction of its own, as by the
// call for it alone, and a turn takes only some of them.
import type { CallOf } from "../../contract/broker.ts";
import type { ChangedJobs } from "../../contract/job-list.ts";
import type { Failure } from "../../core/failure.ts";
import { matchesFilter, withinStatuses } from "../../core/job/filter.ts";
import type { JobStatus } from "../../core/job/job.ts";
import { readMetadata } from "../../core/job/metadata.ts";
import type { Wake } from "../wake.ts";
import { refuseRetry } from "./admit.ts";
import type { JobSearch } from "./job-search.ts";
import type { OverJobs } from "./jobs.ts";
import type { Portions } from "./portions.ts";

interface Parts extends OverJobs {
  readonly portions: Portions;
  readonly jobSearch: JobSearch;
  readonly wake: Wake;
}

/** Jobs that one turn changes: each takes a transaction, and perhaps a call to stop an upstream. */
const AT_ONCE_MAX = 25;

type Call = CallOf<"changeJobs">;

/** The statuses of the jobs that an action can change. */
const CHANGEABLE: Readonly<Record<Call["action"], readonly JobStatus[]>> = {
  cancel: ["IN_QUEUE", "IN_PROGRESS"],
  retry: ["FAILED"],
};

/** What became of one job: `left` if it matches no more, or why a limit refuses it. */
type Outcome = "changed" | "left" | Failure;

export class JobChanges {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async step(call: Call): Promise<ChangedJobs> {
    const { jobSearch, portions, wake } = this.#parts;
    const narrowed = { ...call, filter: withinStatuses(call.filter, CHANGEABLE[call.action]) };
    const { uuids, ...page } = await jobSearch.find(narrowed);
    const outcomes: Outcome[] = [];
    for (let at = 0; at < uuids.length; at += AT_ONCE_MAX) {
      const some = uuids.slice(at, at + AT_ONCE_MAX);
      const change = () => some.map((uuid) => this.#change(uuid, narrowed));
      outcomes.push(...(await portions.run(call.tenantId, change)));
      // The object may be lost before the next portion, and what these changes make due must be on its way or in the alarm.
      await wake.run(Date.now());
    }
    const refusals = outcomes.filter((outcome) => typeof outcome === "object");
    const changed = outcomes.filter((outcome) => outcome === "changed").length;
    return { changed, refused: refusals.length, refusal: refusals[0] ?? null, ...page };
  }

  #change(uuid: string, { tenantId, action, filter, waitingMax }: Call): Outcome {
    const { jobs, endpoint } = this.#parts;
    const nowMs = Date.now();
    const stored = jobs.load(uuid);
    if (stored?.job.tenantId !== tenantId) return "left";
    if (!matchesFilter(stored.job, readMetadata(stored.fields.metadata), filter, nowMs)) return "left";
    if (action === "retry") {
      const sharePercent = endpoint.settings?.tenantSharePercent ?? 100;
      const refusal = endpoint.deletion ?? refuseRetry({ tenantId, waitingMax }, this.#parts, sharePercent);
      if (refusal !== null) return refusal;
    }
    jobs.apply(stored, { kind: action }, nowMs);
    return "changed";
  }
}
