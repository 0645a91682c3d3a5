// CORS: what a browser is told of an endpoint's routes, for pages of the origins that the endpoint allows and for all others.
import { createExecutionContext } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createApp } from "../../../src/http/app.ts";
import { FLASH_ROUTES } from "../../../src/http/jobs/flash.ts";
import { MANAGEMENT_ROUTES, ROUTES } from "../../../src/http/routes.ts";
import { watchD1 } from "../../support/d1.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";

const PAGE = "https://app.example";
const OTHER = "https://evil.example";
const JOB = "01900000-0000-7000-8000-000000000000-u1";
const FOR_PAGES = ["run", "runsync", `status/${JOB}`, `status-sync/${JOB}`, `stream/${JOB}`, `cancel/${JOB}`];

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const scene = () => makeTenant({ scopes: ["jobs", "manage"], allowedOrigins: [PAGE, "http://localhost:3000"] });

function send(method: string, path: string, headers: Record<string, string>, body?: string): Promise<Response> {
  const request = new Request(`https://waybill.test${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  return exports.default.fetch(request);
}

function preflight(path: string, origin: string, method = "POST"): Promise<Response> {
  return send("OPTIONS", path, {
    origin,
    "access-control-request-method": method,
    "access-control-request-headers": "authorization,content-type",
  });
}

/** The headers that a browser reads. */
function corsOf(response: Response): Record<string, string> {
  return Object.fromEntries([...response.headers].filter(([name]) => /^access-control-|^vary$/.test(name)));
}

const OF_PREFLIGHT = {
  "access-control-allow-methods": "GET, POST",
  "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID",
  "access-control-max-age": "600",
  vary: "Origin",
};
const OF_ANSWER = {
  "access-control-expose-headers": "X-Job-Id, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id",
  vary: "Origin",
};

async function tokenOf({ key, endpointId }: TestTenant, wanted: object = {}): Promise<string> {
  return (await manage(key, "POST", `/v1/endpoints/${endpointId}/tokens`, wanted)).body.token;
}

describe("a preflight", () => {
  it.each(FOR_PAGES)(
    "of %s is answered without a key, for exactly the origins that the endpoint allows",
    async (path) => {
      const { endpointId, slug } = await scene();
      for (const name of [endpointId, slug]) {
        for (const origin of [PAGE, "http://localhost:3000"]) {
          const response = await preflight(`/v2/${name}/${path}`, origin);
          expect(response.status).toBe(204);
          expect(corsOf(response)).toEqual({ ...OF_PREFLIGHT, "access-control-allow-origin": origin });
        }
      }
      for (const origin of [
        OTHER,
        "null",
        "*",
        `${PAGE}:443`,
        `${PAGE}.evil.example`,
        "http://app.example",
        PAGE.toUpperCase(),
      ]) {
        const response = await preflight(`/v2/${endpointId}/${path}`, origin);
        expect(response.status).toBe(204);
        expect(corsOf(response), origin).toEqual({ vary: "Origin" });
      }
    },
  );

  it("tells an unknown endpoint and one that allows no origin alike", async () => {
    const closed = await makeTenant();
    for (const name of [closed.endpointId, "0123456789abcdef", "no name", "%00"]) {
      const response = await preflight(`/v2/${encodeURIComponent(name)}/run`, PAGE);
      expect(corsOf(response)["access-control-allow-origin"]).toBeUndefined();
    }
    expect((await preflight("/v2/0123456789abcdef/run", PAGE)).status).toBe(204);
  });

  it("is a request of a method that the route does not have, unless a browser sends it", async () => {
    const { endpointId } = await scene();
    const path = `/v2/${endpointId}/run`;
    for (const headers of [{}, { origin: PAGE }, { "access-control-request-method": "POST" }]) {
      const response = await send("OPTIONS", path, { ...headers });
      expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
    }
  });

  it("opens no other route of the table", async () => {
    // Refused polls of workers are held 5 s.
    vi.spyOn(scheduler, "wait").mockResolvedValue(undefined);
    const { endpointId } = await scene();
    const others = [...MANAGEMENT_ROUTES, ...FLASH_ROUTES, ...ROUTES].filter(({ isForPages }) => isForPages !== true);
    const paths = others.map(({ path }) =>
      path.replace(":endpoint", endpointId).replace(":id", JOB).replace("*", "v1/models").replace(/:\w+/g, "any"),
    );
    expect(paths.length).toBeGreaterThan(80);
    const told = await Promise.all(
      paths.map(async (path) => {
        const asked = await preflight(path, PAGE);
        const got = await send("GET", path, { origin: PAGE });
        await got.body?.cancel();
        return [corsOf(asked), corsOf(got)].some((headers) => "access-control-allow-origin" in headers);
      }),
    );
    expect(paths.filter((_, at) => told[at])).toEqual([]);
  });

  it("costs a flood of made-up names few statements, and none from an address over the limit", async () => {
    const { endpointId } = await scene();
    const app = createApp();
    const statements = watchD1();
    const limiter = { limit: async () => ({ success: false }) } as unknown as Env["AUTH_FAILURES"];
    const ask = (name: string) =>
      app.fetch(
        new Request(`https://waybill.test/v2/${name}/run`, {
          method: "OPTIONS",
          headers: { origin: PAGE, "access-control-request-method": "POST", "cf-connecting-ip": "192.0.2.7" },
        }),
        { ...env, AUTH_FAILURES: limiter },
        createExecutionContext(),
      );
    await ask(endpointId);
    const before = statements.length;
    for (let at = 0; at < 200; at += 1) expect((await ask(`made-up-${at}`)).status).toBe(204);
    // The first one finds the address below its limit; each is four statements of one batch.
    expect(statements.length - before).toBeLessThanOrEqual(8);
    expect(corsOf(await ask(endpointId))).toMatchObject({ "access-control-allow-origin": PAGE });
  });
});

describe("an answer", () => {
  it("names the origin that asks if the endpoint allows it, whatever the answer is", async () => {
    const tenant = await scene();
    const path = `/v2/${tenant.endpointId}`;
    const token = await tokenOf(tenant);
    const authorization = `Bearer ${token}`;
    const seen: [number, Record<string, string>][] = [];
    for (const [method, target, headers] of [
      ["POST", "run", { authorization }],
      ["POST", "run", { authorization }],
      ["GET", `status/${JOB}`, { authorization }],
      ["GET", "run", { authorization }],
      ["POST", "run", { authorization: `${authorization}x` }],
      ["POST", "run", {}],
    ] as const) {
      const body = method === "POST" ? '{"input":{}}' : undefined;
      const response = await send(method, `${path}/${target}`, { ...headers, origin: PAGE }, body);
      seen.push([response.status, corsOf(response)]);
      await response.body?.cancel();
    }
    const cors = { ...OF_ANSWER, "access-control-allow-origin": PAGE };
    expect(seen).toEqual([200, 403, 404, 405, 401, 401].map((status) => [status, cors]));
  });

  it("to a page that is not allowed has none of it, and a token gets it nothing", async () => {
    const tenant = await scene();
    const headers = { authorization: `Bearer ${await tokenOf(tenant)}`, origin: OTHER };
    const path = `/v2/${tenant.endpointId}/run`;
    const refused = await send("POST", path, headers, '{"input":{}}');
    expect([refused.status, corsOf(refused)]).toEqual([403, { vary: "Origin" }]);
    expect(await refused.json()).toMatchObject({ message: expect.stringContaining("pages of this origin") });
    // It has not counted, and what is no page has no origin.
    const { authorization } = headers;
    expect((await send("POST", path, { authorization }, '{"input":{}}')).status).toBe(200);
  });

  it("to a key is as without an origin: a key is its holder's proof, wherever it is sent from", async () => {
    const { key, endpointId } = await scene();
    const headers = { authorization: `Bearer ${key}`, origin: OTHER };
    const response = await send("POST", `/v2/${endpointId}/run`, headers, '{"input":{}}');
    expect([response.status, corsOf(response)]).toEqual([200, { vary: "Origin" }]);
    const without = await send(
      "POST",
      `/v2/${endpointId}/run`,
      { authorization: headers.authorization },
      '{"input":{}}',
    );
    expect([without.status, corsOf(without)]).toEqual([200, {}]);
  });

  it("goes to the token's own origin alone, where it has one", async () => {
    const tenant = await scene();
    const authorization = `Bearer ${await tokenOf(tenant, { origin: PAGE, calls: 9 })}`;
    const path = `/v2/${tenant.endpointId}/run`;
    const statusFrom = async (headers: Record<string, string>) =>
      (await send("POST", path, { authorization, ...headers }, '{"input":{}}')).status;
    expect(await statusFrom({ origin: PAGE })).toBe(200);
    expect(await statusFrom({ origin: "http://localhost:3000" })).toBe(403);
    expect(await statusFrom({})).toBe(403);
  });

  it("goes to a page of the token's origin that is the broker's own, whose reads have no Origin header", async () => {
    const own = "https://waybill.test";
    const tenant = await makeTenant({ scopes: ["jobs", "manage"], allowedOrigins: [PAGE, own] });
    const path = `/v2/${tenant.endpointId}`;
    const authorization = `Bearer ${await tokenOf(tenant, { origin: own, calls: 9 })}`;
    const submitted = await send("POST", `${path}/run`, { authorization, origin: own }, '{"input":{}}');
    const { id } = await submitted.json<{ id: string }>();
    // So that nothing waits for its end.
    expect((await send("POST", `${path}/cancel/${id}`, { authorization, origin: own })).status).toBe(200);
    const read = async (site: string | null, words: { token?: string; route?: string } = {}) => {
      const headers = { authorization: words.token ?? authorization };
      const { route = "status" } = words;
      const response = await send(
        "GET",
        `${path}/${route}/${id}`,
        site === null ? headers : { ...headers, ...from(site) },
      );
      await response.body?.cancel();
      return response.status;
    };
    const from = (site: string) => ({ "sec-fetch-site": site });
    for (const route of ["status", "status-sync", "stream"]) expect(await read("same-origin", { route })).toBe(200);
    // A page of another origin would have sent an Origin header, unless it is no page.
    for (const site of [null, "same-site", "cross-site", "none", "same-origin, same-origin"])
      expect(await read(site), String(site)).toBe(403);
    const elsewhere = `Bearer ${await tokenOf(tenant, { origin: PAGE })}`;
    expect(await read("same-origin", { token: elsewhere })).toBe(403);
    // A page's submit has an Origin header, whatever page it is of.
    const { status } = await send("POST", `${path}/run`, { authorization, ...from("same-origin") }, '{"input":{}}');
    expect(status).toBe(403);
    await manage(tenant.key, "PATCH", `/v1/endpoints/${tenant.endpointId}`, { allowedOrigins: [PAGE] });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 30_001 });
    expect(await read("same-origin")).toBe(403);
  });

  it("of a load-balanced endpoint is its worker's own matter", async () => {
    const { endpointId } = await makeTenant({ kind: "load_balancer", allowedOrigins: [PAGE] });
    const response = await preflight(`/lb/${endpointId}/any`, PAGE);
    expect(response.status).toBe(401);
    expect(corsOf(response)).toEqual({});
  });
});

describe("the origins of an endpoint", () => {
  it("are exact ones, at most twenty, and take effect within 30 s", async () => {
    const { key, endpointId } = await makeTenant({ scopes: ["jobs", "manage"] });
    const path = `/v1/endpoints/${endpointId}`;
    const set = (allowedOrigins: unknown) => manage(key, "PATCH", path, { allowedOrigins });
    for (const wrong of [
      "*",
      "https://*.example",
      "https://app.example/",
      "https://app.example/path",
      "https://app.example:443",
      "https://App.example",
      "https://user@app.example",
      "https://app.example?x",
      "http://app.example",
      "ftp://app.example",
      "app.example",
      "null",
      "",
      "chrome-extension://abc",
    ]) {
      const refused = await set([wrong]);
      expect(refused.status, wrong).toBe(400);
      expect(refused.body.errors[0].field).toBe("allowedOrigins.0");
    }
    expect((await set(Array.from({ length: 21 }, (_, at) => `https://a${at}.example`))).status).toBe(400);
    expect((await set([PAGE, PAGE])).status).toBe(400);
    expect(corsOf(await preflight(`/v2/${endpointId}/run`, PAGE))).toEqual({ vary: "Origin" });
    const good = [PAGE, "https://app.example:8443", "http://localhost:3000", "http://127.0.0.1:1", "http://[::1]:5"];
    expect((await set(good)).body.allowedOrigins).toEqual(good);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 30_001 });
    expect(corsOf(await preflight(`/v2/${endpointId}/run`, PAGE))).toMatchObject({
      "access-control-allow-origin": PAGE,
    });
    const { lines } = (await manage(key, "GET", "/v1/audit")).body;
    expect(lines[0]).toMatchObject({
      action: "endpoint.update",
      objectId: endpointId,
      changes: [{ field: "allowedOrigins", old: [], new: good }],
    });
    expect((await set([])).body.allowedOrigins).toEqual([]);
  });
});
