// What passes between a broker and the carrier of one attempt.

import type { AttemptOutcome } from "../core/job/event.ts";
import type { JobWork } from "./job-request.ts";
import type { JobView } from "./job-view.ts";
import type { Upstream } from "./settings.ts";
import type { StreamApi } from "./stream.ts";
import type { HandedLease } from "./worker.ts";

/** One leased job on its way to an upstream. */
export interface Assignment extends JobWork, HandedLease {
  readonly endpointId: string;
  readonly upstream: Upstream;
  /** Routes that the endpoint lets through to an OpenAI server at the time of the lease (core/openai/routes.ts). */
  readonly openaiRoutes: string;
  /** What is left of it, counted from the start of the lease. */
  readonly executionTimeoutMs: number;
  /** Milliseconds until the job's ttl ends, at the time of the lease. */
  readonly ttlLeftMs: number;
  /** The upstream's own id of this job, from an earlier lease that was lost: take it up, do not run again. */
  readonly upstreamJobId: string | null;
}

export type { AttemptOutcome as Outcome } from "../core/job/event.ts";

/** What a carrier learns from a finish. */
export interface Finished {
  readonly accepted: boolean;
  readonly job: JobView | null;
}

/** The side of a broker that a carrier may call. */
export interface LeaseApi extends Pick<StreamApi, "appendChunks"> {
  /**
   * Keeps the lease for another period, and answers when it is lost, when the upstream has called back, or after `holdMs`
   * (at most LEASE_RENEW_MS). False: it is not held any more, stop working.
   */
  renew(call: HandedLease & { readonly holdMs: number }): Promise<boolean>;
  /** Starts another carrier for the same lease, which takes up this id of the upstream. False: the lease is not held. */
  handOver(call: HandedLease & { readonly upstreamJobId: string }): Promise<boolean>;
  /** The carrier of a lost lease has let go of the upstream: its slot is free. */
  letGo(call: { readonly lease: string }): Promise<void>;
  /** Stores the upstream's own id, so that a lost carrier is followed by one that takes it up. */
  noteUpstreamJob(call: HandedLease & { readonly upstreamJobId: string }): Promise<boolean>;
  /** The upstream has answered IN_PROGRESS: what is billed of the job begins here. */
  noteRunning(call: HandedLease): Promise<boolean>;
  /**
   * Ends the attempt. `accepted` false: a stale lease, nothing changed, the carrier deletes what it stored. `job`: the job
   * after it, without its output, which the carrier has; null for a job that is not there.
   */
  finish(call: HandedLease & { readonly outcome: AttemptOutcome }): Promise<Finished>;
}

/** The side of the carrier that a broker may call. Neither call is awaited by the broker's own reply. */
export interface CarrierApi {
  carry(assignment: Assignment): Promise<void>;
  /** Tells a `runpod` upstream to stop a job that nobody waits for any more. */
  stop(call: { readonly upstream: Upstream; readonly upstreamJobId: string }): Promise<void>;
}
