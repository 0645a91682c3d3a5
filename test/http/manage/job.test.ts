// GET /v1/jobs/{id}: one job in full, by its id alone.
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { checkAnswer } from "../../support/manage.ts";
import { makeTenant, type TestTenant, type TestTenantOptions } from "../../support/tenant.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

type Json = Record<string, unknown>;

async function send(tenant: TestTenant, method: string, path: string, body?: Json): Promise<[status: number, Json]> {
  const headers = { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" };
  const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const response = await exports.default.fetch(new Request(`https://waybill.test${path}`, init));
  const { status } = response;
  const answer: Json = await response.json();
  if (path.startsWith("/v1/")) checkAnswer(method, path, { status, headers: response.headers, body: answer });
  return [status, answer];
}

async function run(tenant: TestTenant, body: Json = {}): Promise<string> {
  const [, answer] = await send(tenant, "POST", `/v2/${tenant.endpointId}/run`, { input: {}, ...body });
  return String(answer.id);
}

async function show(tenant: TestTenant, jobId: string): Promise<Json> {
  const [status, body] = await send(tenant, "GET", `/v1/jobs/${jobId}`);
  expect(status).toBe(200);
  return body;
}

/** Shows the job once it is over. */
function ended(tenant: TestTenant, jobId: string): Promise<Json> {
  return vi.waitFor(
    async () => {
      await brokerOf(env, tenant.endpointId).start();
      const body = await show(tenant, jobId);
      expect(body).toHaveProperty("finishedAt");
      return body;
    },
    { timeout: 10_000, interval: 50 },
  );
}

function upstream(options: TestTenantOptions = {}): Promise<TestTenant> {
  return makeTenant({ upstreams: [{ id: `gpu-${crypto.randomUUID()}`, tier: "l4" }], maxAttempts: 1, ...options });
}

describe("a job by its id alone", () => {
  it("that waits tells why, and since when", async () => {
    const tenant = await makeTenant({ upstreams: [] });
    const jobId = await run(tenant, { policy: { ttl: 60_000 } });
    const body = await show(tenant, jobId);
    expect(body).toMatchObject({
      id: jobId,
      endpointId: tenant.endpointId,
      status: "IN_QUEUE",
      queue: { position: 1, reason: "NO_WORKERS" },
      attempts: [],
      lines: [],
      totalNanodollars: 0,
      totalDollars: "0.000000000",
    });
    expect(Number(body.ttlAt) - Number(body.queuedAt)).toBe(60_000);
    expect(body.createdAt).toBe(body.queuedAt);
    expect(body).not.toHaveProperty("finishedAt");
    expect(body).not.toHaveProperty("webhook");
  });

  it("that has failed shows each attempt with its code, and the failure apart from RunPod's text", async () => {
    const tenant = await upstream({ maxAttempts: 2 });
    answerUpstreams(() => new Response("no room", { status: 500 }));
    const jobId = await run(tenant);
    const body = await ended(tenant, jobId);
    const attempt = { code: "upstream_status", message: "", billed: false };
    expect(body).toMatchObject({
      status: "FAILED",
      retries: 1,
      error: "the upstream answered 500",
      failure: { code: "upstream_status", message: "", source: "worker", status: 500 },
      attempts: [
        { number: 1, ...attempt },
        { number: 2, ...attempt },
      ],
      lines: [],
    });
    const [first, second] = body.attempts as { startedAt: number; endedAt: number }[];
    expect(second?.startedAt).toBeGreaterThanOrEqual(first?.endedAt ?? Number.NaN);
    expect(Number(body.expiresAt)).toBeGreaterThan(Number(body.finishedAt));
  });

  it("that has completed shows its line once, on its way to the record and in it", async () => {
    const tenant = await upstream();
    answerUpstreams(() => Response.json({ ok: true }));
    const jobId = await run(tenant);
    const body = await ended(tenant, jobId);
    expect(body).toMatchObject({ status: "COMPLETED", attempts: [{ number: 1, billed: true }] });
    expect(body.lines).toMatchObject([{ jobId, attempt: 1, tier: "l4", endpointId: tenant.endpointId }]);
    expect(body).not.toHaveProperty("output");
    const recorded = await vi.waitFor(
      async () => {
        const [, usage] = await send(tenant, "GET", `/v1/usage?job=${jobId}`);
        expect(usage.lines).toHaveLength(1);
        return usage;
      },
      { timeout: 20_000, interval: 100 },
    );
    expect(await show(tenant, jobId)).toMatchObject({
      lines: recorded.lines,
      totalNanodollars: recorded.totalNanodollars,
      totalDollars: recorded.totalDollars,
    });
  });

  it("shows the tags of its metadata, and none where the metadata is null", async () => {
    const tenant = await makeTenant({ upstreams: [] });
    const tagged = await run(tenant, { metadata: { order: "7", note: "é" } });
    expect(await show(tenant, tagged)).toMatchObject({ metadata: { order: "7", note: "é" } });
    expect(await show(tenant, await run(tenant, { metadata: null }))).not.toHaveProperty("metadata");
  });

  it("tells how far its webhook has come", async () => {
    const tenant = await makeTenant({ upstreams: [] });
    const url = "http://127.0.0.1:9/hook";
    const jobId = await run(tenant, { webhook: url });
    expect(await show(tenant, jobId)).toMatchObject({ webhook: { url, tries: 0, givenUp: false } });
    answerUpstreams(() => new Response(null, { status: 410 }));
    await send(tenant, "POST", `/v2/${tenant.endpointId}/cancel/${jobId}`);
    await vi.waitFor(async () => {
      await brokerOf(env, tenant.endpointId).startWebhooks();
      const { webhook } = await show(tenant, jobId);
      expect(webhook).toMatchObject({ url, tries: 1, givenUp: true, lastError: "the receiver answered 410" });
    });
  });
});

describe("a job that is not the caller's to see", () => {
  it("is the same 404, whether it is foreign, unknown, of a release without numbers, or no id at all", async () => {
    const owner = await makeTenant({ upstreams: [], shared: true });
    const stranger = await makeTenant({ upstreams: [] });
    const jobId = await run(owner);
    const bodies = [];
    const older = "0193a0f2-7b1c-7def-8a11-0123456789ab-u1";
    for (const id of [jobId, `${jobId.slice(0, -12)}0${jobId.slice(-11)}`, older, "nothing"]) {
      const [status, body] = await send(stranger, "GET", `/v1/jobs/${id}`);
      expect(status).toBe(404);
      bodies.push(body);
    }
    expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1);
    expect(await show(owner, jobId)).toMatchObject({ id: jobId });
  });

  it("is hidden from a key without the scope", async () => {
    const worker = await makeTenant({ scopes: ["worker"] });
    expect((await send(worker, "GET", "/v1/jobs/nothing"))[0]).toBe(403);
    const manager = await makeTenant({ scopes: ["manage"] });
    expect((await send(manager, "GET", "/v1/jobs/nothing"))[0]).toBe(404);
  });
});
