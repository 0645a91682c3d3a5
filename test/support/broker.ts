// Factories for tests that talk to a broker directly, past HTTP and D1.
import { env } from "cloudflare:workers";
import { v7 } from "uuid";
import { vi } from "vitest";
import type { BrokerApi, SubmitCall } from "../../src/contract/broker.ts";
import type { EndpointSettings, Upstream, WorkerKey } from "../../src/contract/settings.ts";
import { brokerOf } from "../../src/dispatch/broker-client.ts";
import { Carrier } from "../../src/dispatch/carrier.ts";

export function upstream(partial: Partial<Upstream> = {}): Upstream {
  return {
    id: "u1",
    url: "http://127.0.0.1:9/work",
    dialect: "http",
    local: false,
    slots: 10,
    tier: "a4000",
    rateKind: "flex",
    credential: null,
    ...partial,
  };
}

export function workerKey(partial: Partial<WorkerKey> = {}): WorkerKey {
  return { id: "k1", digest: "0".repeat(64), tier: "a4000", rateKind: "flex", slots: 1, expiresAtMs: null, ...partial };
}

export function settings(partial: Partial<EndpointSettings> = {}): EndpointSettings {
  return {
    endpointId: `ep-${crypto.randomUUID()}`,
    number: 1,
    tenantId: "owner",
    kind: "queue",
    bodyMaxBytes: 31_457_280,
    version: 1,
    paused: false,
    maxAttempts: 2,
    executionTimeoutMs: 600_000,
    ttlMs: 86_400_000,
    runRetentionMs: 1_800_000,
    runsyncRetentionMs: 60_000,
    tenantSharePercent: 25,
    upstreams: [upstream()],
    workerKeys: [],
    rates: [{ tier: "a4000", kind: "flex", nanodollarsPerSecond: 160_000, effectiveFromMs: 0 }],
    fleet: null,
    shared: false,
    openaiRoutes: "inference",
    deletedAtMs: null,
    ...partial,
  };
}

export function submission(partial: Partial<SubmitCall> = {}): SubmitCall {
  const mode = partial.mode ?? "run";
  return {
    tenantId: "owner",
    settingsVersion: 1,
    jobId: mode === "run" ? `${v7()}-u1` : `sync-${v7()}-u1`,
    mode,
    input: { kind: "inline", bytes: new TextEncoder().encode('{"n":1.0}') },
    fields: {},
    policy: { executionTimeoutMs: null, ttlMs: null, lowPriority: false },
    webhook: null,
    waitingMax: 1_000_000,
    waitMs: null,
    idempotency: null,
    origin: null,
    carries: false,
    ...partial,
  };
}

/** A broker with settings of its own. */
export async function makeBroker(
  partial: Partial<EndpointSettings> = {},
): Promise<{ endpointId: string; broker: BrokerApi }> {
  const made = settings(partial);
  madeSince.add(made.endpointId);
  await brokerOf(env, made.endpointId).configure(made);
  return { endpointId: made.endpointId, broker: brokerOf(env, made.endpointId) };
}

/** Endpoints of the brokers that were made since the last `holdCarriers`. */
const madeSince = new Set<string>();

/**
 * No carrier does anything: what they were given stands here, in order, for a test to report on. Only of brokers that are
 * made from now on: those of an earlier test go on by themselves.
 */
export function holdCarriers(
  isOurs = (endpointId: string) => madeSince.has(endpointId),
): { readonly jobId: string; readonly lease: string }[] {
  const given: { jobId: string; lease: string }[] = [];
  madeSince.clear();
  vi.spyOn(Carrier.prototype, "carry").mockImplementation(async ({ endpointId, jobId, lease }) => {
    if (isOurs(endpointId)) given.push({ jobId, lease });
  });
  return given;
}

/** Every upstream answers by this function until the mocks are restored. */
export function answerUpstreams(answer: (request: Request) => Promise<Response> | Response) {
  return vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => answer(new Request(input, init)));
}
