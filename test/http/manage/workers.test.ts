// What an endpoint's owner sees of its workers, and how one is taken out of service.
import { exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { manage } from "../../support/manage.ts";
import { makeTenant, type TestTenant, type TestTenantOptions } from "../../support/tenant.ts";

function ask(tenant: TestTenant, path: string, method = "GET", key = tenant.key) {
  const headers = { authorization: key };
  return exports.default.fetch(new Request(`https://waybill.test${path}`, { method, headers }));
}

async function scene(options: TestTenantOptions = {}) {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"], workerKeys: [{ slots: 2 }], ...options });
  const [key = ""] = tenant.workerKeys;
  const base = `/v2/${tenant.endpointId}`;
  const take = (id: string) => ask(tenant, `${base}/job-take/${id}?gpu=L4&job_in_progress=0`, "GET", key);
  const ping = (id: string, more = "") =>
    ask(tenant, `${base}/ping/${id}?gpu=L4&runpod_version=1.12.0${more}`, "GET", key);
  const list = async () => (await manage(tenant.key, "GET", `/v1/endpoints/${tenant.slug}/workers`)).body;
  const submit = async () => {
    const headers = { authorization: tenant.key, "content-type": "application/json" };
    const request = new Request(`https://waybill.test${base}/run`, { method: "POST", headers, body: '{"input":{}}' });
    return z.object({ id: z.string() }).parse(await (await exports.default.fetch(request)).json()).id;
  };
  return { tenant, take, ping, list, submit };
}

describe("the list of workers", () => {
  it("has each pulling worker and upstream with state, tier, jobs, last seen and reason", async () => {
    const { take, ping, list, submit } = await scene({
      upstreams: [{ id: "up-of-list", slots: 3 }],
      workerKeys: [{ slots: 2, rateKind: "active" }],
    });
    // Active slots come first, so the job goes to the worker that asks, and the upstream stays idle.
    const taking = take("busy");
    await vi.waitFor(async () => expect((await list()).workers).toMatchObject([{ state: "IDLE" }, { kind: "push" }]));
    const id = await submit();
    expect((await taking).status).toBe(200);
    await ping("fresh");
    await ping("ill", "&status=unhealthy&check=_memory_check&reason=too+little");
    const { workers, summary } = await list();
    expect(workers).toMatchObject([
      {
        id: "busy",
        kind: "pull",
        state: "RUNNING",
        tier: "a4000",
        rateKind: "active",
        slots: 2,
        running: 1,
        jobs: [id],
      },
      { id: "fresh", state: "INITIALIZING", gpu: "L4", version: "1.12.0", lastSeenAt: expect.any(Number), jobs: [] },
      { id: "ill", state: "UNHEALTHY", reason: "Its fitness check _memory_check failed: too little." },
      { id: "up-of-list", kind: "push", state: "IDLE", slots: 3, running: 0 },
    ]);
    expect(summary).toEqual({ running: 1, idle: 1, initializing: 1, throttled: 0, unhealthy: 1, total: 4 });
  });

  it("is there for an endpoint that nobody has called yet", async () => {
    const { key } = await makeTenant({ scopes: ["jobs", "manage"] });
    const { id } = (await manage(key, "POST", "/v1/endpoints", { name: "new" })).body;
    expect(await manage(key, "GET", `/v1/endpoints/${id}/workers`)).toMatchObject({
      status: 200,
      body: { workers: [], summary: { total: 0 } },
    });
  });

  it("is the owner's alone, also of a shared endpoint", async () => {
    const { tenant, submit } = await scene({ shared: true });
    await submit();
    const stranger = await makeTenant({ scopes: ["jobs", "manage"] });
    expect((await ask(stranger, `/v1/endpoints/${tenant.slug}/workers`)).status).toBe(404);
    expect((await ask(stranger, `/v1/endpoints/${tenant.slug}/workers/w1/drain`, "POST")).status).toBe(404);
  });

  it("is an operator's, too, whose they are", async () => {
    const { tenant, take, list } = await scene();
    const taking = take("w1");
    await vi.waitFor(async () => expect((await list()).workers).toHaveLength(1));
    const operator = await makeTenant({ scopes: ["admin"] });
    const path = `/v1/endpoints/${tenant.slug}/workers`;
    expect((await manage(operator.key, "GET", path)).body.workers).toMatchObject([{ id: "w1" }]);
    expect((await manage(operator.key, "POST", `${path}/w1/drain`)).body).toEqual({ id: "w1", draining: true });
    expect((await taking).status).toBe(204);
  });
});

describe("draining a worker", () => {
  it("answers its open poll and gives it no more jobs", { timeout: 15_000 }, async () => {
    const { tenant, take, list, submit } = await scene();
    const taking = take("w1");
    await vi.waitFor(async () => expect((await list()).workers).toMatchObject([{ state: "IDLE" }]));
    const drained = await ask(tenant, `/v1/endpoints/${tenant.slug}/workers/w1/drain`, "POST");
    expect(await drained.json()).toEqual({ id: "w1", draining: true });
    expect((await taking).status).toBe(204);
    await submit();
    expect((await list()).workers).toMatchObject([{ id: "w1", draining: true, running: 0 }]);
    expect((await take("w1")).status).toBe(429);
    expect((await take("w2")).status).toBe(200);
    await submit();
    const resumed = await ask(tenant, `/v1/endpoints/${tenant.slug}/workers/w1/resume`, "POST");
    expect(await resumed.json()).toEqual({ id: "w1", draining: false });
    expect((await take("w1")).status).toBe(200);
  });

  it("needs the scope manage, and a worker that is there", async () => {
    const { tenant, submit } = await scene({ scopes: ["jobs"] });
    await submit();
    expect((await ask(tenant, `/v1/endpoints/${tenant.slug}/workers/w1/drain`, "POST")).status).toBe(403);
    const manager = await scene();
    await manager.submit();
    const unknown = await ask(manager.tenant, `/v1/endpoints/${manager.tenant.slug}/workers/w9/drain`, "POST");
    expect(unknown.status).toBe(404);
  });
});
