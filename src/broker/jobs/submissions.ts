// New jobs: admitted, written once, and started in the same turn where their client waits and a slot is free.
import type { SubmitCall, Submitted } from "../../contract/broker.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { showJobId } from "../../core/job/id.ts";
import type { Job } from "../../core/job/job.ts";
import type { BrokerStore } from "../store/jobs.ts";
import type { KeptRows } from "../store/kept-rows.ts";
import type { KeyCounts } from "../store/key-counts.ts";
import type { OwedWebhooks } from "../webhooks/owed.ts";
import { admit } from "./admit.ts";
import type { Claimed, Dispatcher } from "./dispatcher.ts";
import type { Jobs } from "./jobs.ts";
import type { LiveIndex } from "./live-index.ts";
import type { ShownJobs } from "./shown-jobs.ts";
import { viewJob } from "./view.ts";

interface Parts {
  readonly store: BrokerStore;
  readonly kept: KeptRows;
  readonly owedWebhooks: OwedWebhooks;
  readonly jobs: Jobs;
  readonly index: LiveIndex;
  readonly dispatcher: Dispatcher;
  readonly keys: KeyCounts;
  readonly shown: ShownJobs;
  /** Sends wake-ups and arms the alarm after a change. */
  readonly wake: (nowMs: number) => Promise<void>;
}

export class Submissions {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async submit(call: SubmitCall): Promise<Result<Submitted>> {
    const nowMs = Date.now();
    const { store, kept, jobs, index, dispatcher, keys } = this.#parts;
    const { settings } = jobs;
    if (settings === null || settings.version < call.settingsVersion) return fail({ kind: "settings_behind" });
    const waits = call.mode === "runsync";
    // Who came before goes first: only then may the new job start in its entry.
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
      queueSeq: jobs.nextQueueSeq,
      memory: this.#parts,
      keys,
      enterAs,
    };
    const admitted = store.transaction(() => admit(call, settings, facts));
    if (!admitted.ok) return admitted;
    const { job, created, inserted, webhookHost } = admitted.value;
    if (inserted) {
      jobs.enter(job, webhookHost, nowMs);
      // A waiting client needs no queue: the carrier starts in this very call, or is the caller.
      if (waits && job.lease === null) dispatcher.startReady(nowMs, { push: true });
      await this.#parts.wake(nowMs);
      if (claimed !== null) return ok({ created, job: viewJob(job, null, null), claim: claimOf(claimed) });
    }
    const stored = jobs.load(job.uuid);
    if (stored === null) return fail({ kind: "not_found" });
    // Its first answer was lost, and the lease in it: nobody else would carry the job until that has ended.
    const isRepeated = !inserted && showJobId(job.uuid, job.mode) === call.jobId;
    const claim = isRepeated ? dispatcher.claimAgain(stored, nowMs) : null;
    return this.#parts.shown.showAs(stored, (view) => ({ created, job: view, claim }));
  }
}

/** The compiler does not see that a closure has set it. */
function claimOf({ claim }: Claimed): Claimed["claim"] {
  return claim;
}
