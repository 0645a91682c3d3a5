// What a lease is made of, and what its carrier is told.
import type { Assignment } from "../contract/dispatch.ts";
import type { EndpointSettings, Upstream } from "../contract/settings.ts";
import type { Job, Lease } from "../core/job.ts";
import { makeJobId } from "../core/job-id.ts";
import { LEASE_MS } from "../core/limits.ts";
import type { PayloadRef } from "../core/payload-ref.ts";
import { findRate } from "../core/pricing.ts";
import type { StoredJob } from "./store.ts";

/** A lease on a slot of this upstream from now on; null when its tier has no rate, because nobody could be billed. */
export function leaseFor(
  upstream: Upstream,
  settings: EndpointSettings,
  nowMs: number,
  token: string,
  incarnation: string,
): Lease | null {
  const nanodollarsPerSecond = findRate(settings.rates, upstream.tier, upstream.rateKind, nowMs);
  if (nanodollarsPerSecond === undefined) return null;
  return {
    token,
    upstreamId: upstream.id,
    tier: upstream.tier,
    rateKind: upstream.rateKind,
    slots: upstream.slots,
    nanodollarsPerSecond,
    startedAtMs: nowMs,
    untilMs: nowMs + LEASE_MS,
    incarnation,
  };
}

export function toAssignment(parts: {
  readonly endpointId: string;
  readonly stored: StoredJob;
  readonly job: Job;
  readonly lease: Lease;
  readonly upstream: Upstream;
  readonly input: PayloadRef;
  readonly resumed: boolean;
  readonly nowMs: number;
}): Assignment {
  const { job } = parts;
  return {
    endpointId: parts.endpointId,
    jobId: makeJobId(job.uuid, job.mode),
    lease: parts.lease.token,
    upstream: parts.upstream,
    input: parts.input,
    fields: parts.stored.fields,
    executionTimeoutMs: Math.max(parts.lease.startedAtMs + job.executionTimeoutMs - parts.nowMs, 1),
    ttlLeftMs: job.ttlAtMs - parts.nowMs,
    upstreamJobId: parts.resumed ? (job.upstreamJob?.id ?? null) : null,
  };
}
