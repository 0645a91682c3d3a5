// What one call gives an upstream to know beside the credential: the address to call back, which names the lease.
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import type { LeaseApi, Outcome } from "../../src/contract/dispatch.ts";
import { signCallback } from "../../src/dispatch/callback-mac.ts";
import { carry } from "../../src/dispatch/carry.ts";
import { systemClock } from "../../src/dispatch/clock.ts";
import { answerUpstreams, upstream } from "../support/broker.ts";
import { PUBLIC_ONLY } from "../support/reach.ts";

/** HMAC-SHA-256 in hexadecimal. */
const MAC_CHARS = 64;

afterEach(() => vi.restoreAllMocks());

it("a hosted upstream that repeats its job shows no tenant where to call back, nor the lease", async () => {
  let callback = "";
  answerUpstreams(async (request) => {
    if (request.url.endsWith("/run")) {
      callback = JSON.parse(await request.text()).webhook;
      return Response.json({ id: "up-1" });
    }
    return Response.json({
      status: "COMPLETED",
      output: { job: { webhook: callback }, parts: callback.split("/").slice(-2) },
    });
  });
  const outcomes: Outcome[] = [];
  const leaseApi: LeaseApi = {
    renew: async () => true,
    letGo: async () => undefined,
    handOver: async () => false,
    appendChunks: async () => true,
    noteUpstreamJob: async () => true,
    noteRunning: async () => true,
    finish: async ({ outcome }) => ({ accepted: outcomes.push(outcome) > 0, job: null }),
  };
  const lease = crypto.randomUUID();
  await carry(
    {
      endpointId: "ep",
      jobId: "job-u1",
      lease,
      upstream: upstream({ dialect: "runpod", url: "https://gpu.example.org/v2/abc" }),
      input: { kind: "inline", bytes: new TextEncoder().encode("{}") },
      fields: {},
      origin: null,
      openaiRoutes: "inference",
      executionTimeoutMs: 60_000,
      ttlLeftMs: 600_000,
      upstreamJobId: null,
    },
    {
      leaseApi: () => leaseApi,
      bucket: env.PAYLOADS,
      encryptionKey: env.ENCRYPTION_KEY,
      reach: PUBLIC_ONLY,
      clock: systemClock,
      publicUrl: "https://waybill.example.com",
      signCallback: (call) => signCallback(env.PEPPER, call),
    },
  );
  expect(callback).toContain(lease);
  const [outcome] = outcomes;
  const output = outcome?.kind === "completed" && outcome.output?.kind === "inline" ? outcome.output.bytes : null;
  const text = new TextDecoder().decode(output ?? new Uint8Array());
  expect(JSON.parse(text)).toEqual({
    job: { webhook: "*".repeat(callback.length) },
    parts: ["*".repeat(lease.length), "*".repeat(MAC_CHARS)],
  });
});
