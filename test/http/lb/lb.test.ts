// Load-balanced endpoints over HTTP, with workers that are functions: what passes, what stays here, who is asked, who pays.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { LB_CALL_MAX_MS, LB_HOLD_MS, LB_RENEW_MS, LB_WAIT_MAX_MS } from "../../../src/core/limits.ts";
import { makeTenant, type TestTenant, type TestTenantOptions } from "../../support/tenant.ts";

const LIMIT_BYTES = 1_000;
const errorSchema = z.object({ error: z.string(), message: z.string(), code: z.string().optional() });

type Answer = (request: Request) => Promise<Response> | Response;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** An endpoint whose workers `w0`, `w1`… answer as told, and /ping with 200 unless told otherwise. */
async function makeLb(workers: readonly Answer[], options: TestTenantOptions = {}) {
  const name = crypto.randomUUID();
  const upstreams = workers.map((_, at) => ({
    id: `${name}-w${at}`,
    url: `http://w${at}.${name}.test:8000/base`,
    slots: 5,
  }));
  const tenant = await makeTenant({ kind: "load_balancer", bodyMaxBytes: LIMIT_BYTES, upstreams, ...options });
  const calls: number[] = [];
  let ping: Answer = () => new Response("ok");
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    const at = Number(/^w(\d+)\./.exec(url.hostname)?.[1]);
    const worker = workers[at];
    if (!url.hostname.endsWith(`.${name}.test`) || worker === undefined) throw new Error(`${url.host} was called`);
    if (url.pathname === "/base/ping") return ping(request);
    calls.push(at);
    return worker(request);
  });
  return {
    tenant,
    name,
    /** Which workers were asked, in order, but for their health. */
    calls,
    pingAs: (answer: Answer) => {
      ping = answer;
    },
    call: (path: string, init: RequestInit = {}) => callAs(tenant, tenant.endpointId, path, init),
  };
}

function callAs(caller: TestTenant, endpoint: string, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("authorization", `Bearer ${caller.key}`);
  return exports.default.fetch(new Request(`https://waybill.test/lb/${endpoint}${path}`, { ...init, headers }));
}

async function linesOf(tenant: TestTenant) {
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(tenant.endpointId));
  const { results } = await env.DB.prepare(
    "SELECT tenant_id, job_id, billed_ms, amount_nanodollars FROM usage_lines WHERE endpoint_id = ?",
  )
    .bind(tenant.endpointId)
    .all();
  return results;
}

/** A body whose length nobody says, in pieces, each after a pause. */
function streamOf(sizeBytes: number, pauseMs = 0): ReadableStream<Uint8Array> {
  let leftBytes = sizeBytes;
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      if (pauseMs > 0) await scheduler.wait(pauseMs);
      const piece = new Uint8Array(Math.min(leftBytes, 100)).fill(97);
      leftBytes -= piece.length;
      if (piece.length > 0) controller.enqueue(piece);
      else {
        controller.close();
        controller.byobRequest?.respond(0);
      }
    },
  });
}

/** Posts 900 bytes in about 200 ms; the answer once all of them were taken. */
async function uploadSlowly(call: (path: string, init: RequestInit) => Promise<Response>): Promise<Response> {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const answering = call("/x", { method: "POST", body: readable });
  for (let piece = 0; piece < 9; piece += 1) {
    await writer.write(new Uint8Array(100));
    await scheduler.wait(20);
  }
  await writer.close();
  return answering;
}

function refused(): never {
  throw new Error("Network connection lost.");
}

const echoPath: Answer = (request) => new Response(`${request.method} ${request.url}`);

describe("a request to a load-balanced endpoint", () => {
  it.each([
    ["GET", ""],
    ["GET", "/"],
    ["DELETE", "/v1/things/7?deep=a&deep=b"],
    ["PATCH", "//evil.test/..;/a%2Fb//c/?q=%2f&r=1/2"],
    ["PROPFIND", "/@evil.test:99/x"],
    ["OPTIONS", "/run"],
  ])("%s %j reaches the worker as it came, below its own address", async (method, path) => {
    const { call, name } = await makeLb([echoPath]);
    const response = await call(path, { method });
    expect(await response.text()).toBe(`${method} http://w0.${name}.test:8000/base${path}`);
  });

  it("carries body and headers both ways, but for the client's key and what belongs to one connection", async () => {
    let seen = new Headers();
    const { call, name } = await makeLb(
      [
        async (request) => {
          seen = request.headers;
          const headers = new Headers({ "x-answer": "yes", "proxy-status": "no", "x-runpod-worker-id": "forged" });
          headers.append("set-cookie", "a=1");
          headers.append("set-cookie", "b=2");
          return new Response((await request.text()).toUpperCase(), { status: 418, headers });
        },
      ],
      {},
    );
    const headers = {
      "content-type": "text/x-own",
      "x-own": "1",
      cookie: "c=3",
      "x-forwarded-for": "1.2.3.4",
      "cf-connecting-ip": "1.2.3.4",
      "x-real-ip": "1.2.3.4",
      "proxy-authorization": "x",
      te: "trailers",
    };
    const response = await call("/x", { method: "POST", body: "hello", headers });
    expect(response.status).toBe(418);
    expect(await response.text()).toBe("HELLO");
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect(response.headers.get("x-answer")).toBe("yes");
    expect(response.headers.get("proxy-status")).toBeNull();
    expect(response.headers.get("x-runpod-worker-id")).toBe(`${name}-w0`);
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect([...seen.keys()].toSorted()).toEqual(["accept-encoding", "content-type", "cookie", "x-own"]);
  });

  it("brings the worker its own credential instead of the client's key", async () => {
    const got = new Set<string | null>();
    const name = crypto.randomUUID();
    const upstreams = [{ id: `${name}-w0`, url: `http://w0.${name}.test`, slots: 1, credential: "worker-secret" }];
    const tenant = await makeTenant({ kind: "load_balancer", upstreams });
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
      got.add(new Request(input, init).headers.get("authorization"));
      return new Response("ok");
    });
    expect((await callAs(tenant, tenant.slug, "/")).status).toBe(200);
    expect([...got]).toEqual(["Bearer worker-secret"]);
  });

  it.each([
    ["GET", 204],
    ["GET", 304],
    ["HEAD", 200],
  ])("%s passes on an answer of %i, which has no body", async (method, status) => {
    const { call } = await makeLb([() => new Response(null, { status, headers: { etag: '"x"' } })]);
    const response = await call("/x", { method });
    expect(response.status).toBe(status);
    expect(response.headers.get("etag")).toBe('"x"');
    expect(await response.text()).toBe("");
  });

  it("and its answer never meet the platform's cache, which knows no tenants", async () => {
    const { call } = await makeLb([(request) => new Response(request.cache)]);
    expect(await (await call("/picture.png")).text()).toBe("no-store");
  });

  it("is answered at once also where its path looks like one of ours", async () => {
    const { call } = await makeLb([() => new Response("no", { status: 404 })]);
    const startedMs = performance.now();
    expect((await call("/job-take/w1")).status).toBe(404);
    expect(performance.now() - startedMs).toBeLessThan(3_000);
  });

  it("may name the endpoint by its host", async () => {
    const { tenant, name } = await makeLb([echoPath]);
    const headers = { authorization: `Bearer ${tenant.key}` };
    const url = `https://${tenant.slug}.lb.waybill.test/v2/x?y=1`;
    const response = await exports.default.fetch(new Request(url, { headers }));
    expect(await response.text()).toBe(`GET http://w0.${name}.test:8000/base/v2/x?y=1`);
    const deeper = await exports.default.fetch(new Request("https://a.b.lb.waybill.test/", { headers }));
    expect(await deeper.json()).toMatchObject({ ok: true });
  });
});

describe("whoever may not call", () => {
  it("gets 401 without a key, and 404 for another tenant's endpoint", async () => {
    const { tenant, calls } = await makeLb([echoPath]);
    const other = await makeTenant();
    const nobody = await exports.default.fetch(new Request(`https://waybill.test/lb/${tenant.endpointId}/x`));
    expect(nobody.status).toBe(401);
    expect((await callAs(other, tenant.endpointId, "/x")).status).toBe(404);
    expect((await callAs(other, "no-such", "/x")).status).toBe(404);
    expect(calls).toEqual([]);
  });

  it("is told when the endpoint is of the other kind; /health is there for both", async () => {
    const { tenant, call } = await makeLb([echoPath]);
    await call("/");
    const queue = await makeTenant({ upstreams: [] });
    const wrongWay = await callAs(queue, queue.endpointId, "/x");
    expect(wrongWay.status).toBe(400);
    expect(await wrongWay.json()).toMatchObject({ message: expect.stringContaining("/v2/") });
    const headers = { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" };
    const base = `https://waybill.test/v2/${tenant.endpointId}`;
    for (const route of ["run", "runsync"]) {
      const init = { method: "POST", headers, body: '{"input":1}' };
      const response = await exports.default.fetch(new Request(`${base}/${route}`, init));
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ message: expect.stringContaining("/lb/") });
    }
    const health = await exports.default.fetch(new Request(`${base}/health`, { headers }));
    expect(await health.json()).toMatchObject({ workers: { idle: 1, ready: 1, running: 0 } });
  });
});

describe("the list of workers", () => {
  it("says how each worker of a load-balanced endpoint stands, and what it runs", async () => {
    const going = Promise.withResolvers<Response>();
    const { tenant, name, call, pingAs } = await makeLb([() => going.promise, echoPath, echoPath]);
    const list = async () => {
      const headers = { authorization: `Bearer ${tenant.key}` };
      const url = `https://waybill.test/v1/endpoints/${tenant.endpointId}/workers`;
      return (await exports.default.fetch(new Request(url, { headers }))).json();
    };
    const states = [200, 204, 500];
    pingAs(({ url }) => new Response(null, { status: states[Number(/w(\d)\./.exec(url)?.[1])] ?? 500 }));
    const answered = call("/x", { headers: { "x-runpod-worker-id": `strict ${name}-w0` } });
    await vi.waitFor(
      async () =>
        expect(await list()).toMatchObject({
          workers: [
            { id: `${name}-w0`, kind: "push", state: "RUNNING", running: 1, jobs: [] },
            { id: `${name}-w1`, state: "INITIALIZING", running: 0 },
            { id: `${name}-w2`, state: "UNHEALTHY", reason: expect.stringContaining("/ping") },
          ],
          summary: { running: 1, initializing: 1, unhealthy: 1, total: 3 },
        }),
      { timeout: 5_000 },
    );
    going.resolve(new Response("done"));
    await (await answered).text();
  });
});

describe("the size of a body", () => {
  it.each([
    ["of a known length", (sizeBytes: number) => "a".repeat(sizeBytes)],
    ["of no known length", (sizeBytes: number) => streamOf(sizeBytes)],
  ])("%s may be the limit, and one byte over is 413", async (_, body) => {
    const { call } = await makeLb([async (request) => new Response(String((await request.text()).length))]);
    const fits = await call("/x", { method: "POST", body: body(LIMIT_BYTES) });
    expect(await fits.text()).toBe(String(LIMIT_BYTES));
    const over = await call("/x", { method: "POST", body: body(LIMIT_BYTES + 1) });
    expect(over.status).toBe(413);
    expect(await over.json()).toMatchObject({ message: expect.stringContaining(String(LIMIT_BYTES)) });
  });

  it("of an answer may be the limit, and one byte over is 502, or a broken connection once bytes have gone out", async () => {
    let make = (): Response => new Response("a".repeat(LIMIT_BYTES));
    const { call } = await makeLb([() => make()]);
    expect((await (await call("/x")).text()).length).toBe(LIMIT_BYTES);
    make = () => new Response(streamOf(LIMIT_BYTES));
    expect((await (await call("/x")).text()).length).toBe(LIMIT_BYTES);
    const declared = { headers: { "content-length": String(LIMIT_BYTES + 1) } };
    for (const over of [
      () => new Response("a".repeat(LIMIT_BYTES + 1), declared),
      () => new Response(streamOf(LIMIT_BYTES + 1)),
    ]) {
      make = over;
      const response = await call("/x");
      expect(response.status).toBe(502);
      expect(await response.json()).toMatchObject({ code: "bad_answer" });
    }
    make = () => new Response(streamOf(LIMIT_BYTES + 1, LB_HOLD_MS * 2));
    const late = await call("/x");
    expect(late.status).toBe(200);
    await expect(late.text()).rejects.toThrow();
  });
});

describe("a worker that fails", () => {
  it("gives its request to another one, while nothing of it can have happened twice", async () => {
    const { call, calls } = await makeLb([refused, echoPath]);
    for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]) {
      calls.length = 0;
      expect((await call("/x", { method })).status).toBe(200);
      expect(calls.at(-1)).toBe(1);
    }
  });

  it("gives its request to another one also where that says that its body is empty", async () => {
    const { call, calls } = await makeLb([refused, echoPath]);
    expect((await call("/x", { method: "DELETE", body: "" })).status).toBe(200);
    expect(calls.at(-1)).toBe(1);
  });

  it("keeps a POST, and any request with a body: 502 says that nobody answered", async () => {
    for (const init of [{ method: "POST" }, { method: "PUT", body: "x" }]) {
      const { call, calls } = await makeLb([refused, refused]);
      const response = await call("/x", init);
      expect(response.status).toBe(502);
      expect(errorSchema.parse(await response.json())).toMatchObject({
        error: "worker_unreachable",
        code: "worker_unreachable",
      });
      expect(calls).toHaveLength(1);
    }
  });

  it("and its slot that is given back in the middle of a renewal do not end the try on another worker", async () => {
    const setReal = setInterval;
    vi.spyOn(globalThis, "setInterval").mockImplementation((run: () => void, ms?: number) =>
      setReal(run, ms === LB_RENEW_MS ? 20 : ms),
    );
    const renewed = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    // The broker hears of the slot's end before it is asked to keep it.
    const renew = vi.spyOn(EndpointBroker.prototype, "renewLb").mockImplementationOnce(async () => {
      asked.resolve();
      await renewed.promise;
      return false;
    });
    renew.mockImplementation(async () => true);
    const fails: Answer = async () => {
      await asked.promise;
      return refused();
    };
    const answers: Answer = async () => {
      renewed.resolve();
      await scheduler.wait(100);
      return new Response("done");
    };
    let made = 0;
    const worker: Answer = (request) => {
      made += 1;
      return made === 1 ? fails(request) : answers(request);
    };
    const { call } = await makeLb([worker, worker]);
    expect(await (await call("/x")).text()).toBe("done");
    expect(made).toBe(2);
  });

  it("is tried on three workers at most", async () => {
    const { call, calls } = await makeLb([refused, refused, refused, refused]);
    expect((await call("/x")).status).toBe(502);
    expect(new Set(calls).size).toBe(3);
    expect(calls).toHaveLength(3);
  });

  it("with 503 sends a GET elsewhere, and is passed on where nobody else can be asked", async () => {
    const busy: Answer = () => new Response("busy", { status: 503, headers: { "retry-after": "7" } });
    const two = await makeLb([busy, echoPath]);
    expect((await two.call("/x")).status).toBe(200);
    const one = await makeLb([busy]);
    const response = await one.call("/x");
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("7");
    expect(await response.text()).toBe("busy");
    const post = await makeLb([busy, busy]);
    expect(await (await post.call("/x", { method: "POST" })).text()).toBe("busy");
  });

  it("with 503 keeps its client waiting a few seconds, not minutes, for another worker", {
    timeout: 20_000,
  }, async () => {
    const { call, pingAs } = await makeLb([() => new Response("busy", { status: 503 }), echoPath]);
    pingAs(({ url }) => new Response(null, { status: url.includes("//w0.") ? 200 : 500 }));
    expect((await call("/x")).status).toBe(502);
  });

  it("in the middle of a short answer gives its request to another one, and a POST is 502", async () => {
    const breaks: Answer = () => {
      const { readable, writable } = new IdentityTransformStream();
      const writer = writable.getWriter();
      writer
        .write(new Uint8Array(10))
        .then(() => writer.abort(new Error("it broke off")))
        .catch(() => undefined);
      return new Response(readable);
    };
    const { call, calls } = await makeLb([breaks, echoPath]);
    expect((await call("/x")).status).toBe(200);
    expect(calls.at(-1)).toBe(1);
    const alone = await makeLb([breaks]);
    const response = await alone.call("/x", { method: "POST" });
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ code: "worker_broke_off" });
  });

  it("to answer in time is 504, and not asked any more", async () => {
    const setReal = setTimeout;
    vi.spyOn(globalThis, "setTimeout").mockImplementation((run: () => void, ms?: number) =>
      setReal(run, ms === LB_CALL_MAX_MS ? 50 : ms),
    );
    const hungUp = Promise.withResolvers<void>();
    const { call } = await makeLb([
      (request) => {
        request.signal.addEventListener("abort", () => hungUp.resolve());
        return new Promise<Response>((_, reject) => {
          request.signal.addEventListener("abort", () => reject(new Error("aborted")));
        });
      },
    ]);
    const response = await call("/x");
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ code: "request_timeout" });
    await hungUp.promise;
  });

  it("to answer in time has the rest of the upload taken, so that its client comes to read the 504", async () => {
    const setReal = setTimeout;
    vi.spyOn(globalThis, "setTimeout").mockImplementation((run: () => void, ms?: number) =>
      setReal(run, ms === LB_CALL_MAX_MS ? 50 : ms),
    );
    const { call } = await makeLb([
      (request) =>
        new Promise<Response>((_, reject) => {
          request.signal.addEventListener("abort", () => reject(new Error("aborted")));
        }),
    ]);
    expect((await uploadSlowly(call)).status).toBe(504);
  });

  it("to keep its slot while a client uploads is 503 and costs nothing, and the rest of the upload is taken", {
    timeout: 20_000,
  }, async () => {
    const setReal = setInterval;
    vi.spyOn(globalThis, "setInterval").mockImplementation((run: () => void, ms?: number) =>
      setReal(run, ms === LB_RENEW_MS ? 50 : ms),
    );
    vi.spyOn(EndpointBroker.prototype, "renewLb").mockResolvedValue(false);
    let isFirst = true;
    const worker: Answer = (request) => {
      if (!isFirst) return echoPath(request);
      isFirst = false;
      return new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(new Error("aborted"))));
    };
    const { tenant, call, calls } = await makeLb([worker, worker]);
    const response = await uploadSlowly(call);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ message: "the request has lost its worker" });
    expect(calls).toHaveLength(1);
    // Lines are posted in the order of their ends: the first one is that of the next request.
    await (await call("/next")).text();
    await vi.waitFor(async () => expect(await linesOf(tenant)).not.toEqual([]), { timeout: 10_000 });
    expect(await linesOf(tenant)).toHaveLength(1);
  });

  /** What no code of ours expects: building the answer throws. */
  const odd: Answer = () =>
    Object.defineProperty(new Response("a body, where there can be none"), "status", { value: 205 });

  it("in a way that nobody has thought of frees its slot", async () => {
    const { tenant, call } = await makeLb([odd]);
    expect((await call("/x")).status).toBe(500);
    const health = new Request(`https://waybill.test/v2/${tenant.endpointId}/health`, {
      headers: { authorization: `Bearer ${tenant.key}` },
    });
    await vi.waitFor(async () => {
      expect(await (await exports.default.fetch(health.clone())).json()).toMatchObject({ workers: { running: 0 } });
    });
  });

  it("in such a way is logged as any other, and ends once, unpaid", async () => {
    const { call } = await makeLb([odd]);
    const lines = vi.spyOn(console, "log").mockImplementation(() => undefined);
    const id = (await call("/x")).headers.get("x-request-id") ?? "";
    const said = () =>
      lines.mock.calls
        .map(([line]) => z.record(z.string(), z.unknown()).parse(JSON.parse(String(line))))
        .filter(({ requestId }) => requestId === id);
    await vi.waitFor(() =>
      expect(said()).toContainEqual(expect.objectContaining({ event: "request", method: "GET", status: 500 })),
    );
    expect(said().filter(({ event }) => event === "lb_request_ended")).toMatchObject([{ outcome: "unused" }]);
  });

  it("may not redirect: its Location is kept back", async () => {
    const { call } = await makeLb([
      () => new Response(null, { status: 302, headers: { location: "https://evil.test/" } }),
    ]);
    const response = await call("/x");
    expect(response.status).toBe(502);
    expect(response.headers.get("location")).toBeNull();
    expect(await response.json()).toMatchObject({ code: "worker_redirect" });
  });

  it("may not send endless headers", async () => {
    const { call } = await makeLb([() => new Response("x", { headers: { "x-long": "a".repeat(70_000) } })]);
    const response = await call("/x");
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ code: "bad_answer" });
  });
});

describe("affinity", () => {
  it("that is soft or strict asks that worker, and strict is 404 for one that is not there", async () => {
    const { call, calls, name } = await makeLb([echoPath, echoPath, echoPath]);
    for (const header of [`strict ${name}-w2`, `strict-resume ${name}-w2`, `${name}-w2`]) {
      const response = await call("/x", { headers: { "x-runpod-worker-id": header } });
      expect(response.headers.get("x-runpod-worker-id")).toBe(`${name}-w2`);
    }
    expect(calls).toEqual([2, 2, 2]);
    const gone = await call("/x", { headers: { "x-runpod-worker-id": "strict no-such" } });
    expect(gone.status).toBe(404);
    expect(await gone.json()).toMatchObject({ code: "affinity_worker_gone" });
    expect((await call("/x", { headers: { "x-runpod-worker-id": "no-such" } })).status).toBe(200);
    expect((await call("/x", { headers: { "x-runpod-worker-id": "any of you" } })).status).toBe(400);
  });

  it("that waits for a worker in vain is 400 worker_timeout", { timeout: 20_000 }, async () => {
    const { call, pingAs, name } = await makeLb([echoPath]);
    pingAs(() => new Response(null, { status: 204 }));
    vi.useFakeTimers({ toFake: ["Date"] });
    const waiting = call("/x", { headers: { "x-runpod-worker-id": `strict ${name}-w0` } });
    const response = await whileTimePasses(waiting);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: "worker_timeout" });
  });
});

describe("while no worker is ready", () => {
  it("a request waits two minutes, then hears when to come back", { timeout: 20_000 }, async () => {
    const { call, pingAs, calls } = await makeLb([echoPath]);
    pingAs(() => new Response("broken", { status: 500 }));
    vi.useFakeTimers({ toFake: ["Date"] });
    const startedMs = Date.now();
    const response = await whileTimePasses(call("/x"));
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe(String(LB_WAIT_MAX_MS / 1_000));
    expect(await response.json()).toMatchObject({ error: "no_worker", code: "no_worker" });
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(LB_WAIT_MAX_MS);
    expect(calls).toEqual([]);
  });

  it("a request is served as soon as one is", { timeout: 20_000 }, async () => {
    const { call, pingAs } = await makeLb([echoPath]);
    pingAs(() => refused());
    const waiting = call("/x");
    setTimeout(() => pingAs(() => new Response("ok")), 1_000);
    expect((await waiting).status).toBe(200);
  });
});

describe("the bill", () => {
  it("shows the billed time of a request in milliseconds alone", { timeout: 20_000 }, async () => {
    const { tenant, call } = await makeLb([echoPath]);
    await (await call("/x")).text();
    await vi.waitFor(async () => expect(await linesOf(tenant)).toHaveLength(1), { timeout: 10_000 });
    const headers = { authorization: `Bearer ${tenant.key}` };
    const usage = await exports.default.fetch(new Request("https://waybill.test/v1/usage", { headers }));
    const { lines } = z.object({ lines: z.array(z.record(z.string(), z.unknown())) }).parse(await usage.json());
    expect(lines).toMatchObject([{ billedMs: expect.any(Number) }]);
    expect(lines[0]).not.toHaveProperty("seconds");
  });

  it("goes to the caller, by started 100 ms, for an answer below 500", { timeout: 20_000 }, async () => {
    let status = 200;
    const { tenant } = await makeLb([() => new Response("x", { status })], { shared: true });
    const payer = await makeTenant();
    for (status of [200, 404, 500, 503])
      await (await callAs(payer, tenant.endpointId, "/x", { method: "POST" })).text();
    await vi.waitFor(async () => expect(await linesOf(tenant)).toHaveLength(2), { timeout: 10_000 });
    for (const line of await linesOf(tenant)) {
      const { billed_ms: billedMs } = z.object({ billed_ms: z.number() }).parse(line);
      expect(billedMs % 100).toBe(0);
      expect(line).toMatchObject({
        tenant_id: payer.tenantId,
        job_id: expect.stringMatching(/^lb-[0-9a-f-]{36}$/),
        amount_nanodollars: (billedMs / 100) * (160_000 / 10 / 5),
      });
    }
  });
});

describe("a client that still sends when its worker has answered", () => {
  it.each([
    ["with a body", "done"],
    ["without one", null],
  ])("%s holds no slot and pays for no time of it", { timeout: 20_000 }, async (_, text) => {
    const { tenant, call } = await makeLb([() => new Response(text)]);
    const { readable, writable } = new IdentityTransformStream();
    const writer = writable.getWriter();
    const answering = call("/x", { method: "POST", body: readable }).then((response) => response.text());
    await writer.write(new Uint8Array(10));
    expect(await answering).toBe(text ?? "");
    await vi.waitFor(async () => expect(await linesOf(tenant)).toHaveLength(1), { timeout: 10_000 });
    const { billed_ms: billedMs } = z.object({ billed_ms: z.number() }).parse((await linesOf(tenant))[0]);
    expect(billedMs).toBeLessThan(1_000);
  });
});

/** Under a fake `Date`, which stands still by itself: five seconds in each hundredth. */
async function whileTimePasses(waiting: Promise<Response>): Promise<Response> {
  const clock = setInterval(() => vi.setSystemTime(Date.now() + 500), 10);
  try {
    return await waiting;
  } finally {
    clearInterval(clock);
  }
}
