// An endpoint with a fleet as its owner sees it: made by an image and a provider, its workers in both planes, why they have come, and workers
// ahead of jobs.
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readConfig } from "../../../src/config.ts";
import { makeFleetKey } from "../../../src/outbound/fleet-key.ts";
import { type HeldProvider, holdProvider } from "../../support/held-provider.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

let provider: HeldProvider;

beforeEach(() => {
  provider = holdProvider();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** An endpoint that scales by the number of requests, with a provider of L4s. */
async function makeScaled(more: object = {}) {
  const { key } = await makeTenant({ scopes: ["jobs", "manage"] });
  const offers = [{ gpuTypeId: "NVIDIA L4", pricePerHour: "0.43" }];
  const hook = { name: "hook", kind: "webhook", url: "https://hook.example.com/machines", offers, default: true };
  expect((await manage(key, "POST", "/v1/providers", hook)).status).toBe(201);
  const wanted = {
    slug: `scaled-${crypto.randomUUID()}`,
    image: "my-org/worker:1",
    gpu: { pools: ["AMPERE_24"] },
    scaling: { type: "REQUEST_COUNT", requestCount: 1 },
    ...more,
  };
  const { body } = await manage(key, "POST", "/v1/endpoints", wanted);
  const id: string = body.id;
  const call = (method: string, path: string, given?: unknown) =>
    manage(key, method, `/v1/endpoints/${id}${path}`, given);
  const submit = async (): Promise<string> => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const request = new Request(`https://waybill.test/v2/${id}/run`, { method: "POST", headers, body: '{"input":{}}' });
    const answer: { id: string } = await (await exports.default.fetch(request)).json();
    return answer.id;
  };
  return { key, id, call, submit };
}

const created = (times: number) =>
  vi.waitFor(() => expect(provider.called("create")).toHaveLength(times), { timeout: 5_000 });

/** A call of the worker of the machine that was created last. `path`: with `WORKER` in place of its id. */
async function asWorker(endpointId: string, path: string, body?: string): Promise<Response> {
  const instanceId = provider.called("create").at(-1)?.machine?.instanceId ?? "";
  const key = await makeFleetKey(readConfig(env).pepper, { endpointId, instanceId });
  const url = `https://waybill.test/v2/${endpointId}/${path.replace("WORKER", instanceId)}`;
  const init = body === undefined ? {} : { method: "POST", body };
  return exports.default.fetch(new Request(url, { ...init, headers: { authorization: key } }));
}

const takeAs = (endpointId: string) => asWorker(endpointId, "job-take/WORKER?job_in_progress=0");
const doneAs = (endpointId: string, jobId: string) =>
  asWorker(endpointId, `job-done/WORKER/${jobId}?gpu=SIM&isStream=false`, '{"output":1}');

/** Runs the job that waits. */
async function takeAndFinish(endpointId: string): Promise<void> {
  const { id: jobId }: { id: string } = await (await takeAs(endpointId)).json();
  expect((await doneAs(endpointId, jobId)).status).toBe(200);
}

describe("an endpoint with an image and a default provider", () => {
  it("has a machine for its first job, which both planes show in each of its states with why it has come", async () => {
    const { key, id, call, submit } = await makeScaled();
    const jobId = await submit();
    await created(1);
    expect(provider.called("create")[0]).toMatchObject({ machine: { gpuTypeId: "NVIDIA L4", tier: "l4" } });
    const before = (await call("GET", "/workers")).body;
    expect(before).toMatchObject({
      workers: [{ state: "INITIALIZING", machine: { phase: "starting", pricePerHour: "0.430000000" } }],
      summary: { initializing: 1, total: 1 },
    });
    expect(await (await takeAs(id)).json()).toMatchObject({ id: jobId });
    const [worker] = (await call("GET", "/workers")).body.workers;
    expect(worker).toMatchObject({ state: "RUNNING", jobs: [jobId], machine: { phase: "ready", release: 1 } });
    const { body: theirs } = await manage(key, "GET", `/v2/serverless/${id}/workers`);
    expect(theirs.workers).toMatchObject([
      {
        id: worker.id,
        status: "RUNNING",
        isStale: false,
        version: 1,
        image: "my-org/worker:1",
        gpuTypeId: "NVIDIA L4",
      },
    ]);
    expect((await call("GET", "/scaling")).body).toMatchObject({
      decisions: [{ number: 1, from: 0, to: 1, reason: "REQUEST_COUNT", inputs: { waiting: 1, running: 0, max: 3 } }],
      pagination: { hasNextPage: false },
    });
  });

  it("has been up for no time while there is no machine to be had, and while one is stopped", async () => {
    provider.answers.create = [{ kind: "no_capacity", detail: "nothing left" }];
    const { key, id, call, submit } = await makeScaled({
      scaling: { type: "QUEUE_DELAY", queueDelay: 0.5 },
      workers: { idleTimeout: 1 },
      flashboot: "FLASHBOOT",
    });
    const shown = async () => (await manage(key, "GET", `/v2/serverless/${id}/workers`)).body.workers;
    await submit();
    const throttled = { status: "THROTTLED", uptimeSeconds: null, startedAt: null, gpuTypeId: null };
    await vi.waitFor(async () => expect(await shown()).toMatchObject([throttled]), { timeout: 5_000 });
    provider.answers.create = [];
    // Another offer is no refused one.
    const dearer = { offers: [{ gpuTypeId: "NVIDIA RTX A5000", pricePerHour: "0.5" }] };
    const [{ id: providerId }] = (await manage(key, "GET", "/v1/providers")).body.providers;
    expect((await manage(key, "PATCH", `/v1/providers/${providerId}`, dearer)).status).toBe(200);
    const up = { status: "INITIALIZING", uptimeSeconds: expect.any(Number), startedAt: expect.any(String) };
    await vi.waitFor(async () => expect(await shown()).toMatchObject([up]), { timeout: 5_000 });
    await takeAndFinish(id);
    const stopped = { status: "IDLE", uptimeSeconds: null, startedAt: null, gpuTypeId: "NVIDIA RTX A5000" };
    await vi.waitFor(async () => expect(await shown()).toMatchObject([stopped]), { timeout: 5_000 });
    expect((await call("GET", "/workers")).body.workers).toMatchObject([{ machine: { phase: "stopped" } }]);
  });

  it("has workers ahead of jobs where they are asked for, as many as it may have", async () => {
    const { call } = await makeScaled();
    const { status, body } = await call("POST", "/prewarm", { workers: 7, seconds: 60 });
    expect([status, body.wanted]).toEqual([200, 3]);
    await created(3);
    expect((await call("POST", "/prewarm", { workers: 0 })).body.wanted).toBe(0);
    expect((await call("GET", "/scaling")).body.decisions).toMatchObject([
      { from: 3, to: 0, reason: "BOUNDS", inputs: { min: 0 } },
      { from: 0, to: 3, reason: "BOUNDS", inputs: { min: 7 } },
    ]);
  });

  it("shows its decisions page by page, newest first", async () => {
    const { call, submit } = await makeScaled();
    await submit();
    await created(1);
    await submit();
    await created(2);
    const first = (await call("GET", "/scaling?limit=1")).body;
    expect(first.decisions).toMatchObject([{ number: 2, from: 1, to: 2 }]);
    const second = (await call("GET", `/scaling?limit=1&cursor=${first.pagination.nextCursor}`)).body;
    expect(second.decisions).toMatchObject([{ number: 1, from: 0, to: 1 }]);
    expect(second.pagination.hasNextPage).toBe(false);
  });
});

describe("the times of an endpoint", () => {
  const nothing = { jobs: 0, since: null, waitMs: null, executionMs: null };
  const noStart = { count: 0, since: null, startMs: null };

  it("are those of its jobs, warm and cold apart, and of the starts of its machines", async () => {
    const { id, call, submit } = await makeScaled();
    expect((await call("GET", "/timing")).body).toEqual({
      warm: nothing,
      cold: nothing,
      starts: { created: noStart, resumed: noStart },
    });
    const startedAt = Date.now();
    const first = await submit();
    await created(1);
    for (const jobId of [first, null]) {
      const own = jobId ?? (await submit());
      expect(await (await takeAs(id)).json()).toMatchObject({ id: own });
      expect((await doneAs(id, own)).status).toBe(200);
    }
    const { status, body } = await call("GET", "/timing");
    const took = { p50: expect.any(Number), p90: expect.any(Number), p99: expect.any(Number) };
    const group = { jobs: 1, since: expect.any(Number), waitMs: took, executionMs: took };
    const starts = { created: { count: 1, since: expect.any(Number), startMs: took }, resumed: noStart };
    expect([status, body]).toEqual([200, { warm: group, cold: group, starts }]);
    expect(body.cold.waitMs.p50).toBeGreaterThanOrEqual(body.starts.created.startMs.p50);
    expect(body.cold.since).toBeGreaterThanOrEqual(startedAt);
  });
});

describe("an endpoint without a fleet", () => {
  it("cannot be prewarmed, and tells what it lacks", async () => {
    const { call } = await makeScaled({ image: undefined, gpu: undefined });
    const { status, body } = await call("POST", "/prewarm", { workers: 1 });
    expect(status).toBe(409);
    expect(body.detail).toContain("image");
  });

  it("has no decisions", async () => {
    const { call } = await makeScaled({ providers: [] });
    expect((await call("GET", "/scaling")).body.decisions).toEqual([]);
  });
});

describe("another tenant", () => {
  it("finds neither decisions nor times nor the endpoint to prewarm", async () => {
    const { id } = await makeScaled();
    const { key } = await makeTenant({ scopes: ["jobs", "manage"] });
    expect((await manage(key, "GET", `/v1/endpoints/${id}/scaling`)).status).toBe(404);
    expect((await manage(key, "GET", `/v1/endpoints/${id}/timing`)).status).toBe(404);
    expect((await manage(key, "POST", `/v1/endpoints/${id}/prewarm`, { workers: 1 })).status).toBe(404);
  });
});
