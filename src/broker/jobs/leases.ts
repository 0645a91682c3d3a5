// What carriers report of the leases they hold: renewals, the upstream's job id, hand-overs, outcomes. The token is the
// fence: a report of a lease that is not held changes nothing, and its answer shows that.
import type { CallOf } from "../../contract/broker.ts";
import type { Finished } from "../../contract/dispatch.ts";
import type { JobEvent } from "../../core/job/event.ts";
import { withFailure } from "../../core/job/older-outcome.ts";
import { LEASE_RENEW_MS } from "../../core/limits.ts";
import { log } from "../../log.ts";
import type { Wake } from "../wake.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { OverJobs } from "./jobs.ts";
import { viewJob } from "./view.ts";

interface Parts extends OverJobs {
  readonly dispatcher: Dispatcher;
  readonly wake: Wake;
}

/** The most nudges kept: carriers that ended meanwhile never ask for theirs. */
const NUDGED_MAX = 10_000;

export class Leases {
  readonly #parts: Parts;
  /** Leases whose upstream has called back since their carrier last asked. */
  readonly #nudged = new Set<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async renew(call: CallOf<"renew">): Promise<boolean> {
    if (!this.#fenced(call, { kind: "renew", token: call.lease })) return false;
    if (call.holdMs === 0 || this.#nudged.delete(call.lease)) return true;
    await this.#parts.longPolls.wait(call.lease, Math.min(call.holdMs, LEASE_RENEW_MS));
    this.#nudged.delete(call.lease);
    return this.#parts.jobs.byId(call.jobId)?.job.lease?.token === call.lease;
  }

  /** Makes a held renewal of the lease return at once, or else the next renewal, if none is held now. */
  nudge(call: { readonly jobId: string; readonly lease: string }): void {
    if (this.#parts.jobs.byId(call.jobId)?.job.lease?.token !== call.lease) return;
    if (this.#nudged.size >= NUDGED_MAX) this.#nudged.clear();
    this.#nudged.add(call.lease);
    this.#parts.longPolls.wake(call.lease);
  }

  async handOver(call: CallOf<"handOver">): Promise<boolean> {
    const { lease: token, upstreamJobId } = call;
    // The carrier's note of this id may have been lost: without the id the next carrier would run the job again.
    const isHeld = this.#fenced(call, { kind: "renew", token });
    if (!isHeld || !this.#fenced(call, { kind: "note_upstream_job", token, upstreamJobId })) return false;
    const stored = this.#parts.jobs.byId(call.jobId);
    return stored !== null && this.#parts.dispatcher.carryOn(stored, token);
  }

  async letGo(call: CallOf<"letGo">): Promise<void> {
    if (this.#parts.endpoint.pool.letGo(call.lease)) await this.#parts.wake.run(Date.now());
  }

  noteUpstreamJob(call: CallOf<"noteUpstreamJob">): boolean {
    return this.#fenced(call, { kind: "note_upstream_job", token: call.lease, upstreamJobId: call.upstreamJobId });
  }

  noteRunning(call: CallOf<"noteRunning">): boolean {
    return this.#fenced(call, { kind: "note_running", token: call.lease });
  }

  async finish(call: CallOf<"finish">): Promise<Finished> {
    const nowMs = Date.now();
    const stored = this.#parts.jobs.byId(call.jobId);
    if (stored === null) return { accepted: false, job: null };
    const change = this.#parts.jobs.apply(
      stored,
      { kind: "finish", token: call.lease, outcome: withFailure(call.outcome) },
      nowMs,
    );
    if (change.reply === "stale") {
      await this.letGo(call);
      log("stale_finish", { endpoint: this.#parts.endpoint.id, job: call.jobId });
      // Accepts a repeated report whose answer was lost: the R2 key in the job's row contains this lease.
      const place = stored.outputPlace;
      const accepted = place?.kind === "r2" && place.key.includes(`/${call.lease}/`);
      return { accepted, job: viewJob(stored.job, null, null) };
    }
    await this.#parts.wake.run(nowMs);
    return { accepted: true, job: viewJob(change.after, null, null) };
  }

  #fenced(call: { readonly jobId: string }, event: JobEvent): boolean {
    const stored = this.#parts.jobs.byId(call.jobId);
    if (stored === null) return false;
    const change = this.#parts.jobs.apply(stored, event, Date.now());
    // A renewal or an upstream's id is the first sign that a troubled upstream works again.
    const { lease } = change.after;
    if (change.reply === "done" && lease !== null)
      this.#parts.endpoint.pool.markOk(lease.holderId, lease.token, "heartbeat", Date.now());
    return change.reply === "done";
  }
}
