// Admits new jobs, writes each once, and starts it in the same turn if its client waits and a slot is free.
import type { RepeatedCall, SubmitCall, Submitted } from "../../contract/broker.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { showJobId } from "../../core/job/id.ts";
import type { Job } from "../../core/job/job.ts";
import type { Wake } from "../wake.ts";
import { admit, findRepeated } from "./admit.ts";
import type { AfterCommit } from "./after-commit.ts";
import { learnBound } from "./bounds.ts";
import type { Claimed, Dispatcher } from "./dispatcher.ts";
import type { OverJobs } from "./jobs.ts";
import type { ShownJobs } from "./shown-jobs.ts";
import { viewJob } from "./view.ts";

interface Parts extends OverJobs {
  readonly dispatcher: Dispatcher;
  readonly shown: ShownJobs;
  readonly afterCommit: AfterCommit;
  readonly wake: Wake;
}

export class Submissions {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async submit(call: SubmitCall): Promise<Result<Submitted>> {
    const nowMs = Date.now();
    const { endpoint, store, kept, jobs, index, dispatcher, keys, tokenCalls, afterCommit, wake } = this.#parts;
    const opened = endpoint.open(call.settingsVersion);
    if (!opened.ok) return opened;
    const settings = opened.value;
    const isRaised = learnBound(call, this.#parts, nowMs);
    const waits = call.mode === "runsync";
    // Jobs that came before start first; only then may the new job start at its entry.
    if (waits && index.hasReady()) dispatcher.startReady(nowMs, { push: true });
    let claimed: Claimed | null = null;
    const enterAs = (job: Job): Job => {
      claimed = dispatcher.startEntering(call, job, nowMs);
      return claimed?.job ?? job;
    };
    const facts = {
      store,
      load: (uuid: string) => jobs.load(uuid),
      kept,
      nowMs,
      queueSeq: kept.numbers.queueSeq + 1,
      memory: this.#parts,
      keys,
      tokenCalls,
      enterAs,
    };
    const admitted = store.transaction(() => admit(call, settings, facts));
    // A raised bound lets jobs start that wait, whatever comes of this call: no later one tells of it again.
    if (isRaised && !(admitted.ok && admitted.value.inserted)) await wake.run(nowMs);
    if (!admitted.ok) return admitted;
    const { job, created, inserted, webhookHost, counted } = admitted.value;
    counted?.();
    if (inserted) {
      afterCommit.entered(job, webhookHost, nowMs);
      // A client that waits needs no wake-up through the queue: the carrier starts in this call, or is the caller.
      if (waits && job.lease === null) dispatcher.startReady(nowMs, { push: true });
      await wake.run(nowMs);
      if (claimed !== null) return ok({ created, job: viewJob(job, null, null), claim: claimOf(claimed) });
    }
    const stored = jobs.load(job.uuid);
    if (stored === null) return fail({ kind: "not_found", what: "job" });
    // The first answer was lost, and with it the lease: nobody else would carry the job until that lease ends.
    const isRepeated = !inserted && showJobId(job.uuid, job.mode) === call.jobId;
    const claim = isRepeated ? dispatcher.claimAgain(stored, nowMs) : null;
    return this.#parts.shown.showAs(stored, (view) => ({ created, job: view, claim }));
  }

  /** Writes nothing: the caller has no input that could become a job. */
  async findRepeated(call: RepeatedCall): Promise<Result<Submitted>> {
    const { endpoint, store, jobs, shown } = this.#parts;
    if (endpoint.deletion !== null) return fail(endpoint.deletion);
    const load = (uuid: string) => jobs.load(uuid);
    const found = findRepeated(call, { store, load, nowMs: Date.now() });
    if (found === null) return fail({ kind: "not_found", what: "job" });
    if (!found.ok) return found;
    const stored = jobs.load(found.value.job.uuid);
    if (stored === null) return fail({ kind: "not_found", what: "job" });
    return shown.showAs(stored, (view) => ({ created: false, job: view, claim: null }));
  }
}

/** Reads the claim here, because the compiler does not see that a closure has set `claimed`. */
function claimOf({ claim }: Claimed): Claimed["claim"] {
  return claim;
}
