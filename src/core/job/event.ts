// The events of a job: how an attempt ends, and all others. transition.ts decides what becomes of the job.

import type { PayloadRef } from "../json/payload-ref.ts";
import type { TokenUsage } from "../openai/token-usage.ts";
import type { JobFailure } from "./failure.ts";
import type { Lease } from "./job.ts";
import type { StartFailure } from "./start-failure.ts";

/** How an attempt ended, as its carrier has classified it. FAILED and CANCELLED below are what the job becomes. */
export type AttemptOutcome =
  | {
      readonly kind: "completed";
      readonly output: PayloadRef | null;
      readonly tokens?: TokenUsage | null;
      readonly ranMaxMs?: number;
      /** The error that stands in the output in place of a result, if OpenAI's rules hold for the job's output. */
      readonly errorIfOpenAi?: string | null;
    }
  /** The handler reported an error: FAILED at once, billed. */
  | {
      readonly kind: "handler_error";
      readonly failure: JobFailure;
      readonly output: PayloadRef | null;
      readonly tokens?: TokenUsage | null;
      /** How long ago its hosted upstream last answered IN_QUEUE, if no later poll has found the job running. */
      readonly ranMaxMs?: number;
    }
  /** 400, 413, 415, 422 of the upstream, or a suspicious status that a probe has cleared: FAILED at once, not billed. */
  | { readonly kind: "rejected"; readonly failure: JobFailure }
  /** The worker cannot have begun (refused connect, DNS, 429, 503 with Retry-After): the upstream pauses. */
  | { readonly kind: "upstream_paused"; readonly detail: string; readonly retryAfterMs: number | null }
  /** 401, 403, 404, 405 or a redirect, which a probe has confirmed: the upstream is misconfigured, the job waits. */
  | { readonly kind: "upstream_unhealthy"; readonly detail: string }
  /** The worker may have begun: the attempt counts against maxAttempts. */
  | { readonly kind: "attempt_failed"; readonly failure: JobFailure }
  /** The pulling worker could not start, so that no handler began: the worker's failure, not the job's. */
  | { readonly kind: "start_failed"; readonly start: StartFailure }
  /** The carrier saw the execution timeout pass. */
  | { readonly kind: "timed_out" }
  /** The client that carries the job has gone, and its answer with it: CANCELLED, billed until now. */
  | { readonly kind: "abandoned"; readonly tokens: TokenUsage | null }
  /** The answer broke off after the client had a part of it, so that no other attempt can go on: FAILED, not billed. */
  | { readonly kind: "cut_short"; readonly failure: JobFailure }
  /** R2 refused a finished result until the lease ended: FAILED, naming R2. */
  | { readonly kind: "storage_failed"; readonly failure: JobFailure };

export type JobEvent =
  | { readonly kind: "start"; readonly lease: Lease }
  | { readonly kind: "renew"; readonly token: string }
  | { readonly kind: "note_upstream_job"; readonly token: string; readonly upstreamJobId: string }
  /** The job's hosted upstream has answered IN_PROGRESS. */
  | { readonly kind: "note_running"; readonly token: string }
  | { readonly kind: "finish"; readonly token: string; readonly outcome: AttemptOutcome }
  /**
   * A pulling worker does not have the job any more and has not reported its end. `delivered` false: the worker never
   * got the job; `perhaps`: it was sent the job a moment ago, and seems not to have read that answer.
   */
  | { readonly kind: "lost"; readonly token: string; readonly delivered: boolean | "perhaps" }
  | { readonly kind: "cancel" }
  | { readonly kind: "retry" }
  | { readonly kind: "set_ttl"; readonly ttlMs: number }
  | { readonly kind: "time" }
  | {
      readonly kind: "webhook_result";
      readonly round: number;
      readonly tryNumber: number;
      readonly result: WebhookOutcome;
    }
  | { readonly kind: "dead_letter"; readonly round: number; readonly kept: boolean };

export type WebhookOutcome =
  | { readonly kind: "delivered" }
  /** The receiver answered 410: there is no further try. */
  | { readonly kind: "gone" }
  | { readonly kind: "failed"; readonly detail: string; readonly retryAfterMs: number | null };
