// The calls between a broker and the carrier of one attempt.

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
  /** How long the job may still run, counted from the start of the lease. */
  readonly executionTimeoutMs: number;
  /** Milliseconds until the job's ttl ends, at the time of the lease. */
  readonly ttlLeftMs: number;
  /** The upstream's own id of this job, from an earlier lease that was lost: the carrier resumes that run. */
  readonly upstreamJobId: string | null;
}

export type { AttemptOutcome as Outcome } from "../core/job/event.ts";

/** What `finish` returns to a carrier. */
export interface Finished {
  readonly accepted: boolean;
  readonly job: JobView | null;
}

/** The side of a broker that a carrier may call. */
export interface LeaseApi extends Pick<StreamApi, "appendChunks"> {
  /**
   * Renews the lease for another period, and returns when the lease is lost, when the upstream has called back, or
   * after `holdMs` (at most LEASE_RENEW_MS). False: the lease is not held any more, and the carrier must stop.
   */
  renew(call: HandedLease & { readonly holdMs: number }): Promise<boolean>;
  /** Starts another carrier for the same lease, to resume the run of this upstream id. False: the lease is not held. */
  handOver(call: HandedLease & { readonly upstreamJobId: string }): Promise<boolean>;
  /** The carrier of a lost lease has ended its call to the upstream, whose slot is free now. */
  letGo(call: { readonly lease: string }): Promise<void>;
  /** Stores the upstream's own id of the job: if this carrier is lost, the next one resumes that run. */
  noteUpstreamJob(call: HandedLease & { readonly upstreamJobId: string }): Promise<boolean>;
  /** The upstream has answered IN_PROGRESS: the billed time of the job begins here. False: the lease is not held. */
  noteRunning(call: HandedLease): Promise<boolean>;
  /**
   * Ends the attempt. `accepted` false: the lease is stale, nothing has changed, and the carrier deletes what it
   * stored. `job`: the job after this call, without its output, which the carrier has; null when there is no such job.
   */
  finish(call: HandedLease & { readonly outcome: AttemptOutcome }): Promise<Finished>;
}

/** The side of the carrier that a broker may call. The broker answers its own callers without awaiting these calls. */
export interface CarrierApi {
  carry(assignment: Assignment): Promise<void>;
  /** Asks a `runpod` upstream to stop a job that nobody waits for any more. */
  stop(call: { readonly upstream: Upstream; readonly upstreamJobId: string }): Promise<void>;
}
