// The fields of /v2/serverless: what follows from one another, what makes a release, who is shown the environment, and the headers of answers.
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import { POLICY_MAX_MS } from "../../../src/core/limits.ts";
import { loadEndpointSettings } from "../../../src/db/endpoints.ts";
import { createApp } from "../../../src/http/app.ts";
import { countCall } from "../../../src/http/kit/rate-limit.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

afterEach(() => {
  vi.useRealTimers();
});

const PATH = "/v2/serverless";
const WANTED = {
  name: "e",
  type: "QUEUE",
  image: "my-org/worker:1",
  gpu: { pools: ["AMPERE_24"], count: 1 },
  scaling: { type: "QUEUE_DELAY", queueDelay: 4 },
} as const;

async function scene() {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"] });
  const create = (more: object = {}) => manage(tenant.key, "POST", PATH, { ...WANTED, ...more });
  const change = (id: string, patch: object) => manage(tenant.key, "PATCH", `${PATH}/${id}`, patch);
  return { ...tenant, create, change };
}

describe("the environment of an endpoint's workers", () => {
  it("is shown to keys of its own tenant with the scope manage alone, on no plane to any other", async () => {
    const { key, create } = await scene();
    const { body } = await create({ env: { TOKEN: "planted-secret" } });
    expect(body.env).toEqual({ TOKEN: "planted-secret" });
    const reader = (await manage(key, "POST", "/v1/keys", { scopes: ["jobs"] })).body.key;
    const operator = (await makeTenant({ scopes: ["jobs", "manage", "admin"] })).key;
    const seen = [
      await manage(reader, "GET", PATH),
      await manage(reader, "GET", `${PATH}/${body.id}`),
      await manage(reader, "GET", "/v1/endpoints"),
      await manage(reader, "GET", `/v1/endpoints/${body.id}`),
      await manage(operator, "GET", `/v1/endpoints/${body.id}`),
    ];
    for (const { status, body: shown } of seen) {
      expect(status).toBe(200);
      expect(JSON.stringify(shown)).toContain(body.id);
      expect(JSON.stringify(shown)).not.toContain("planted-secret");
    }
    const own = await manage(key, "GET", `/v1/endpoints/${body.id}`);
    expect(own.body.env).toEqual({ TOKEN: "planted-secret" });
  });
});

describe("a release", () => {
  it("is made by what workers are started with, with its difference, and by nothing else", async () => {
    const { key, create, change } = await scene();
    const { id } = (await create()).body;
    const releases = async () => (await manage(key, "GET", `${PATH}/${id}/releases`)).body;
    const scaling = { type: "QUEUE_DELAY", queueDelay: 9 };
    const workers = { min: 1, max: 7, idleTimeout: 20 };
    await change(id, { scaling, workers, timeout: 60_000, flashboot: "FLASHBOOT", name: "other" });
    expect(await releases()).toMatchObject({ endpointVersion: 1, releases: [{ version: 1, diff: [] }] });
    await change(id, { image: "my-org/worker:2", disk: 40, gpu: { count: 2 }, env: { TOKEN: "planted-secret" } });
    const [newest, first] = (await releases()).releases;
    expect(first.version).toBe(1);
    expect(newest).toMatchObject({ version: 2, source: "MANUAL", buildId: null });
    const gpu = { pools: ["AMPERE_24"], allowedCudaVersions: [], minCudaVersion: null };
    expect(newest.diff).toEqual([
      { field: "image", old: "my-org/worker:1", new: "my-org/worker:2" },
      { field: "disk", old: null, new: 40 },
      { field: "gpu", old: { ...gpu, count: 1 }, new: { ...gpu, count: 2 } },
      { field: "env.TOKEN", old: null, new: "(hidden)" },
    ]);
  });
});

describe("fields that follow from one another", () => {
  it("are the addresses of a queue: all eight, with a place for the job's id", async () => {
    const { id, requestUrls } = (await (await scene()).create()).body;
    const root = `https://waybill.test/v2/${id}`;
    expect(requestUrls).toEqual({
      run: `${root}/run`,
      runSync: `${root}/runsync`,
      status: `${root}/status/{job_id}`,
      stream: `${root}/stream/{job_id}`,
      cancel: `${root}/cancel/{job_id}`,
      retry: `${root}/retry/{job_id}`,
      purgeQueue: `${root}/purge-queue`,
      health: `${root}/health`,
    });
  });

  it("are the two of a load-balanced endpoint, which scales by requests and may name its health check", async () => {
    const { create, change } = await scene();
    const balanced = { type: "LOAD_BALANCER", scaling: { type: "REQUEST_COUNT", requestCount: 3 } };
    const { status, body } = await create({ ...balanced, workers: { idleTimeout: 30 } });
    expect(status).toBe(201);
    const base = `https://${body.id}.lb.waybill.test`;
    expect(body).toMatchObject({ type: "LOAD_BALANCER", workers: { idleTimeout: 30 } });
    expect(body.requestUrls).toEqual({ base, health: `${base}/ping` });
    const named = await change(body.id, { env: { HEALTH_CHECK_PATH: "/healthy" } });
    expect(named.body.requestUrls).toEqual({ base, health: `${base}/healthy` });
    for (const byDelay of [
      await create({ type: "LOAD_BALANCER" }),
      await change(body.id, { scaling: WANTED.scaling }),
    ]) {
      expect(byDelay).toMatchObject({ status: 400, body: { detail: expect.stringContaining("scaling.type") } });
    }
  });

  it("leave the idle timeout out of a queue that scales by requests", async () => {
    const { create } = await scene();
    const { body } = await create({ scaling: { type: "REQUEST_COUNT", requestCount: 4 } });
    expect(body.workers).toEqual({ min: 0, max: 3 });
  });

  it("keep what a change of the GPU leaves out, and clear versions of CUDA by an empty value", async () => {
    const { create, change } = await scene();
    const excludedTypes = ["NVIDIA L4"];
    const { id } = (await create({ gpu: { pools: ["AMPERE_24"], excludedTypes, minCudaVersion: "12.4" } })).body;
    expect((await change(id, { gpu: { count: 2 } })).body.gpu).toEqual({
      pools: ["AMPERE_24"],
      excludedTypes,
      count: 2,
      allowedCudaVersions: [],
      minCudaVersion: "12.4",
    });
    const listed = await change(id, { gpu: { minCudaVersion: "", allowedCudaVersions: ["12.8"] } });
    expect(listed.body.gpu).toMatchObject({ minCudaVersion: null, allowedCudaVersions: ["12.8"] });
    expect((await change(id, { gpu: { allowedCudaVersions: [] } })).body.gpu.allowedCudaVersions).toEqual([]);
    const alone = await change(id, { gpu: { excludedTypes } });
    expect(alone).toMatchObject({ status: 422, body: { errors: [expect.stringContaining("$.gpu.excludedTypes")] } });
    expect((await change(id, { gpu: { pools: ["AMPERE_24"] } })).body.gpu.excludedTypes).toBeUndefined();
  });

  it("take a timeout of 0 for the longest that a job may have", async () => {
    const { create } = await scene();
    const { body } = await create({ timeout: 0 });
    expect(body.timeout).toBe(0);
    expect((await loadEndpointSettings(env.DB, body.id))?.executionTimeoutMs).toBe(POLICY_MAX_MS);
  });
});

describe("the headers of an answer", () => {
  it("say whether the broker goes by a change or a deletion already", async () => {
    const { key, create, change } = await scene();
    const { id } = (await create()).body;
    expect((await change(id, { workers: { max: 5 } })).headers.get("x-waybill-applied")).toBe("true");
    const lost: Partial<BrokerApi> = { configure: () => Promise.reject(new Error("lost")) };
    const ENDPOINT_BROKER = { getByName: () => lost } as unknown as Env["ENDPOINT_BROKER"];
    const headers = { authorization: key, "content-type": "application/json" };
    const init = { method: "PATCH", headers, body: '{"workers":{"max":6}}' };
    const request = new Request(`https://waybill.test${PATH}/${id}`, init);
    const late = await createApp().fetch(request, { ...env, ENDPOINT_BROKER }, createExecutionContext());
    expect([late.status, late.headers.get("x-waybill-applied")]).toEqual([200, "false"]);
    const deleted = await manage(key, "DELETE", `${PATH}/${id}`);
    expect([deleted.status, deleted.headers.get("x-waybill-applied")]).toEqual([204, "true"]);
  });

  it("tell a key that has made its calls of a minute when it may make the next one", async () => {
    const { key } = await scene();
    const startMs = Math.floor(Date.now() / 60_000) * 60_000;
    vi.useFakeTimers({ toFake: ["Date"], now: startMs + 48_000 });
    const keyId = key.split("_")[2] ?? "";
    for (let calls = 0; calls < 2_999; calls += 1) countCall({ keyId }, Date.now());
    expect((await manage(key, "GET", PATH)).status).toBe(200);
    const { status, body, headers } = await manage(key, "GET", PATH);
    expect(status).toBe(429);
    expect(body.detail).toBe("rate limit exceeded for the minute window");
    expect(headers.get("retry-after")).toBe("12");
    expect(headers.get("ratelimit")).toMatch(/^"minute";r=0;t=12, /);
    expect((await manage(key, "GET", "/v1/endpoints")).status).toBe(429);
    vi.setSystemTime(startMs + 60_000);
    expect((await manage(key, "GET", PATH)).status).toBe(200);
  });
});
