// /v1/endpoints/{endpoint}/upstreams: what is taken, what is never shown, and what one question to an upstream shows.
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { credentialPlace } from "../../../src/core/access/sealing.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { open } from "../../../src/outbound/credentials.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { metered } from "../../support/d1.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const CREDENTIAL = "sk-operator-0123456789";
const WANTED = { url: "http://127.0.0.1:9/work", dialect: "http", tier: "l4" } as const;

async function scene(options: Parameters<typeof makeTenant>[0] = {}) {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"], ...options });
  const path = `/v1/endpoints/${tenant.slug}/upstreams`;
  const create = (more: object = {}, headers = {}) => manage(tenant.key, "POST", path, { ...WANTED, ...more }, headers);
  return { ...tenant, path, create };
}

describe("an upstream of /v1", () => {
  it("needs an address, a dialect and a tier, and reaches the broker at once", async () => {
    const { create, endpointId, tenantId, path, key } = await scene();
    const { status, body } = await create({ name: "rig" });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      ...WANTED,
      endpointId,
      name: "rig",
      local: false,
      rateKind: "flex",
      slots: 1,
      enabled: true,
      hasCredential: false,
      version: 1,
      applied: true,
    });
    expect(await brokerOf(env, endpointId).listWorkers({ tenantId })).toMatchObject([{ id: body.id, kind: "push" }]);
    const { applied, ...rest } = body;
    expect((await manage(key, "GET", `${path}/${body.id}`)).body).toEqual(rest);
    expect((await manage(key, "GET", path)).body).toEqual({
      upstreams: [rest],
      pagination: { hasNextPage: false, nextCursor: null },
    });
    expect(applied).toBe(true);
  });

  it("keeps its credential sealed, and shows it to nobody", async () => {
    const { create, path, key } = await scene();
    const { body } = await create({ credential: CREDENTIAL });
    expect(body.hasCredential).toBe(true);
    const sealed = async () =>
      (await env.DB.prepare("SELECT sealed_credential AS it FROM upstreams WHERE id = ?")
        .bind(body.id)
        .first<string>("it")) ?? "";
    expect(await open(await sealed(), env.ENCRYPTION_KEY, credentialPlace(body.id))).toBe(CREDENTIAL);
    const other = await manage(key, "PATCH", `${path}/${body.id}`, { credential: "sk-another-0123456789" });
    expect(await open(await sealed(), env.ENCRYPTION_KEY, credentialPlace(body.id))).toBe("sk-another-0123456789");
    const before = await sealed();
    await manage(key, "PATCH", `${path}/${body.id}`, { slots: 7 });
    expect(await sealed()).toBe(before);
    const removed = await manage(key, "PATCH", `${path}/${body.id}`, { credential: null });
    expect(removed.body).toMatchObject({ hasCredential: false, slots: 7 });
    const audit = await manage(key, "GET", "/v1/audit");
    expect(audit.body.lines[0]).toMatchObject({
      action: "upstream.update",
      changes: [{ field: "credential", old: "(hidden)", new: null }],
    });
    const seen = JSON.stringify([body, other.body, removed.body, audit.body, (await manage(key, "GET", path)).body]);
    expect(seen).not.toMatch(/sk-operator|sk-another|v1\./);
  });

  it("can be switched off or get another credential where its own does not open any more", async () => {
    const { create, path, key } = await scene();
    const { body } = await create({ credential: CREDENTIAL });
    const spoil = () =>
      env.DB.prepare("UPDATE upstreams SET sealed_credential = 'v1.AAAA' WHERE id = ?").bind(body.id).run();
    await spoil();
    const change = (patch: object) => manage(key, "PATCH", `${path}/${body.id}`, patch);
    expect(await change({ enabled: false })).toMatchObject({ status: 200, body: { enabled: false } });
    expect(await change({ url: "http://127.0.0.1:8/" })).toMatchObject({ status: 400 });
    expect(await change({ credential: "sk-another-0123456789" })).toMatchObject({ status: 200 });
    const stored = env.DB.prepare("SELECT sealed_credential AS it FROM upstreams WHERE id = ?").bind(body.id);
    const sealed = (await stored.first<string>("it")) ?? "";
    expect(await open(sealed, env.ENCRYPTION_KEY, credentialPlace(body.id))).toBe("sk-another-0123456789");
    await spoil();
    expect((await change({ credential: null })).body).toMatchObject({ hasCredential: false });
  });

  it("is refused, as a worker's key is, where the broker could not hold the endpoint's settings any more", async () => {
    const { create, path, key, endpointId, slug } = await scene();
    const { body } = await create();
    await env.DB.prepare(
      `INSERT INTO upstreams (id, endpoint_id, url, dialect, local, slots, tier, rate_kind, enabled, name, created_at)
       SELECT 'up-' || ?1 || value, ?1, 'https://gpu.example.com/' || printf('%01900d', value), 'http', 0, 1, 'l4', 'flex', 0, '', 1
       FROM json_each(?2)`,
    )
      .bind(endpointId, JSON.stringify(Array.from({ length: 480 }, (_, at) => at)))
      .run();
    const full = { status: 409, body: { detail: expect.stringContaining("as its broker can hold") } };
    expect(await create()).toMatchObject(full);
    expect(await manage(key, "POST", `/v1/endpoints/${slug}/worker-keys`, { tier: "l4" })).toMatchObject(full);
    const change = (patch: object) => manage(key, "PATCH", `${path}/${body.id}`, patch);
    expect(await change({ url: `${WANTED.url}/longer` })).toMatchObject(full);
    expect(await change({ enabled: false })).toMatchObject({ status: 200 });
    await env.DB.prepare("DELETE FROM upstreams WHERE endpoint_id = ? AND enabled = 0").bind(endpointId).run();
    expect((await create()).status).toBe(201);
  });

  it("warns of a credential that is too short to be looked for in answers", async () => {
    const { create, path, key } = await scene();
    const short = await create({ credential: "secret" });
    expect(short.body.warning).toContain("under 8 characters");
    expect((await create({ credential: CREDENTIAL })).body).not.toHaveProperty("warning");
    expect((await manage(key, "PATCH", `${path}/${short.body.id}`, { slots: 2 })).body).not.toHaveProperty("warning");
  });

  it.each([
    ["url", { url: "ftp://gpu.example.com/" }, "http"],
    ["url", { url: "https://waybill.test/v2/x" }, "this deployment"],
    ["url", { url: "https://gpu.example.com/?api_key=abcdefgh" }, "credential takes it"],
    ["url", { url: `https://gpu.example.com/${CREDENTIAL}`, credential: CREDENTIAL }, "must not hold a credential"],
    ["tier", { tier: "h900" }, "there are a4000, 4090-pro, l4"],
    ["local", { local: true }, "runpod"],
    ["slots", { slots: 0 }, ""],
    ["credential", { credential: "ä" }, "ASCII"],
    ["dialect", { dialect: "grpc" }, ""],
  ])("refuses what could not work, and names the field: %s of %o", async (field, more, part) => {
    const { create } = await scene();
    const { status, body } = await create(more);
    expect(status).toBe(400);
    expect(body.field ?? body.errors[0].field).toBe(field);
    expect(body.detail).toContain(part);
  });

  it("judges a new address with the credential that it has, and a new credential with the address", async () => {
    const { create, path, key } = await scene();
    const { body } = await create({ credential: CREDENTIAL });
    const change = (patch: object) => manage(key, "PATCH", `${path}/${body.id}`, patch);
    expect((await change({ url: `https://gpu.example.com/${CREDENTIAL}` })).status).toBe(400);
    expect((await change({ credential: "127.0.0.1:9/work" })).status).toBe(400);
    expect((await change({ tier: "nothing" })).body.detail).toContain("there are");
    expect((await change({ url: "http://127.0.0.1:10/", credential: CREDENTIAL, enabled: false })).body).toMatchObject({
      url: "http://127.0.0.1:10/",
      enabled: false,
      hasCredential: true,
      version: 2,
    });
  });

  it("has the price of the operator who added it, which its tenant does not change", async () => {
    const { key, path, endpointId } = await scene();
    const operator = (await makeTenant({ scopes: ["admin"] })).key;
    const wanted = { ...WANTED, credential: CREDENTIAL };
    const { id, pricedBy } = (await manage(operator, "POST", `/v1/endpoints/${endpointId}/upstreams`, wanted)).body;
    expect(pricedBy).toBe("operator");
    for (const price of [{ tier: "a4000" }, { rateKind: "active" }, { slots: 1_000 }, { slots: 2, name: "n" }]) {
      const { status, body } = await manage(key, "PATCH", `${path}/${id}`, price);
      expect([status, body.detail]).toEqual([403, expect.stringContaining("an operator has set the price")]);
    }
    const same = { tier: "l4", rateKind: "flex", slots: 1, name: "renamed", enabled: false };
    expect((await manage(key, "PATCH", `${path}/${id}`, same)).body).toMatchObject({ name: "renamed", version: 2 });
    const priced = await manage(operator, "PATCH", `/v1/endpoints/${endpointId}/upstreams/${id}`, { slots: 4 });
    expect(priced.body).toMatchObject({ slots: 4, pricedBy: "operator" });
  });

  it("has the price of its tenant who added it, until an operator sets one", async () => {
    const { create, key, path, endpointId } = await scene();
    const { id, pricedBy } = (await create()).body;
    expect(pricedBy).toBe("tenant");
    expect((await manage(key, "PATCH", `${path}/${id}`, { slots: 2 })).body).toMatchObject({ slots: 2, pricedBy });
    const operator = (await makeTenant({ scopes: ["admin"] })).key;
    const byOperator = (patch: object) =>
      manage(operator, "PATCH", `/v1/endpoints/${endpointId}/upstreams/${id}`, patch);
    expect((await byOperator({ name: "n" })).body.pricedBy).toBe("tenant");
    expect((await byOperator({ tier: "a4000" })).body.pricedBy).toBe("operator");
    expect((await manage(key, "PATCH", `${path}/${id}`, { tier: "l4" })).status).toBe(403);
  });

  it("takes its credential to no other server unless it is given again", async () => {
    const { key, create, path } = await scene();
    const { body } = await create({ credential: CREDENTIAL });
    const change = (patch: object) => manage(key, "PATCH", `${path}/${body.id}`, patch);
    for (const url of ["https://thief.example.com/work", "http://127.0.0.1:10/work"]) {
      expect(await change({ url })).toMatchObject({ status: 400, body: { field: "credential" } });
    }
    expect((await change({ url: "http://127.0.0.1:9/other" })).status).toBe(200);
    expect((await change({ url: "http://127.0.0.1:10/", credential: CREDENTIAL })).status).toBe(200);
    expect(await change({ url: "http://127.0.0.1:11/", credential: null })).toMatchObject({
      status: 200,
      body: { url: "http://127.0.0.1:11/", hasCredential: false },
    });
    expect((await change({ url: "http://127.0.0.1:12/" })).status).toBe(200);
  });

  it("blanks a credential in an address that an older release took, also in the audit", async () => {
    const { path, key } = await scene({
      upstreams: [{ id: `up-${crypto.randomUUID()}`, url: `http://127.0.0.1:9/?token=${CREDENTIAL}` }],
    });
    const [upstream] = (await manage(key, "GET", path)).body.upstreams;
    expect(upstream.url).toMatch(/token=\*+$/);
    expect((await manage(key, "PATCH", `${path}/${upstream.id}`, { url: "http://127.0.0.1:9/" })).status).toBe(200);
    expect(JSON.stringify((await manage(key, "GET", "/v1/audit")).body)).not.toContain(CREDENTIAL);
  });

  it("is switched off, on and removed, and the broker goes by it at once", async () => {
    const { create, endpointId, tenantId, path, key } = await scene();
    const { body } = await create();
    const workers = () => brokerOf(env, endpointId).listWorkers({ tenantId });
    expect((await manage(key, "PATCH", `${path}/${body.id}`, { enabled: false })).body.applied).toBe(true);
    expect(await workers()).toEqual([]);
    await manage(key, "PATCH", `${path}/${body.id}`, { enabled: true });
    expect(await workers()).toHaveLength(1);
    expect((await manage(key, "DELETE", `${path}/${body.id}`, undefined, { "if-match": '"1"' })).status).toBe(412);
    expect(await manage(key, "DELETE", `${path}/${body.id}`)).toMatchObject({
      status: 200,
      body: { id: body.id, applied: true },
    });
    expect(await workers()).toEqual([]);
    expect((await manage(key, "DELETE", `${path}/${body.id}`)).status).toBe(404);
    const actions = (await manage(key, "GET", "/v1/audit")).body.lines.map(({ action }: { action: string }) => action);
    expect(actions).toEqual(["upstream.delete", "upstream.update", "upstream.update", "upstream.create"]);
  });

  it("is added once by a creation that is repeated", async () => {
    const { create, path, key } = await scene();
    const headers = { "idempotency-key": crypto.randomUUID() };
    const made = await Promise.all([create({}, headers), create({}, headers)]);
    expect(made[0]?.body.id).toBe(made[1]?.body.id);
    expect((await manage(key, "GET", path)).body.upstreams).toHaveLength(1);
  });

  it("loses no change of writers who write at once", async () => {
    const { create, path, key } = await scene();
    const { body } = await create();
    const patches = [{ slots: 9 }, { name: "n" }, { rateKind: "active" }, { tier: "a100" }];
    await Promise.all(patches.map((patch) => manage(key, "PATCH", `${path}/${body.id}`, patch)));
    expect((await manage(key, "GET", `${path}/${body.id}`)).body).toMatchObject(Object.assign({}, ...patches));
  });

  it("of another tenant, of another endpoint and of a key for other endpoints is as unknown as none", async () => {
    const [mine, theirs] = [await scene(), await scene()];
    const { body } = await theirs.create();
    const own = await mine.create();
    const second = await manage(mine.key, "POST", "/v1/endpoints", { slug: `slug-${crypto.randomUUID()}` });
    const limited = await manage(mine.key, "POST", "/v1/keys", { scopes: ["manage"], endpointIds: [second.body.id] });
    const unknown = async (key: string, path: string) => {
      const answers = [];
      for (const [method, tail, patch] of [
        ["GET", ""],
        ["PATCH", "", { slots: 2 }],
        ["DELETE", ""],
        ["POST", "/test"],
      ] as const) {
        const answer = await manage(key, method, `${path}${tail}`, patch);
        answers.push(JSON.stringify(answer.body));
      }
      expect(new Set(answers).size).toBe(1);
      return answers[0];
    };
    const noUpstream = await unknown(mine.key, `${mine.path}/nothing`);
    expect(await unknown(mine.key, `${mine.path}/${body.id}`)).toBe(noUpstream);
    expect(await unknown(mine.key, `/v1/endpoints/${second.body.id}/upstreams/${own.body.id}`)).toBe(noUpstream);
    const noEndpoint = await unknown(mine.key, `/v1/endpoints/nothing/upstreams/${own.body.id}`);
    expect(await unknown(mine.key, `${theirs.path}/${body.id}`)).toBe(noEndpoint);
    expect(await unknown(limited.body.key, `${mine.path}/${own.body.id}`)).toBe(noEndpoint);
    expect(noEndpoint).toContain("404");
    expect((await manage(limited.body.key, "POST", `/v1/endpoints/${second.body.id}/upstreams`, WANTED)).status).toBe(
      201,
    );
  });

  it("is managed in any tenant with the scope admin, and by no key without manage", async () => {
    const { create, path } = await scene();
    const { body } = await create();
    const operator = await makeTenant({ scopes: ["admin"] });
    const changed = await manage(operator.key, "PATCH", `${path}/${body.id}`, { slots: 3 });
    expect(changed.body).toMatchObject({ slots: 3, applied: true });
    const client = await scene({ scopes: ["jobs"] });
    expect((await client.create()).status).toBe(403);
    expect((await manage(client.key, "GET", client.path)).status).toBe(403);
  });

  it("is listed in pages by an index, newest first", async () => {
    const { endpointId, path, key } = await scene();
    await env.DB.prepare(
      `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 500)
       INSERT INTO upstreams (id, endpoint_id, url, dialect, slots, tier, rate_kind, created_at)
       SELECT ?1 || '-' || n, ?1, 'http://127.0.0.1:9', 'http', 1, 'l4', 'flex', n FROM numbers`,
    )
      .bind(endpointId)
      .run();
    const { answer, read } = await metered(() => manage(key, "GET", `${path}?limit=2`));
    const ids = answer.body.upstreams.map(({ id }: { id: string }) => id);
    expect(ids).toEqual([`${endpointId}-500`, `${endpointId}-499`]);
    expect(read).toBeLessThan(20);
  });
});

describe("asking an upstream whether it answers", () => {
  async function ask(upstream: object, options: Parameters<typeof makeTenant>[0] = {}) {
    const { create, path, key } = await scene(options);
    const { body } = await create(upstream);
    return manage(key, "POST", `${path}/${body.id}/test`);
  }

  it.each([
    [{ dialect: "runpod", url: "https://gpu.example.com/v2/abc" }, "https://gpu.example.com/v2/abc/health"],
    [{ dialect: "openai", url: "https://gpu.example.com/v1" }, "https://gpu.example.com/v1/models"],
    [{ dialect: "openai", url: "https://gpu.example.com" }, "https://gpu.example.com/v1/models"],
    [{ dialect: "http", url: "https://gpu.example.com/work" }, "https://gpu.example.com/work"],
    [{ dialect: "runpod", local: true, url: "https://gpu.example.com" }, "https://gpu.example.com/"],
  ])("asks %o by its dialect, with its credential, and starts no job", async (upstream, url) => {
    const asked: Request[] = [];
    answerUpstreams((request) => {
      asked.push(request);
      return Response.json({});
    });
    const { body } = await ask({ ...upstream, credential: CREDENTIAL });
    expect(body).toMatchObject({ ok: true, status: 200, tookMs: expect.any(Number) });
    expect(body.detail).toMatch(/^It answered 200 to GET /);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ url, method: "GET" });
    expect(asked[0]?.headers.get("authorization")).toBe(`Bearer ${CREDENTIAL}`);
  });

  it.each([
    [401, "openai", "refuses the credential"],
    [404, "openai", "look at its address"],
    [404, "runpod", "look at its address"],
    [503, "http", "not well"],
    [302, "http", "redirects are not followed"],
    [429, "runpod", "no more calls"],
  ])("says of a %d from %s what that is", async (status, dialect, part) => {
    answerUpstreams(() => new Response("no", { status, headers: { location: "https://other.example.com/" } }));
    const { body } = await ask({ dialect, url: "https://gpu.example.com/" });
    expect(body).toMatchObject({ ok: false, status });
    expect(body.detail).toContain(part);
  });

  it("takes 405 of a server that takes jobs by POST for an answer", async () => {
    answerUpstreams(() => new Response("", { status: 405 }));
    expect((await ask({})).body).toMatchObject({ ok: true, status: 405 });
  });

  it.each([
    [200, true, "ready"],
    [204, false, "starting"],
    [404, false, "200 is ready"],
  ])("asks a load-balanced worker for /ping, where %d is %s", async (status, ok, part) => {
    const spy = answerUpstreams(() => new Response(null, { status }));
    const { body } = await ask({ url: "https://gpu.example.com/" }, { kind: "load_balancer" });
    expect(body).toMatchObject({ ok, status });
    expect(body.detail).toContain(part);
    expect(String(spy.mock.calls[0]?.[0])).toBe("https://gpu.example.com/ping");
  });

  it("quotes a little of an error in one line, without the credential in any form", async () => {
    answerUpstreams((request) => {
      const said = request.headers.get("authorization");
      return new Response(`who is\n\u0007 ${said} or ${btoa(said ?? "")}?${"x".repeat(100_000)}`, { status: 500 });
    });
    const { body } = await ask({ url: "https://gpu.example.com/", credential: CREDENTIAL });
    expect(body.detail).toContain("who is Bearer ****");
    expect(body.detail.length).toBeLessThan(400);
    expect(body.detail).not.toContain(CREDENTIAL);
    expect(body.detail).not.toContain(btoa(`Bearer ${CREDENTIAL}`).slice(12, 24));
    const short = await ask({ url: "https://gpu.example.com/", credential: "secret" });
    expect(short.body.detail).not.toContain("secret");
  });

  it("says why there was no answer", async () => {
    vi.spyOn(globalThis, "fetch").mockRejectedValue(new Error("Network connection lost."));
    const { body } = await ask({ url: "https://gpu.example.com/" });
    expect(body).toMatchObject({ ok: false, detail: expect.stringContaining("no answer") });
    expect(body).not.toHaveProperty("status");
  });

  it("gives up after 10 s", { timeout: 15_000 }, async () => {
    vi.spyOn(globalThis, "fetch").mockImplementation(
      (_, init) =>
        new Promise((_resolve, reject) => {
          init?.signal?.addEventListener("abort", () => reject(new Error("aborted")));
        }),
    );
    const { body } = await ask({ url: "https://gpu.example.com/" });
    expect(body).toMatchObject({ ok: false, detail: "It gave no answer within 10 s." });
    expect(body.tookMs).toBeGreaterThanOrEqual(9_900);
    expect(body.tookMs).toBeLessThan(12_000);
  });
});
