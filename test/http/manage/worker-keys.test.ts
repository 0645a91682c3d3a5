// /v1/endpoints/{endpoint}/worker-keys and /worker-env: keys with which workers fetch jobs, and how soon a broker goes by a change.
import { createExecutionContext } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { repairBrokers } from "../../../src/consumers/repair.ts";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import { loadEndpointSettings } from "../../../src/db/endpoints.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { createApp } from "../../../src/http/app.ts";
import { metered } from "../../support/d1.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function scene(options: Parameters<typeof makeTenant>[0] = {}) {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"], ...options });
  const endpoint = `/v1/endpoints/${tenant.slug}`;
  const path = `${endpoint}/worker-keys`;
  const create = (body: object, headers = {}) => manage(tenant.key, "POST", path, body, headers);
  const createEnv = (body: object, headers = {}) => manage(tenant.key, "POST", `${endpoint}/worker-env`, body, headers);
  return { ...tenant, endpoint, path, create, createEnv };
}

/** A worker asks for a job: its status alone. */
async function take(url: string, key: string): Promise<number> {
  const response = await exports.default.fetch(new Request(url, { headers: { authorization: key } }));
  return response.status;
}

async function submit(key: string, endpointId: string): Promise<void> {
  const headers = { authorization: key, "content-type": "application/json" };
  const url = `https://waybill.test/v2/${endpointId}/run`;
  const answer = await exports.default.fetch(new Request(url, { method: "POST", headers, body: '{"input":{}}' }));
  expect(answer.status).toBe(200);
}

describe("a worker's key", () => {
  it("is made with a tier, fetches jobs at once, and carries their price", async () => {
    const { create, key, endpointId, tenantId, path } = await scene();
    const { status, body } = await create({ tier: "l4", slots: 2, rateKind: "active", name: "rack" });
    expect(status).toBe(201);
    expect(body).toMatchObject({ endpointId, tier: "l4", slots: 2, rateKind: "active", name: "rack", applied: true });
    await submit(key, endpointId);
    const poll = `https://waybill.test/v2/${endpointId}/job-take/w1?gpu=SIM&job_in_progress=0`;
    expect(await take(poll, body.key)).toBe(200);
    const [worker] = (await brokerOf(env, endpointId).listWorkers({ tenantId })) ?? [];
    expect(worker).toMatchObject({ id: "w1", tier: "l4", rateKind: "active", slots: 2 });
    const { key: text, applied, ...rest } = body;
    expect((await manage(key, "GET", `${path}/${body.id}`)).body).toEqual(rest);
    expect((await manage(key, "GET", path)).body.workerKeys).toEqual([rest]);
    expect(applied).toBe(true);
    const audit = (await manage(key, "GET", "/v1/audit")).body;
    expect(audit.lines[0]).toMatchObject({ action: "worker_key.create", objectId: body.id });
    expect(JSON.stringify(audit)).not.toContain(text.split("_")[3]);
  });

  // A refusal to a worker is held for 5 s.
  it("fetches nothing more once it is revoked", { timeout: 20_000 }, async () => {
    const { create, key, endpointId, path } = await scene();
    const { body } = await create({ tier: "l4" });
    await submit(key, endpointId);
    await submit(key, endpointId);
    const poll = (worker: string) =>
      take(`https://waybill.test/v2/${endpointId}/job-take/${worker}?gpu=SIM&job_in_progress=0`, body.key);
    expect(await poll("w1")).toBe(200);
    const revoked = await manage(key, "DELETE", `${path}/${body.id}`);
    expect(revoked).toMatchObject({ status: 200, body: { applied: true, revokedAt: expect.any(String) } });
    expect(await poll("w2")).toBe(401);
    expect((await manage(key, "DELETE", `${path}/${body.id}`)).body.revokedAt).toBe(revoked.body.revokedAt);
    const lines = (await manage(key, "GET", "/v1/audit")).body.lines;
    expect(lines.map(({ action }: { action: string }) => action)).toEqual(["worker_key.revoke", "worker_key.create"]);
  });

  it("ends when it is said to", async () => {
    const { create, endpointId } = await scene();
    const { body } = await create({ tier: "l4", expiresInSeconds: 60 });
    const [stored] = (await loadEndpointSettings(env.DB, endpointId))?.workerKeys ?? [];
    expect(stored?.expiresAtMs).toBe(Date.parse(body.expiresAt));
    expect((await create({ tier: "l4", expiresAt: "2020-01-01T00:00:00Z" })).body.field).toBe("expiresAt");
  });

  it("is made once by a creation that is repeated, whose answer has no key", async () => {
    const { create, path, key } = await scene();
    const headers = { "idempotency-key": crypto.randomUUID() };
    const first = await create({ tier: "l4" }, headers);
    const again = await create({ tier: "l4" }, headers);
    expect(again.body.id).toBe(first.body.id);
    expect(again.body).not.toHaveProperty("key");
    expect((await manage(key, "GET", path)).body.workerKeys).toHaveLength(1);
  });

  it("is not made by a key that was revoked, where an isolate has kept that", async () => {
    const { create, key, path } = await scene();
    expect((await create({ tier: "l4" })).status).toBe(201);
    await env.DB.prepare("UPDATE api_keys SET revoked_at = 1 WHERE id = ?").bind(key.split("_")[2]).run();
    expect((await create({ tier: "l4" })).status).toBe(409);
    expect((await manage(key, "GET", path)).body.workerKeys).toHaveLength(1);
  });

  it("needs a tier that has a price, and the failure names those", async () => {
    const { create } = await scene();
    expect((await create({})).body.errors).toMatchObject([{ field: "tier" }]);
    const unknown = await create({ tier: "h900" });
    expect(unknown.body).toMatchObject({ field: "tier", detail: expect.stringContaining("a4000, 4090-pro, l4") });
    expect((await create({ tier: "l4", slots: 1_001 })).status).toBe(400);
  });

  it("is none for a load-balanced endpoint, whose workers are called", async () => {
    const { create, createEnv } = await scene({ kind: "load_balancer" });
    for (const answer of [await create({ tier: "l4" }), await createEnv({ tier: "l4" })]) {
      expect(answer.status).toBe(400);
      expect(answer.body.detail).toMatch(/POST \/v1\/endpoints\/\S+\/upstreams with the dialect http/);
    }
  });

  it("of another tenant, of another endpoint and of a key for other endpoints is as unknown as none", async () => {
    const [mine, theirs] = [await scene(), await scene({ workerKeys: [{}] })];
    const second = await manage(mine.key, "POST", "/v1/endpoints", { slug: `slug-${crypto.randomUUID()}` });
    const { body } = await mine.create({ tier: "l4" });
    const limited = await manage(mine.key, "POST", "/v1/keys", { scopes: ["manage"], endpointIds: [second.body.id] });
    const ask = async (key: string, path: string) => {
      const read = await manage(key, "GET", path);
      const revoked = await manage(key, "DELETE", path);
      expect([read.status, revoked.status]).toEqual([404, 404]);
      expect(read.body).toEqual(revoked.body);
      return JSON.stringify(read.body);
    };
    const noKey = await ask(mine.key, `${mine.path}/nothing`);
    const theirId = theirs.workerKeys[0]?.split("_")[2];
    expect(await ask(mine.key, `${mine.path}/${theirId}`)).toBe(noKey);
    expect(await ask(mine.key, `${mine.path}/${mine.key.split("_")[2]}`)).toBe(noKey);
    expect(await ask(mine.key, `/v1/endpoints/${second.body.id}/worker-keys/${body.id}`)).toBe(noKey);
    const noEndpoint = await ask(mine.key, `/v1/endpoints/nothing/worker-keys/${body.id}`);
    expect(await ask(mine.key, `${theirs.path}/${theirId}`)).toBe(noEndpoint);
    expect(await ask(limited.body.key, `${mine.path}/${body.id}`)).toBe(noEndpoint);
    const own = await manage(limited.body.key, "POST", `/v1/endpoints/${second.body.id}/worker-keys`, { tier: "l4" });
    expect(own.status).toBe(201);
  });

  it("is listed in pages by an index, newest first", async () => {
    const { endpointId, tenantId, path, key } = await scene();
    await env.DB.prepare(
      `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 500)
       INSERT INTO api_keys (id, tenant_id, digest, scopes, name, created_at, endpoint_id, tier, rate_kind, slots)
       SELECT n || ?2, ?1, printf('%064d', 0), 'worker', '', n, ?2, 'l4', 'flex', 1 FROM numbers`,
    )
      .bind(tenantId, endpointId)
      .run();
    const { answer, read } = await metered(() => manage(key, "GET", `${path}?limit=2`));
    const ids = answer.body.workerKeys.map(({ id }: { id: string }) => id);
    expect(ids).toEqual([`500${endpointId}`, `499${endpointId}`]);
    expect(read).toBeLessThan(20);
  });
});

describe("the environment of a worker", () => {
  it("lets an unmodified worker fetch jobs, in each of its forms", async () => {
    const { createEnv, key, endpointId } = await scene();
    const { status, body } = await createEnv({ tier: "l4", gpu: "RTX 4090", base: "https://waybill.test/" });
    expect(status).toBe(201);
    expect(body).toMatchObject({ applied: true, workerKey: { endpointId, tier: "l4", name: "worker" } });
    const { variables, forms } = body;
    expect(variables.RUNPOD_ENDPOINT_ID).toBe(endpointId);
    expect(variables.RUNPOD_WEBHOOK_GET_JOB).toBe(`https://waybill.test/v2/${endpointId}/job-take/$ID?gpu=RTX+4090`);
    await submit(key, endpointId);
    const poll = `${variables.RUNPOD_WEBHOOK_GET_JOB.replace("$ID", "w1")}&job_in_progress=0`;
    expect(await take(poll, variables.RUNPOD_AI_API_KEY)).toBe(200);
    expect(forms.docker.lines).toContain(`RUNPOD_ENDPOINT_ID=${endpointId}`);
    expect(forms.docker.hint).toContain("docker run");
    expect(forms.sh.lines).toContain(`export RUNPOD_AI_API_KEY='${variables.RUNPOD_AI_API_KEY}'`);
    expect(forms.fields.lines.join("\n")).toContain(variables.RUNPOD_AI_API_KEY);
  });

  it("has the deployment's own address and the tier for the GPU unless it is said otherwise", async () => {
    const { createEnv, endpointId } = await scene();
    const { body } = await createEnv({ tier: "l4" });
    expect(body.variables.RUNPOD_WEBHOOK_PING).toBe(`https://waybill.test/v2/${endpointId}/ping/$RUNPOD_POD_ID?gpu=l4`);
    for (const base of ["ftp://x.example.com", "https://u:p@x.example.com", "https://x.example.com/?a=b", "x"]) {
      expect(await createEnv({ tier: "l4", base })).toMatchObject({ status: 400, body: { field: "base" } });
    }
  });

  it("is given once: the answer to a repeated creation has no variables", async () => {
    const { createEnv } = await scene();
    const headers = { "idempotency-key": crypto.randomUUID() };
    const first = await createEnv({ tier: "l4" }, headers);
    const again = await createEnv({ tier: "l4" }, headers);
    expect(again.body.workerKey).toEqual(first.body.workerKey);
    expect(again.body).not.toHaveProperty("variables");
    expect(again.body).not.toHaveProperty("forms");
  });
});

describe("an idle broker", () => {
  type Scene = Awaited<ReturnType<typeof scene>>;
  const CHANGES: Readonly<Record<string, (scene: Scene) => readonly [string, string, object]>> = {
    "a new upstream": ({ endpoint }) => [
      "POST",
      `${endpoint}/upstreams`,
      { url: "http://127.0.0.1:9/", dialect: "http", tier: "l4" },
    ],
    "a new worker's key": ({ path }) => ["POST", path, { tier: "l4" }],
    "a pause": ({ endpoint }) => ["PATCH", endpoint, { paused: true }],
  };

  /** The version that the broker has: it takes no older settings, and answers with its own version. */
  async function versionAt(endpointId: string): Promise<number> {
    const settings = await loadEndpointSettings(env.DB, endpointId);
    if (settings === null) throw new Error("the endpoint is not there");
    return (await brokerOf(env, endpointId).configure({ ...settings, version: 1 })).version;
  }

  async function versionOf(endpointId: string): Promise<number> {
    return (await loadEndpointSettings(env.DB, endpointId))?.version ?? -1;
  }

  it.each(Object.keys(CHANGES))("goes by %s at once", async (what) => {
    const made = await scene();
    const before = await versionAt(made.endpointId);
    const [method, path, body] = CHANGES[what]?.(made) ?? ["", "", {}];
    const answer = await manage(made.key, method, path, body);
    expect(answer.body.applied).toBe(true);
    expect(await versionAt(made.endpointId)).toBe(await versionOf(made.endpointId));
    expect(await versionOf(made.endpointId)).toBeGreaterThan(before);
  });

  it.each(Object.keys(CHANGES))("goes by %s within the cron's 5 min when the push was lost", async (what) => {
    const made = await scene();
    const before = await versionAt(made.endpointId);
    const lost: Partial<BrokerApi> = { configure: () => Promise.reject(new Error("lost")) };
    const ENDPOINT_BROKER = { getByName: () => lost } as unknown as Env["ENDPOINT_BROKER"];
    const [method, path, body] = CHANGES[what]?.(made) ?? ["", "", {}];
    const request = new Request(`https://waybill.test${path}`, {
      method,
      headers: { authorization: made.key, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const answer = await createApp().fetch(request, { ...env, ENDPOINT_BROKER }, createExecutionContext());
    expect(await answer.json()).toMatchObject({ applied: false });
    expect(await versionAt(made.endpointId)).toBe(before);
    await repairBrokers(env);
    expect(await versionAt(made.endpointId)).toBe(await versionOf(made.endpointId));
    expect(await versionOf(made.endpointId)).toBeGreaterThan(before);
  });
});
