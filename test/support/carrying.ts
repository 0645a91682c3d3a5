// One attempt as its carrier runs it, against a mocked upstream: for tests of the carrier alone.

import { env } from "cloudflare:workers";
import { vi } from "vitest";
import type { Assignment, LeaseApi, Outcome } from "../../src/contract/dispatch.ts";
import type { Upstream } from "../../src/contract/settings.ts";
import type { FailureCode } from "../../src/core/job/failure.ts";
import { LEASE_RENEW_MS } from "../../src/core/limits.ts";
import type { CarryDeps } from "../../src/dispatch/attempt.ts";
import { carry } from "../../src/dispatch/carry.ts";
import { PUBLIC_ONLY } from "./reach.ts";

export const KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
export const BASE = "https://gpu.example.org/v2/abc";
export const HTTP: Upstream = {
  id: "up",
  url: BASE,
  dialect: "http",
  local: false,
  slots: 1,
  tier: "t",
  rateKind: "flex",
  credential: null,
};
export const HOSTED: Upstream = { ...HTTP, dialect: "runpod" };
export const LOCAL: Upstream = { ...HOSTED, local: true };

export interface Seen {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: string;
}

/** Every call to an upstream reads the whole request first, as a server does. */
export function upstreamAnswers(answer: (call: Seen) => Response | Promise<Response>): Seen[] {
  const seen: Seen[] = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (url, init) => {
    const request = new Request(String(url), init as RequestInit);
    const call = { url: request.url, method: request.method, headers: request.headers, body: await request.text() };
    seen.push(call);
    return await answer(call);
  });
  return seen;
}

/** A clock whose sleeps last no time: it jumps. The lease is never renewed unless `renews`. */
export function jumpingClock(renews = false): CarryDeps["clock"] {
  let nowMs = 1_700_000_000_000;
  return {
    now: () => nowMs,
    after: (_ms, run) => {
      if (renews) queueMicrotask(run);
      return () => undefined;
    },
    sleep: async (ms) => {
      if (ms !== LEASE_RENEW_MS) nowMs += ms;
    },
  };
}

export interface Run {
  readonly outcomes: Outcome[];
  readonly noted: string[];
}

/** Carries one job to its end, for a broker that takes everything. */
export async function run(
  upstream: Upstream,
  changes: {
    readonly assignment?: Partial<Assignment>;
    readonly leaseApi?: Partial<LeaseApi>;
    readonly clock?: CarryDeps["clock"];
    readonly bucket?: R2Bucket;
    readonly publicUrl?: string;
  } = {},
): Promise<Run> {
  const told: Run = { outcomes: [], noted: [] };
  const leaseApi: LeaseApi = {
    renew: async () => true,
    letGo: async () => undefined,
    handOver: async () => false,
    appendChunks: async () => true,
    noteUpstreamJob: async ({ upstreamJobId }) => told.noted.push(upstreamJobId) > 0,
    noteRunning: async () => true,
    finish: async ({ outcome }) => ({ accepted: told.outcomes.push(outcome) > 0, job: null }),
    ...changes.leaseApi,
  };
  const assignment: Assignment = {
    endpointId: `ep-${crypto.randomUUID()}`,
    jobId: "job-u1",
    lease: crypto.randomUUID(),
    upstream,
    input: { kind: "inline", bytes: new TextEncoder().encode('{"n" : 1.0}') },
    fields: {},
    origin: null,
    openaiRoutes: "inference",
    executionTimeoutMs: 60_000,
    ttlLeftMs: 600_000,
    upstreamJobId: null,
    ...changes.assignment,
  };
  await carry(assignment, {
    leaseApi: () => leaseApi,
    bucket: changes.bucket ?? env.PAYLOADS,
    encryptionKey: KEY,
    reach: PUBLIC_ONLY,
    clock: changes.clock ?? jumpingClock(),
    publicUrl: changes.publicUrl ?? null,
    signCallback: async () => "signed",
  });
  return told;
}

export function inline(text: string) {
  return { kind: "inline", bytes: new TextEncoder().encode(text) } as const;
}

/** An attempt that counts, with a failure of the worker's. */
export const failed = (code: FailureCode, message: string): Outcome => ({
  kind: "attempt_failed",
  failure: { code, message, source: "worker" },
});
/** The same for an error status. */
export const answered = (status: number): Outcome => ({
  kind: "attempt_failed",
  failure: { code: "upstream_status", message: "", source: "worker", status },
});
/** What a handler has reported. */
export const said = (message: string) => ({ code: "handler_error", message, source: "worker" }) as const;
export const paused = (detail: string, retryAfterMs: number | null): Outcome => ({
  kind: "upstream_paused",
  detail,
  retryAfterMs,
});
