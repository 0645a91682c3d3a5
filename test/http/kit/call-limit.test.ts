// Limits of clients' calls: in each route's own shape, before any object is called and any body is read; calls that are open
// make room when they end, however they end.
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OPERATIONS, type Operation } from "../../../src/core/access/limits.ts";
import { createApp } from "../../../src/http/app.ts";
import { manage } from "../../support/manage.ts";
import { makePulling } from "../../support/pulling.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";
import { watchEdge } from "../../support/watched-edge.ts";

const JOB = "01900000-0000-7000-8000-000000000000-u1";

/** Every limited route under /v2/{endpoint}, and what its calls are counted as. */
const ROUTES: readonly (readonly [string, string, Operation])[] = [
  ["POST", "run", "run"],
  ["POST", `retry/${JOB}`, "run"],
  // Its wait is refused.
  ["POST", "runsync?wait=1", "runsync"],
  ["GET", `status/${JOB}`, "status"],
  ["POST", `status/${JOB}`, "status"],
  ["GET", `status-sync/${JOB}`, "status"],
  ["GET", `stream/${JOB}`, "status"],
  ["GET", "health", "status"],
  ["POST", `cancel/${JOB}`, "cancel"],
  ["POST", "purge-queue", "purge-queue"],
  ["GET", "requests", "requests"],
  ["GET", "openai/v1/models", "openai"],
];

const one = (open: number | null) => Object.fromEntries(OPERATIONS.map((name) => [name, { calls: 1, open }]));

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: 1_790_000_003_000 });
  vi.spyOn(console, "log").mockImplementation(() => undefined);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const BODY = '{"input":{}}';

interface Words {
  readonly method?: string;
  readonly body?: BodyInit;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

function requestOf({ key, endpointId }: TestTenant, path: string, { method = "GET", headers, ...rest }: Words = {}) {
  const url = path.startsWith("/") ? path : `/v2/${endpointId}/${path}`;
  const body = method === "POST" ? { body: BODY } : {};
  const length = method === "POST" ? { "content-length": `${BODY.length}` } : {};
  return new Request(`https://waybill.test${url}`, {
    method,
    ...body,
    ...rest,
    headers: { authorization: `Bearer ${key}`, ...length, ...headers },
  });
}

/** The edge, with the calls of brokers and the statements that it makes. */
function watchedEdge() {
  const { fetch, statements, objects } = watchEdge();
  const call = async (request: Request): Promise<Response> => {
    const context = createExecutionContext();
    const answer = await fetch(request, context);
    await waitOnExecutionContext(context);
    return answer;
  };
  return { call, statements, objects };
}

describe("a call that is one too many", () => {
  it.each(ROUTES)("is refused before an object is called: %s %s", async (method, path, operation) => {
    const tenant = await makeTenant({ limits: one(null), upstreams: [] });
    const { call, statements, objects } = watchedEdge();
    const first = await call(requestOf(tenant, path, { method }));
    expect(first.status).not.toBe(429);
    expect(first.headers.get("ratelimit-policy")).toBe(`"${operation}";q=1;w=10`);
    expect(first.headers.get("ratelimit")).toBe(`"${operation}";r=0;t=7`);
    statements.length = 0;
    objects.length = 0;
    const request = requestOf(tenant, path, { method });
    const refused = await call(request);
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("7");
    expect(refused.headers.get("ratelimit")).toBe(`"${operation}";r=0;t=7`);
    expect({ statements, objects, isRead: request.bodyUsed }).toEqual({ statements: [], objects: [], isRead: false });
    const text = `too many calls of ${operation} by this key at this endpoint: there may be 1 in 10 s`;
    const shape =
      operation === "openai"
        ? { error: { message: text, type: "rate_limit_error", param: null, code: "rate_limit_exceeded" } }
        : { error: "rate limited", message: text };
    expect(await refused.json()).toEqual(shape);
    vi.setSystemTime(Date.now() + 7_000);
    expect((await call(requestOf(tenant, path, { method }))).status).toBe(first.status);
  });

  it("is one of the same count under /v2/flash", async () => {
    const tenant = await makeTenant({ limits: one(null), upstreams: [] });
    const { call, objects } = watchedEdge();
    const flash = { method: "POST", headers: { "x-flash-endpoint": tenant.slug } };
    expect((await call(requestOf(tenant, "run", { method: "POST" }))).status).toBe(200);
    objects.length = 0;
    expect((await call(requestOf(tenant, "/v2/flash/run", flash))).status).toBe(429);
    expect(objects).toEqual([]);
  });

  it("is so for its key and endpoint alone, and routes of workers and load-balanced endpoints have no such limit", async () => {
    const tenant = await makeTenant({ limits: one(null), upstreams: [], workerKeys: [{}] });
    const other = await makeTenant({ limits: one(null), shared: true, upstreams: [] });
    const balanced = await makeTenant({ limits: one(null), kind: "load_balancer", upstreams: [] });
    const { call } = watchedEdge();
    const run = { method: "POST" };
    expect((await call(requestOf(tenant, "run", run))).status).toBe(200);
    expect((await call(requestOf(tenant, "run", run))).status).toBe(429);
    expect((await call(requestOf({ ...tenant, endpointId: other.endpointId }, "run", run))).status).toBe(200);
    expect((await call(requestOf(other, "run", run))).status).toBe(200);
    const worker = { headers: { authorization: tenant.workerKeys[0] ?? "" } };
    for (let ping = 0; ping < 3; ping += 1) {
      const answer = await call(requestOf(tenant, "ping/w1?gpu=L4", worker));
      expect([answer.status, answer.headers.get("ratelimit")]).toEqual([200, null]);
    }
    for (let at = 0; at < 3; at += 1) {
      const gone = { headers: { "x-runpod-worker-id": "strict gone" } };
      const answer = await call(requestOf(balanced, `/lb/${balanced.endpointId}/x`, gone));
      expect([answer.status, answer.headers.get("ratelimit")]).toEqual([404, null]);
    }
  });

  it("is told by RunPod's figures without other limits of the tenant's", async () => {
    const tenant = await makeTenant({ upstreams: [] });
    const { call } = watchedEdge();
    const { headers } = await call(requestOf(tenant, "run", { method: "POST" }));
    expect(headers.get("ratelimit-policy")).toBe('"run";q=1000;w=10, "run-open";q=200;qu="concurrent-requests"');
    expect(headers.get("ratelimit")).toBe('"run";r=999;t=7');
    expect((await call(requestOf(tenant, "purge-queue", { method: "POST" }))).status).toBe(200);
    expect((await call(requestOf(tenant, "purge-queue", { method: "POST" }))).status).toBe(200);
    expect((await call(requestOf(tenant, "purge-queue", { method: "POST" }))).status).toBe(429);
  });

  it("goes by limits that an operator has changed within 30 s, and back to the default ones", async () => {
    const operator = await makeTenant({ scopes: ["admin"] });
    const tenant = await makeTenant({ upstreams: [] });
    const path = `/v1/tenants/${tenant.tenantId}`;
    const { call } = watchedEdge();
    const run = () => requestOf(tenant, "run", { method: "POST" });
    const policy = async () => (await call(run())).headers.get("ratelimit-policy");
    expect(await policy()).toContain("q=1000;");
    const limits = { run: { calls: 5, open: 2 } };
    const changed = await manage(operator.key, "PATCH", path, { limits, runningMax: 3 });
    expect(changed).toMatchObject({ status: 200, body: { limits, runningMax: 3, waitingMax: 10_000 } });
    vi.setSystemTime(Date.now() + 31_000);
    expect(await policy()).toBe('"run";q=5;w=10, "run-open";q=2;qu="concurrent-requests"');
    expect((await manage(operator.key, "PATCH", path, { limits: null })).body).toMatchObject({
      limits: null,
      runningMax: 3,
    });
    vi.setSystemTime(Date.now() + 31_000);
    expect(await policy()).toContain("q=1000;");
    for (const wrong of [
      { run: { calls: 0, open: null } },
      { run: { calls: 1 } },
      { fly: { calls: 1, open: null } },
      7,
    ]) {
      expect((await manage(operator.key, "PATCH", path, { limits: wrong })).status).toBe(400);
    }
    expect((await manage(operator.key, "PATCH", path, { runningMax: 0 })).status).toBe(400);
  });
});

describe("open calls", () => {
  const limits = Object.fromEntries(OPERATIONS.map((name) => [name, { calls: 100, open: 1 }]));

  it("make room when they are answered", async () => {
    const pulling = await makePulling({ limits });
    const first = pulling.asClient("runsync?wait=60000", '{"input":{}}');
    const id = await pulling.takeOne();
    const refused = await pulling.asClient("runsync", '{"input":{}}');
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(refused.headers.get("ratelimit")).toMatch(/^"runsync";r=98;t=\d+, "runsync-open";r=0;t=1$/);
    expect(await refused.json()).toMatchObject({ error: "too many open requests" });
    await pulling.done(id, '{"output":1}');
    expect(await (await first).json()).toMatchObject({ status: "COMPLETED" });
    // The second one answers what there is after a second of waiting.
    expect((await pulling.asClient("runsync?wait=1000", '{"input":{}}')).status).toBe(200);
  });

  it("that are streams make room when their reader leaves", async () => {
    const pulling = await makePulling({ limits });
    const id = await pulling.submit("{}");
    const events = { accept: "text/event-stream" };
    const stream = await pulling.asClient(`stream/${id}`, undefined, events);
    const reader = stream.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(": waiting\n\n");
    expect((await pulling.asClient(`status/${id}`)).status).toBe(429);
    await reader?.cancel();
    // The stream's end is noticed by its next write: the job's end brings one.
    await pulling.asClient(`cancel/${id}`, "{}");
    await vi.waitFor(async () => expect((await pulling.asClient(`status/${id}`)).status).toBe(200), { timeout: 5_000 });
  });

  it("make room at once where nobody reads the body: a HEAD of a large result", async () => {
    const pulling = await makePulling({ limits });
    const id = await pulling.submit("{}");
    await pulling.done(await pulling.takeOne(), JSON.stringify({ output: "x".repeat(600_000) }));
    const head = await exports.default.fetch(requestOf(pulling.tenant, `status/${id}`, { method: "HEAD" }));
    expect(head.status).toBe(200);
    const { status } = await pulling.asClient(`status/${id}`);
    expect(status).toBe(200);
  });

  it("make room when their client goes away before they are answered", async () => {
    const tenant = await makeTenant({ limits, upstreams: [] });
    const leaving = new AbortController();
    const app = createApp();
    const { signal } = leaving;
    const open = app.fetch(
      requestOf(tenant, "runsync?wait=60000", { method: "POST", signal }),
      env,
      createExecutionContext(),
    );
    const again = () => exports.default.fetch(requestOf(tenant, "runsync?wait=1000", { method: "POST" }));
    await vi.waitFor(async () => expect((await again()).status).toBe(429), { timeout: 5_000 });
    leaving.abort();
    expect((await again()).status).toBe(200);
    await open;
  });

  it("make room when their handler fails by a bug of ours", async () => {
    const tenant = await makeTenant({ limits, upstreams: [] });
    const app = createApp();
    const broken = { getByName: () => ({}) } as unknown as Env["ENDPOINT_BROKER"];
    const cut = new ReadableStream({ start: (controller) => controller.error(new Error("cut")) });
    const crash = requestOf(tenant, "run", { method: "POST", body: cut });
    await app.fetch(crash, { ...env, ENDPOINT_BROKER: broken }, createExecutionContext());
    expect((await exports.default.fetch(requestOf(tenant, "run", { method: "POST" }))).status).toBe(200);
  });
});
