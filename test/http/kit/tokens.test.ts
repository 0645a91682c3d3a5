// Tokens for browsers: each route of the table by a token, and what ends one: its calls, its time, its key, another endpoint, another page.
import { createExecutionContext } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { readConfig } from "../../../src/config.ts";
import type { TokenGrant, TokenScope } from "../../../src/core/access/browser-token.ts";
import { createApp } from "../../../src/http/app.ts";
import { FLASH_ROUTES } from "../../../src/http/jobs/flash.ts";
import { signToken } from "../../../src/http/kit/token-mac.ts";
import { MANAGEMENT_ROUTES, ROUTES } from "../../../src/http/routes.ts";
import { watchD1 } from "../../support/d1.ts";
import { manage } from "../../support/manage.ts";
import { makePulling } from "../../support/pulling.ts";
import { makeTenant, type TestTenant, type TestTenantOptions } from "../../support/tenant.ts";

const PAGE = "https://app.example";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function call(method: string, path: string, token: string, body?: string, headers: Record<string, string> = {}) {
  const request = new Request(`https://waybill.test${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return exports.default.fetch(request);
}

async function tokenOf({ key, endpointId }: TestTenant, wanted: object = {}): Promise<string> {
  const made = await manage(key, "POST", `/v1/endpoints/${endpointId}/tokens`, wanted);
  expect(made.status).toBe(201);
  return made.body.token;
}

function submit(tenant: TestTenant, token: string, fields: object = {}, headers: Record<string, string> = {}) {
  return call("POST", `/v2/${tenant.endpointId}/run`, token, JSON.stringify({ input: {}, ...fields }), headers);
}

async function scene(options: TestTenantOptions = {}) {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"], allowedOrigins: [PAGE], ...options });
  const send = (token: string, fields: object = {}, headers: Record<string, string> = {}) =>
    submit(tenant, token, fields, headers);
  const submitted = async (token: string): Promise<string> => {
    const response = await send(token);
    expect(response.status).toBe(200);
    return (await response.json<{ id: string }>()).id;
  };
  return { tenant, send, submitted, token: (wanted: object = {}) => tokenOf(tenant, wanted) };
}

/** A token that we have signed, with a grant that no route gives. */
async function forged(tenant: TestTenant, grant: Partial<TokenGrant>): Promise<string> {
  const usual: TokenGrant = {
    id: crypto.randomUUID(),
    keyId: tenant.key.split("_")[2] ?? "",
    tenantId: tenant.tenantId,
    endpointId: tenant.endpointId,
    expiresAtMs: Date.now() + 60_000,
    calls: 1,
    allow: ["submit", "status", "stream", "cancel"],
    origin: null,
  };
  return signToken({ ...usual, ...grant }, readConfig(env).pepper);
}

/** What a token opens; no other route of the table is in it. */
const OPENED: Readonly<Record<string, TokenScope>> = {
  "POST /v2/:endpoint/run": "submit",
  "POST /v2/:endpoint/runsync": "submit",
  "GET /v2/:endpoint/status/:id": "status",
  "POST /v2/:endpoint/status/:id": "status",
  "GET /v2/:endpoint/status-sync/:id": "status",
  "POST /v2/:endpoint/status-sync/:id": "status",
  "GET /v2/:endpoint/stream/:id": "stream",
  "POST /v2/:endpoint/stream/:id": "stream",
  "POST /v2/:endpoint/cancel/:id": "cancel",
};
const PUBLIC = ["GET /", "GET /healthz", "GET /openapi.json", "GET /v2/openapi.json"];

const TABLE = [...MANAGEMENT_ROUTES, ...FLASH_ROUTES, ...ROUTES].flatMap(({ methods, path }) =>
  (methods === "ALL" ? (["GET", "POST"] as const) : methods).map((method) => `${method} ${path}`),
);

describe("the table of routes, by a token", () => {
  it("has every route that a token opens", () => {
    expect(Object.keys(OPENED).filter((route) => !TABLE.includes(route))).toEqual([]);
  });

  it("is closed but for those, whatever the token allows", async () => {
    const { tenant, token, submitted } = await scene();
    const text = await token({ calls: 1_000 });
    const job = await submitted(text);
    // Refused polls of workers are held 5 s.
    vi.spyOn(scheduler, "wait").mockResolvedValue(undefined);
    const seen: Record<string, number> = {};
    for (const route of TABLE.filter((one) => OPENED[one] === undefined && !PUBLIC.includes(one))) {
      const [method = "", pattern = ""] = route.split(" ");
      const path = pattern
        .replace(":endpoint", tenant.endpointId)
        .replace(":id", job)
        .replace("*", "v1/chat/completions")
        .replace(/:\w+/g, "any");
      const headers = { "x-flash-endpoint": tenant.endpointId };
      const response = await call(method, path, text, method === "GET" ? undefined : '{"input":{}}', headers);
      if (response.status !== 401) seen[route] = response.status;
      await response.body?.cancel();
    }
    // A callback's MAC, which is none here, is looked at before any key.
    expect(seen).toEqual({ "POST /v2/:endpoint/callback/:job/:lease/:mac": 404 });
  });

  it.each(Object.entries(OPENED))("opens %s by %s alone", async (route, scope) => {
    const { tenant, token, submitted } = await scene();
    const job = await submitted(await token({ calls: 2 }));
    const [method = "", pattern = ""] = route.split(" ");
    const path = `${pattern.replace(":endpoint", tenant.endpointId).replace(":id", job)}?wait=1000`;
    const body = method === "POST" ? '{"input":{}}' : undefined;
    const others = (["submit", "status", "stream", "cancel"] as const).filter((one) => one !== scope);
    const refused = await call(method, path, await token({ allow: others }), body);
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ error: "forbidden", message: expect.stringContaining("allow") });
    // Another token's job is none, so only a submit succeeds.
    const let_in = await call(method, path, await token({ allow: [scope] }), body);
    expect(let_in.status).toBe(scope === "submit" ? 200 : 404);
    await let_in.body?.cancel();
  });

  it("is closed on load-balanced endpoints, for which no token is made", async () => {
    const tenant = await makeTenant({ kind: "load_balancer" });
    const refused = await manage(tenant.key, "POST", `/v1/endpoints/${tenant.endpointId}/tokens`, {});
    expect(refused).toMatchObject({ status: 409, body: { code: "conflict" } });
    const response = await call("GET", `/lb/${tenant.endpointId}/any`, await forged(tenant, {}));
    expect(response.status).toBe(401);
  });
});

describe("a token", () => {
  it("has what it was asked for, and defaults", async () => {
    const { tenant } = await scene();
    const path = `/v1/endpoints/${tenant.slug}/tokens`;
    const { body } = await manage(tenant.key, "POST", path, {});
    expect(body).toMatchObject({
      token: expect.stringMatching(/^wb_tok_[\w-]+\.[\w-]{43}$/),
      endpointId: tenant.endpointId,
      calls: 1,
      allow: ["submit", "status", "stream", "cancel"],
      origin: null,
    });
    expect(Date.parse(body.expiresAt)).toBeGreaterThan(Date.now() + 3_590_000);
    expect(Date.parse(body.expiresAt)).toBeLessThan(Date.now() + 3_610_000);
    for (const wrong of [
      { calls: 0 },
      { calls: 1_001 },
      { expiresInSeconds: 86_401 },
      { expiresInSeconds: 0 },
      { allow: [] },
      { allow: ["purge"] },
      { allow: ["submit", "submit"] },
      { origin: "*" },
      { origin: `${PAGE}/` },
      { webhook: "https://a.example" },
    ]) {
      expect((await manage(tenant.key, "POST", path, wrong)).status, JSON.stringify(wrong)).toBe(400);
    }
  });

  it("is made by keys with jobs or manage, for endpoints that they open, and by no token", async () => {
    for (const [scopes, status] of [
      [["jobs"], 201],
      [["manage"], 201],
      [["admin"], 403],
    ] as const) {
      const { key, endpointId } = await makeTenant({ scopes });
      expect((await manage(key, "POST", `/v1/endpoints/${endpointId}/tokens`, {})).status).toBe(status);
    }
    const { tenant, token } = await scene();
    const other = await manage(tenant.key, "POST", "/v1/endpoints", { slug: `s-${crypto.randomUUID()}` });
    const restricted = await manage(tenant.key, "POST", "/v1/keys", { endpointIds: [tenant.endpointId] });
    const make = (key: string, id: string) => manage(key, "POST", `/v1/endpoints/${id}/tokens`, {});
    expect((await make(restricted.body.key, tenant.endpointId)).status).toBe(201);
    expect((await make(restricted.body.key, other.body.id)).status).toBe(404);
    expect((await make((await makeTenant()).key, tenant.endpointId)).status).toBe(404);
    expect((await make(await token(), tenant.endpointId)).status).toBe(401);
  });

  it("does not outlive its key", async () => {
    const { tenant } = await scene();
    const made = await manage(tenant.key, "POST", "/v1/keys", { expiresInSeconds: 60 });
    const { body } = await manage(made.body.key, "POST", `/v1/endpoints/${tenant.endpointId}/tokens`, {});
    expect(body.expiresAt).toBe(made.body.expiresAt);
  });

  it("submits as many jobs as its calls, by /run and /runsync together, and reads them freely", async () => {
    const { tenant, token, submitted, send } = await scene();
    const text = await token({ calls: 3 });
    const jobs = [await submitted(text), await submitted(text)];
    const sync = await call("POST", `/v2/${tenant.endpointId}/runsync?wait=1000`, text, '{"input":{}}');
    expect(sync.status).toBe(200);
    await sync.body?.cancel();
    const refused = await send(text);
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ message: expect.stringContaining("submitted all") });
    for (let reads = 0; reads < 10; reads += 1) {
      expect((await call("GET", `/v2/${tenant.endpointId}/status/${jobs[reads % 2]}`, text)).status).toBe(200);
    }
    expect((await call("GET", `/v2/${tenant.endpointId}/stream/${jobs[0]}?wait=1000`, text)).status).toBe(200);
    expect((await call("POST", `/v2/${tenant.endpointId}/cancel/${jobs[0]}`, text)).status).toBe(200);
  });

  it("counts exactly where many calls come at once", async () => {
    const { token, send } = await scene();
    const text = await token({ calls: 7 });
    const statuses = await Promise.all(Array.from({ length: 40 }, async () => (await send(text)).status));
    expect(statuses.filter((status) => status === 200)).toHaveLength(7);
    expect(statuses.filter((status) => status === 403)).toHaveLength(33);
  });

  it("counts neither a refused submit nor a repeated one", async () => {
    const { token, send } = await scene({ waitingMax: 1 });
    const text = await token({ calls: 2 });
    const keyed = { "idempotency-key": "once" };
    const first = await (await send(text, {}, keyed)).json<{ id: string }>();
    // The tenant may have one waiting job, so each of these is refused.
    for (let tries = 0; tries < 3; tries += 1) expect((await send(text)).status).toBe(429);
    expect((await send(text, { input: 1, policy: { ttl: 1 } })).status).toBe(400);
    for (let tries = 0; tries < 3; tries += 1) expect(await (await send(text, {}, keyed)).json()).toMatchObject(first);
    const { tenant } = await scene();
    const spent = await tokenOf(tenant);
    expect(await (await submit(tenant, spent, {}, keyed)).json()).toMatchObject({ status: "IN_QUEUE" });
    expect((await submit(tenant, spent, {}, keyed)).status).toBe(200);
    expect((await submit(tenant, spent)).status).toBe(403);
  });

  it("has Idempotency-Keys of its own: it learns nothing of those of its tenant and of other tokens", async () => {
    const { tenant, token, send } = await scene();
    const keyed = { "idempotency-key": "shared" };
    const ids = new Set<string>();
    for (const text of [tenant.key, await token(), await token()]) {
      ids.add((await (await send(text, {}, keyed)).json<{ id: string }>()).id);
    }
    expect(ids.size).toBe(3);
  });

  it("finds the jobs that it has submitted, and none of its tenant's others", async () => {
    const { tenant, token, submitted } = await scene();
    const [mine, other] = [await token(), await token()];
    const own = await submitted(mine);
    const foreign = [await submitted(tenant.key), await submitted(other)];
    const unknown = await call("GET", `/v2/${tenant.endpointId}/status/${own.replace(/^.{4}/, "0190")}`, mine);
    const text = await unknown.text();
    for (const job of foreign) {
      for (const [method, path] of [
        ["GET", "status"],
        ["GET", "status-sync"],
        ["GET", "stream"],
        ["POST", "cancel"],
      ] as const) {
        const headers = path === "stream" ? { accept: "text/event-stream" } : {};
        const response = await call(
          method,
          `/v2/${tenant.endpointId}/${path}/${job}?wait=1000`,
          mine,
          undefined,
          headers,
        );
        expect([response.status, await response.text()], path).toEqual([404, text]);
      }
      expect((await call("GET", `/v2/${tenant.endpointId}/stream/${job}?wait=1000`, mine)).status).toBe(404);
    }
    // Its tenant finds all of them.
    for (const job of [own, ...foreign]) {
      expect((await call("GET", `/v2/${tenant.endpointId}/status/${job}`, tenant.key)).status).toBe(200);
    }
  });

  it("is refused after its time, also where the body of a submit comes slowly", async () => {
    const { tenant, token, send, submitted } = await scene();
    const text = await token({ expiresInSeconds: 60, calls: 10 });
    const job = await submitted(text);
    const slow = new TransformStream<Uint8Array, Uint8Array>();
    const begun = exports.default.fetch(
      new Request(`https://waybill.test/v2/${tenant.endpointId}/run`, {
        method: "POST",
        headers: { authorization: `Bearer ${text}` },
        body: slow.readable,
      }),
    );
    const writer = slow.writable.getWriter();
    await writer.write(new TextEncoder().encode('{"input":'));
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 });
    for (const response of [await send(text), await call("GET", `/v2/${tenant.endpointId}/status/${job}`, text)]) {
      expect(response.status).toBe(401);
      expect(await response.json()).toMatchObject({ message: expect.stringContaining("token has ended") });
    }
    await writer.write(new TextEncoder().encode("1}"));
    await writer.close();
    expect((await begun).status).toBe(401);
  });

  it("is refused for another endpoint, which is as unknown as none", async () => {
    const { tenant, token } = await scene();
    const text = await token();
    const { body } = await manage(tenant.key, "POST", "/v1/endpoints", { slug: `s-${crypto.randomUUID()}` });
    const answers = [];
    for (const id of [body.id, "0123456789abcdef"]) {
      const response = await call("POST", `/v2/${id}/run`, text, '{"input":{}}');
      answers.push([response.status, await response.text()]);
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]?.[0]).toBe(404);
    expect((await call("POST", `/v2/${tenant.slug}/run`, text, '{"input":{}}')).status).toBe(200);
  });

  it.each(["revoked", "expired", "restricted", "without its scopes"])(
    "ends within 30 s with a key that is %s",
    async (how) => {
      const { tenant, token, send } = await scene();
      const made = await manage(tenant.key, "POST", "/v1/keys", { scopes: ["jobs"], expiresInSeconds: 3_600 });
      const { key, id } = made.body;
      const text = await tokenOf({ ...tenant, key }, { calls: 100 });
      expect((await send(text)).status).toBe(200);
      if (how === "revoked") await env.DB.prepare("UPDATE api_keys SET revoked_at = 1 WHERE id = ?").bind(id).run();
      if (how === "restricted") {
        await env.DB.prepare("UPDATE api_keys SET endpoint_ids = '[\"other\"]' WHERE id = ?").bind(id).run();
      }
      if (how === "without its scopes") {
        await env.DB.prepare("UPDATE api_keys SET scopes = 'worker' WHERE id = ?").bind(id).run();
      }
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + (how === "expired" ? 3_600_000 : 30_001) });
      expect((await send(text)).status).toBe(how === "restricted" ? 404 : 401);
      // The tenant's own key goes on.
      expect((await send(tenant.key)).status).toBe(200);
      expect((await send(await token())).status).toBe(200);
    },
  );

  it("ends at once in the isolate that has revoked its key", async () => {
    const { tenant, send } = await scene();
    const { body } = await manage(tenant.key, "POST", "/v1/keys", { scopes: ["jobs"] });
    const text = await tokenOf({ ...tenant, key: body.key }, { calls: 9 });
    expect((await send(text)).status).toBe(200);
    expect((await manage(tenant.key, "DELETE", `/v1/keys/${body.id}`)).status).toBe(200);
    expect((await send(text)).status).toBe(401);
  });

  it("is not genuine with any other bit of it", async () => {
    const { tenant, send, token } = await scene();
    const text = await token({ calls: 1_000 });
    const [head = "", mac = ""] = text.split(".");
    const longer = await forged(tenant, { expiresAtMs: Date.now() + 86_400_000 });
    for (const wrong of [
      `${head}.${mac.slice(0, -2)}${mac.at(-2) === "A" ? "E" : "A"}${mac.at(-1)}`,
      `${head}A.${mac}`,
      `${longer.split(".")[0]}.${mac}`,
      `${head}.`,
      head,
      `wb_tok_.${mac}`,
      `${text}x`,
      `${text}, ${text}`,
      "wb_tok_",
    ]) {
      expect((await send(wrong)).status, wrong).toBe(401);
    }
    expect((await send(longer)).status).toBe(200);
  });

  it("gives nothing that another tenant or an unknown release has put into it", async () => {
    const { tenant, send } = await scene();
    const stranger = await makeTenant();
    expect((await send(await forged(tenant, { tenantId: stranger.tenantId }))).status).toBe(401);
    expect((await send(await forged(stranger, {}))).status).toBe(404);
    expect((await send(await forged(stranger, { endpointId: tenant.endpointId }))).status).toBe(404);
  });

  it("costs D1 nothing: its key and its endpoint are looked up as at any call, once in 30 s", async () => {
    const { tenant, token } = await scene();
    const texts = await Promise.all([token({ calls: 50 }), token({ calls: 50 })]);
    const app = createApp();
    const statements = watchD1();
    const objects: string[] = [];
    const getByName = (name: string) => {
      objects.push(name);
      return env.ENDPOINT_BROKER.getByName(name);
    };
    const bindings = { ...env, ENDPOINT_BROKER: { getByName } as unknown as Env["ENDPOINT_BROKER"] };
    const run = async (text: string) => {
      const request = new Request(`https://waybill.test/v2/${tenant.endpointId}/run`, {
        method: "POST",
        headers: { authorization: `Bearer ${text}` },
        body: '{"input":{}}',
      });
      return (await app.fetch(request, bindings, createExecutionContext())).status;
    };
    for (const text of texts) for (let at = 0; at < 10; at += 1) expect(await run(text)).toBe(200);
    expect(statements.length).toBe(0);
    const asked = objects.length;
    expect(asked).toBeGreaterThan(0);
    const forgery = `${texts[0]?.slice(0, -1)}${texts[0]?.endsWith("A") ? "Q" : "A"}`;
    for (let at = 0; at < 10; at += 1) expect(await run(forgery)).toBe(401);
    expect(statements.length).toBe(0);
    expect(objects).toHaveLength(asked);
  });

  it("chooses no address that is called, and no more time than the endpoint gives", async () => {
    const { tenant, send, token } = await scene({ executionTimeoutMs: 60_000 });
    const text = await token({ calls: 9 });
    for (const [fields, field] of [
      [{ webhook: "https://hooks.example/x" }, "webhook"],
      [{ s3Config: { endpointUrl: "https://s3.example" } }, "s3Config"],
      [{ policy: { executionTimeout: 60_001 } }, "policy.executionTimeout"],
      [{ policy: { ttl: 86_400_001 } }, "policy.ttl"],
    ] as const) {
      const response = await send(text, fields);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ field });
    }
    const fine = await send(text, {
      webhook: null,
      policy: { executionTimeout: 60_000, ttl: 60_000, lowPriority: true },
    });
    expect(fine.status).toBe(200);
    const { id } = await fine.json<{ id: string }>();
    const kept = await call("GET", `/v2/${tenant.endpointId}/status/${id}?ttl=600000`, text);
    expect(kept.status).toBe(400);
    expect((await send(tenant.key, { policy: { executionTimeout: 60_001 } })).status).toBe(200);
  });

  it("follows a job to its end by its stream", async () => {
    const { tenant, asWorker, takeOne, done } = await makePulling({ allowedOrigins: [PAGE] });
    const text = await tokenOf(tenant);
    const { id } = await (await submit(tenant, text)).json<{ id: string }>();
    expect(await takeOne()).toBe(id);
    await asWorker(`job-stream/WORKER/${id}?gpu=L4`, { body: '{"output":"one"}' });
    await done(id, '{"output":["one"]}');
    const headers = { accept: "text/event-stream", origin: PAGE };
    const events = await call("GET", `/v2/${tenant.endpointId}/stream/${id}`, text, undefined, headers);
    expect(events.headers.get("access-control-allow-origin")).toBe(PAGE);
    const body = await events.text();
    expect(body).toContain('data: {"output":"one"}');
    expect(body).toContain('"status":"COMPLETED"');
    const status = await call("GET", `/v2/${tenant.endpointId}/status/${id}`, text);
    expect(await status.json()).toMatchObject({ status: "COMPLETED", output: ["one"] });
  });
});
