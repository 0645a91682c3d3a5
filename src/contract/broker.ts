// The calls that the edge makes to the broker of an endpoint. Payloads travel as bytes or as the key of an R2 object.
import type { Result } from "../core/failure.ts";
import type { Timing } from "../core/fleet/timings.ts";
import type { WebhookOutcome } from "../core/job/event.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import type { SubmittingToken } from "./browser-token.ts";
import type { DeliveryLogApi } from "./delivery-log.ts";
import type { Assignment, LeaseApi } from "./dispatch.ts";
import type { FleetApi } from "./fleet.ts";
import type { JobListApi } from "./job-list.ts";
import type { JobReport } from "./job-report.ts";
import type { JobWork } from "./job-request.ts";
import type { JobCall, JobView } from "./job-view.ts";
import type { LbApi } from "./load-balancer.ts";
import type { EndpointSettings } from "./settings.ts";
import type { StreamApi } from "./stream.ts";
import type { HandedLease, WorkerApi } from "./worker.ts";

/** How many jobs a tenant may run at once in an endpoint; null: as many as there are slots. `version`: the tenant's. */
export interface TenantBound {
  readonly runningMax: number | null;
  readonly version: number;
}

/** Edges of an earlier release do not tell the bound. */
interface TellsBound {
  readonly bound?: TenantBound;
}

export interface SubmitCall extends JobWork, TellsBound {
  readonly tenantId: string;
  readonly settingsVersion: number;
  /** The edge makes this id, because it stores a large input under the id before this call. */
  readonly jobId: string;
  readonly mode: "run" | "runsync";
  readonly policy: {
    readonly executionTimeoutMs: number | null;
    readonly ttlMs: number | null;
    readonly lowPriority: boolean;
  };
  readonly webhook: { readonly url: string; readonly sealedSecret: string } | null;
  /** The number of waiting jobs that the tenant may have in this endpoint. */
  readonly waitingMax: number;
  /** `runsync` only: the wait that the client asked for; the result is kept at least as long. */
  readonly waitMs: number | null;
  readonly idempotency: { readonly key: string; readonly fingerprint: string } | null;
  /** The token for browsers that submits it, whose calls are counted; absent: a key does. */
  readonly token?: SubmittingToken | undefined;
  /** The caller can carry the job itself, where the rules let it (core/job/client-carry.ts). */
  readonly carries: boolean;
}

export interface RepeatedCall extends Pick<SubmitCall, "tenantId"> {
  readonly idempotency: NonNullable<SubmitCall["idempotency"]>;
}

/** `created` false: the same Idempotency-Key was used before; the edge deletes the input it stored. */
export interface Submitted {
  readonly created: boolean;
  readonly job: JobView;
  /** The caller itself is to carry the job, under this lease, with the input that it has sent. Null: it is not. */
  readonly claim: Claim | null;
}

export type Claim = Omit<Assignment, "input">;

export interface Health {
  readonly jobs: { completed: number; failed: number; inProgress: number; inQueue: number; retried: number };
  readonly workers: {
    idle: number;
    initializing: number;
    ready: number;
    running: number;
    throttled: number;
    unhealthy: number;
  };
  /** False: no upstream or worker can take a job; left out by brokers of release 0.1. */
  readonly mayServe?: boolean;
}

export interface BrokerApi extends JobListApi, LeaseApi, WorkerApi, StreamApi, LbApi, DeliveryLogApi, FleetApi {
  configure(settings: EndpointSettings): Promise<{ version: number }>;
  submit(call: SubmitCall): Promise<Result<Submitted>>;
  /** The answer to a submit that is repeated with its Idempotency-Key and body. `not_found`: it would be a new job. */
  findRepeated(call: RepeatedCall): Promise<Result<Submitted>>;
  read(call: JobCall & TellsBound & { readonly ttlMs: number | null }): Promise<Result<JobView>>;
  /** Everything about a job of the caller except its output. */
  describe(call: JobCall): Promise<Result<JobReport>>;
  /** Answers as soon as the job is terminal, or after `holdMs` (at most WAIT_SLICE_MAX_MS) with the present state. */
  wait(call: JobCall & { readonly holdMs: number }): Promise<Result<JobView>>;
  cancel(call: JobCall): Promise<Result<JobView>>;
  /** `waitingMax` as in a submit, because the job waits again. An edge of an earlier release does not send it. */
  retry(call: JobCall & TellsBound & { readonly waitingMax?: number }): Promise<Result<JobView>>;
  purgeQueue(call: { readonly tenantId: string }): Promise<{ removed: number }>;
  health(call: { readonly tenantId: string }): Promise<Health>;
  /** The newest jobs of the caller, newest first, at most 100. */
  requests(call: { readonly tenantId: string }): Promise<{ jobs: JobView[] }>;
  /** `tenantId` null: of all tenants together. */
  depth(call: { readonly tenantId: string | null }): Promise<{ waiting: number; running: number }>;
  /** How long the newest jobs of all tenants waited and ran, and machines took to start. Null: the endpoint is not the caller's. */
  readTiming(call: { readonly tenantId: string }): Promise<Timing | null>;
  /** A dispatch wake-up arrived: leases the jobs for which there are slots, and starts their carriers. */
  start(): Promise<{ started: number }>;
  /** A webhook wake-up arrived: starts senders for the webhooks that are due. */
  startWebhooks(): Promise<{ started: number }>;
  /** An upstream has called back under this lease: the lease's carrier is to poll the upstream at once. */
  nudge(call: HandedLease): Promise<void>;
  /** A sender's report. A sender of an earlier release gives the result alone. */
  finishWebhook(
    call: Pick<Delivery, "jobId" | "round" | "tryNumber"> & Pick<WebhookTry, "result"> & Partial<WebhookTry>,
  ): Promise<void>;
}

/** The type of the argument of one of the broker's calls. */
export type CallOf<Name extends keyof BrokerApi> = Parameters<BrokerApi[Name]>[0];

/** One delivery as its sender gets it. The sender puts the body together, and reads payloads from R2 itself. */
export interface Delivery {
  readonly endpointId: string;
  readonly jobId: string;
  /** Which finish of the job the webhook reports: 0 for the first, and one more after each /retry. */
  readonly round: number;
  readonly tryNumber: number;
  /** The same in all tries of this webhook, and without a dot: `msg_<uuid>_r<round>`. */
  readonly webhookId: string;
  readonly url: string;
  readonly tenantId: string;
  /** The tenant's secret at the job's submit: it signs where D1 does not give those of this moment. */
  readonly sealedSecret: string;
  readonly job: JobView;
  readonly input: PayloadRef;
}

/** What one try came to. */
export interface WebhookTry {
  /** What the schedule goes on by. */
  readonly result: WebhookOutcome;
  /** The receiver's HTTP status; null: there was none. */
  readonly status: number | null;
  readonly atMs: number;
  readonly tookMs: number;
}

export interface WebhookSenderApi {
  deliver(delivery: Delivery): Promise<void>;
  /** Keeps a webhook that is given up as a dead letter. False: it must be offered again. */
  keepDead(delivery: Delivery, givenUp: GivenUp): Promise<boolean>;
}

/** How far a webhook came that is given up. `givenUpAtMs`: when it is offered; the first offer counts. */
export interface GivenUp {
  readonly tries: number;
  readonly detail: string;
  readonly givenUpAtMs: number;
}
