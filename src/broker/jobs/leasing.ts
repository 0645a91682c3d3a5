// Makes leases, and what the carriers of leased jobs receive.
import type { Claim } from "../../contract/broker.ts";
import type { Assignment } from "../../contract/dispatch.ts";
import { openAiCallOf } from "../../contract/openai-origin.ts";
import type { EndpointSettings, Upstream, WorkerKey } from "../../contract/settings.ts";
import type { HandedJob } from "../../contract/worker.ts";
import { showJobId } from "../../core/job/id.ts";
import type { Job, Lease } from "../../core/job/job.ts";
import { findRate, type RateKind } from "../../core/job/pricing.ts";
import { leaseMs } from "../../core/job/transition.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { routesInForce } from "../../core/openai/routes.ts";
import type { StoredJob } from "../store/job-row.ts";

/** The upstream or worker whose slots a lease is on, and what they cost. */
export interface SlotHolder {
  readonly id: string;
  readonly workerKeyId: string | null;
  readonly slots: number;
  readonly tier: string;
  readonly rateKind: RateKind;
  /** True: a job may wait at the upstream, which reports when the job begins to run. */
  readonly queues: boolean;
}

export function upstreamSlots({ id, slots, tier, rateKind, dialect, local }: Upstream): SlotHolder {
  return { id, workerKeyId: null, slots, tier, rateKind, queues: dialect === "runpod" && !local };
}

/** The slots of one worker of a key: each machine that uses the key has this number. */
export function workerSlots(holderId: string, key: WorkerKey): SlotHolder {
  return { id: holderId, workerKeyId: key.id, slots: key.slots, tier: key.tier, rateKind: key.rateKind, queues: false };
}

/** What a second on these slots costs now; undefined: their tier has no rate, so that nobody could be billed. */
export function rateOf(
  { tier, rateKind }: Pick<SlotHolder, "tier" | "rateKind">,
  { rates }: EndpointSettings,
  nowMs: number,
): number | undefined {
  return findRate(rates, tier, rateKind, nowMs);
}

/** A lease on a slot from now on. The pool has only slots that have a rate. `isCold`: the job has waited for a machine to start. */
export function leaseFor(
  holder: SlotHolder,
  settings: EndpointSettings,
  nowMs: number,
  { incarnation, byClient, isCold }: Pick<Lease, "incarnation" | "byClient"> & { readonly isCold: boolean },
): Lease {
  const nanodollarsPerSecond = rateOf(holder, settings, nowMs);
  if (nanodollarsPerSecond === undefined) throw new Error("the pool chose slots without a rate");
  return {
    token: crypto.randomUUID(),
    holderId: holder.id,
    workerKeyId: holder.workerKeyId,
    byClient,
    tier: holder.tier,
    rateKind: holder.rateKind,
    slots: holder.slots,
    nanodollarsPerSecond,
    startedAtMs: nowMs,
    ...(isCold ? { cold: true } : {}),
    ...(holder.queues ? { ranFromMs: null } : {}),
    untilMs: nowMs + leaseMs(holder),
    graceUntilMs: 0,
    incarnation,
  };
}

/** The job as a pulling worker's route hands it on. */
export function toHandedJob(stored: StoredJob, lease: Lease, input: PayloadRef): HandedJob {
  const { job, fields } = stored;
  return { jobId: showJobId(job.uuid, job.mode), lease: lease.token, input, fields, ...originFacts(job) };
}

function originFacts({ origin }: Job): Pick<HandedJob, "origin" | "request"> {
  return { origin, request: openAiCallOf(origin) };
}

interface Leased {
  readonly settings: EndpointSettings;
  readonly stored: Pick<StoredJob, "fields">;
  readonly job: Job;
  readonly lease: Lease;
  readonly upstream: Upstream;
  readonly resumed: boolean;
  readonly nowMs: number;
}

export function toAssignment(parts: Leased & { readonly input: PayloadRef }): Assignment {
  return { ...toClaim(parts), input: parts.input };
}

/** As toAssignment, for a caller that has the input already. */
export function toClaim(parts: Leased): Claim {
  const { settings, job } = parts;
  return {
    endpointId: settings.endpointId,
    jobId: showJobId(job.uuid, job.mode),
    lease: parts.lease.token,
    upstream: parts.upstream,
    fields: parts.stored.fields,
    ...originFacts(job),
    openaiRoutes: routesInForce(settings),
    executionTimeoutMs: Math.max(parts.lease.startedAtMs + job.executionTimeoutMs - parts.nowMs, 1),
    ttlLeftMs: job.ttlAtMs - parts.nowMs,
    upstreamJobId: parts.resumed ? (job.upstreamJob?.id ?? null) : null,
  };
}
