// /v1/keys and /v1/me: who may give what, how a key ends, and what a key for some endpoints sees.
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { keepDeadLetter } from "../../../src/db/dead-letters.ts";
import { writeUsage } from "../../../src/db/usage.ts";
import { authenticate } from "../../../src/http/kit/auth.ts";
import { metered } from "../../support/d1.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";

afterEach(() => {
  vi.useRealTimers();
});

async function scene(scopes: Parameters<typeof makeTenant>[0] = { scopes: ["jobs", "manage"] }) {
  const tenant = await makeTenant(scopes);
  const create = (body: object, headers = {}) => manage(tenant.key, "POST", "/v1/keys", body, headers);
  return { ...tenant, create, ownId: idOf(tenant.key) };
}

const operator = () => scene({ scopes: ["jobs", "manage", "admin"] });

function idOf(key: string): string {
  return key.split("_")[2] ?? "";
}

const me = (key: string) => manage(key, "GET", "/v1/me");

/** A key of the tenant that opens its endpoint alone. */
async function restricted(tenant: TestTenant, scopes: readonly string[]): Promise<string> {
  const made = await manage(tenant.key, "POST", "/v1/keys", { scopes, endpointIds: [tenant.slug] });
  expect(made.status).toBe(201);
  return made.body.key;
}

describe("a key of /v1", () => {
  it("is made for jobs unless it is said otherwise, is shown once, and stored as a digest", async () => {
    const { create, tenantId, key } = await scene();
    const { status, body } = await create({ name: "ci" });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      tenantId,
      name: "ci",
      scopes: ["jobs"],
      endpointIds: null,
      expiresAt: null,
      version: 1,
    });
    expect(body.key).toMatch(new RegExp(`^wb_live_${body.id}_`));
    expect((await me(body.key)).body).toEqual({
      keyId: body.id,
      name: "ci",
      tenantId,
      scopes: ["jobs"],
      endpointIds: null,
      expiresAt: null,
      waitingMax: 10_000,
      runningMax: null,
      limits: null,
    });
    const { key: text, ...rest } = body;
    expect((await manage(key, "GET", `/v1/keys/${body.id}`)).body).toEqual(rest);
    const listed = await manage(key, "GET", "/v1/keys");
    expect(listed.body.keys).toContainEqual(rest);
    const secret = text.split("_")[3];
    const rows = await env.DB.prepare("SELECT * FROM api_keys WHERE id = ?").bind(body.id).all();
    const audit = await manage(key, "GET", "/v1/audit");
    expect(audit.body.lines[0]).toMatchObject({ action: "key.create", objectId: body.id });
    expect(JSON.stringify([listed.body, rows.results, audit.body])).not.toContain(secret);
    expect(JSON.stringify(listed.body)).not.toContain(rows.results[0]?.digest);
  });

  it("shows the limits that an operator has set for its tenant, also to a key for some endpoints", async () => {
    const limits = { run: { calls: 5_000, open: null }, cancel: { calls: 7, open: 3 } };
    const tenant = await makeTenant({ scopes: ["jobs", "manage"], waitingMax: 5, runningMax: 2, limits });
    const ofTenant = { tenantId: tenant.tenantId, waitingMax: 5, runningMax: 2, limits };
    expect((await me(tenant.key)).body).toMatchObject(ofTenant);
    expect((await me(await restricted(tenant, ["jobs"]))).body).toMatchObject(ofTenant);
  });

  it("is made once by a creation that is repeated, whose answer has no key", async () => {
    const { create } = await scene();
    const headers = { "idempotency-key": crypto.randomUUID() };
    const first = await create({ name: "once" }, headers);
    const again = await create({ name: "once" }, headers);
    expect(again).toMatchObject({ status: 201, body: { id: first.body.id } });
    expect(again.body).not.toHaveProperty("key");
  });

  it("ends when it is said to, by a time or by seconds, and not by both", async () => {
    const { create } = await scene();
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    const { body } = await create({ expiresInSeconds: 60 });
    expect(Date.parse(body.expiresAt)).toBe(Date.now() + 60_000);
    expect((await me(body.key)).status).toBe(200);
    vi.setSystemTime(Date.now() + 60_000);
    expect((await me(body.key)).status).toBe(401);
    const past = await create({ expiresAt: "2020-01-01T00:00:00Z" });
    expect(past).toMatchObject({ status: 400, body: { field: "expiresAt" } });
    const never = await create({ expiresAt: "9999-12-31T23:59:59-23:59" });
    expect(never).toMatchObject({ status: 400, body: { errors: [{ field: "expiresAt" }] } });
    expect((await create({ expiresAt: "9999-12-31T23:59:59Z" })).status).toBe(201);
    const both = await create({ expiresAt: "2100-01-01T00:00:00+02:00", expiresInSeconds: 5 });
    expect(both).toMatchObject({ status: 400, body: { errors: [{ field: "expiresInSeconds" }] } });
  });

  it("is changed field by field, at once on the isolate that changed it", async () => {
    const { create, key } = await scene();
    const { body } = await create({ scopes: ["jobs"], expiresInSeconds: 600 });
    await me(body.key);
    const path = `/v1/keys/${body.id}`;
    const changed = await manage(key, "PATCH", path, { scopes: ["manage"], expiresAt: null, name: "new" });
    expect(changed).toMatchObject({
      status: 200,
      body: { scopes: ["manage"], expiresAt: null, name: "new", version: 2 },
    });
    expect((await me(body.key)).body).toMatchObject({ scopes: ["manage"], name: "new" });
    expect((await manage(key, "PATCH", path, { name: "late" }, { "if-match": '"1"' })).status).toBe(412);
    expect((await manage(key, "GET", "/v1/audit?limit=1")).body.lines).toMatchObject([
      {
        action: "key.update",
        changes: [
          { field: "name", old: "key", new: "new" },
          { field: "scopes", old: ["jobs"], new: ["manage"] },
          { field: "expiresAt", new: null },
        ],
      },
    ]);
  });

  it("is listed newest first, without keys of workers, whose number costs the list nothing", async () => {
    const { create, key, tenantId, endpointId } = await scene({ scopes: ["manage"], workerKeys: [{}] });
    await env.DB.prepare(
      `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
       INSERT INTO api_keys (id, tenant_id, digest, scopes, name, created_at, endpoint_id, tier, rate_kind, slots)
       SELECT 'many-' || n || ?1, ?1, printf('%064d', 0), 'worker', '', 4102444800000, ?2, 'l4', 'flex', 1 FROM numbers`,
    )
      .bind(tenantId, endpointId)
      .run();
    const made = [await create({ scopes: ["manage"] }), await create({ scopes: ["manage"] })];
    const { answer, read } = await metered(() => manage(key, "GET", "/v1/keys?limit=2"));
    expect(answer.body.keys).toHaveLength(2);
    expect(read).toBeLessThan(20);
    const next = await manage(key, "GET", `/v1/keys?cursor=${answer.body.pagination.nextCursor}`);
    const ids = [...answer.body.keys, ...next.body.keys].map(({ id }: { id: string }) => id);
    expect(ids.sort()).toEqual([...made.map(({ body }) => body.id), idOf(key)].sort());
  });
});

describe("revoking a key", () => {
  it("stops it at once on the isolate that revoked it, and within 30 s everywhere", async () => {
    const { create, key } = await scene();
    const { body } = await create({});
    const headers = new Headers({ authorization: body.key });
    const nowMs = Date.now();
    expect((await me(body.key)).status).toBe(200);
    const revoked = await manage(key, "DELETE", `/v1/keys/${body.id}`);
    expect(revoked.status).toBe(200);
    expect(Date.parse(revoked.body.effectiveAt) - Date.parse(revoked.body.revokedAt)).toBe(30_000);
    expect((await me(body.key)).status).toBe(401);
    const again = await manage(key, "DELETE", `/v1/keys/${body.id}`);
    expect(again.body).toEqual(revoked.body);

    // Another isolate has kept the key: it is written to D1 alone, past this isolate's cache.
    const { body: other } = await create({});
    const otherHeaders = new Headers({ authorization: other.key });
    expect((await authenticate(otherHeaders, env, nowMs)).ok).toBe(true);
    await env.DB.prepare("UPDATE api_keys SET revoked_at = ? WHERE id = ?").bind(nowMs, other.id).run();
    expect((await authenticate(otherHeaders, env, nowMs + 30_000)).ok).toBe(false);
    expect((await authenticate(headers, env, nowMs)).ok).toBe(false);
  });

  it("stops it on that isolate also where the key was being read as it was revoked", async () => {
    const { create, key } = await scene();
    const { body } = await create({});
    const held = Promise.withResolvers<void>();
    const read = Promise.withResolvers<void>();
    const statement: D1PreparedStatement = Object.getPrototypeOf(env.DB.prepare("SELECT 1"));
    const { first } = statement;
    vi.spyOn(statement, "first").mockImplementationOnce(async function (this: D1PreparedStatement) {
      const row = await first.call(this);
      read.resolve();
      await held.promise;
      return row;
    });
    const slow = authenticate(new Headers({ authorization: body.key }), env, Date.now());
    await read.promise;
    await manage(key, "DELETE", `/v1/keys/${body.id}`);
    held.resolve();
    await slow;
    expect((await me(body.key)).status).toBe(401);
  });

  it("leaves nothing that a key may still make where an isolate has kept it", async () => {
    const { create, key, ownId, slug } = await scene();
    const { body } = await create({ scopes: ["jobs", "manage"] });
    await me(body.key);
    await env.DB.prepare("UPDATE api_keys SET revoked_at = 1 WHERE id = ?").bind(body.id).run();
    // This isolate has kept the key as a good one.
    expect((await me(body.key)).status).toBe(200);
    expect((await manage(body.key, "POST", "/v1/keys", {})).status).toBe(409);
    expect((await manage(body.key, "PATCH", `/v1/keys/${ownId}`, { name: "x" })).status).toBe(409);
    expect((await manage(body.key, "POST", `/v1/keys/${ownId}/rotate`, { overlapSeconds: 0 })).status).toBe(409);
    expect((await manage(body.key, "DELETE", `/v1/keys/${ownId}`)).status).toBe(409);
    // Each of these would let its holder in for good: by a server that gets the jobs, or a secret that signs.
    const upstream = { url: "http://127.0.0.1:9/", dialect: "http", tier: "l4" };
    expect((await manage(body.key, "POST", `/v1/endpoints/${slug}/upstreams`, upstream)).status).toBe(409);
    expect((await manage(body.key, "POST", `/v1/endpoints/${slug}/worker-keys`, { tier: "l4" })).status).toBe(409);
    expect((await manage(body.key, "POST", "/v1/webhooks/secret/rotate", {})).status).toBe(409);
    expect((await manage(body.key, "DELETE", `/v1/endpoints/${slug}`)).status).toBe(409);
    expect((await manage(key, "GET", "/v1/keys")).body.keys).toHaveLength(2);
  });

  it("is for good: it can be neither changed nor rotated", async () => {
    const { create, key } = await scene();
    const { body } = await create({});
    await manage(key, "DELETE", `/v1/keys/${body.id}`);
    expect((await manage(key, "PATCH", `/v1/keys/${body.id}`, { name: "x" })).body.detail).toContain("revoked");
    expect((await manage(key, "POST", `/v1/keys/${body.id}/rotate`, {})).status).toBe(409);
  });
});

describe("rotating a key", () => {
  it("makes one with the same settings, and the old one ends after the overlap", async () => {
    const { create, key, endpointId, slug } = await scene();
    const { body: old } = await create({ name: "app", endpointIds: [slug] });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    const { status, body } = await manage(key, "POST", `/v1/keys/${old.id}/rotate`, { overlapSeconds: 120 });
    expect(status).toBe(201);
    expect(body).toMatchObject({ name: "app", scopes: ["jobs"], endpointIds: [endpointId], expiresAt: null });
    expect(body.replaced).toMatchObject({ id: old.id, expiresAt: new Date(Date.now() + 120_000).toISOString() });
    for (const text of [old.key, body.key]) expect((await me(text)).status).toBe(200);
    vi.setSystemTime(Date.now() + 120_000);
    expect([(await me(old.key)).status, (await me(body.key)).status]).toEqual([401, 200]);
  });

  it("ends the old one at once without an overlap, and no later than it would have ended", async () => {
    const { create, key } = await scene();
    const { body: old } = await create({ expiresInSeconds: 60 });
    expect((await me(old.key)).status).toBe(200);
    const { body } = await manage(key, "POST", `/v1/keys/${old.id}/rotate`, { overlapSeconds: 600 });
    expect(body.replaced.expiresAt).toBe(old.expiresAt);
    expect(body.expiresAt).toBe(old.expiresAt);
    const last = await manage(key, "POST", `/v1/keys/${body.id}/rotate`, { overlapSeconds: 0 });
    expect((await me(body.key)).status).toBe(401);
    expect((await me(last.body.key)).status).toBe(200);
    expect((await manage(key, "POST", `/v1/keys/${old.id}/rotate`, { overlapSeconds: 604_801 })).status).toBe(400);
  });

  it("makes one key by a call that is repeated, also when the old one has ended by it", async () => {
    const { create, key } = await scene();
    const { body: old } = await create({});
    const headers = { "idempotency-key": crypto.randomUUID() };
    const rotate = () => manage(key, "POST", `/v1/keys/${old.id}/rotate`, { overlapSeconds: 0 }, headers);
    const first = await rotate();
    const again = await rotate();
    expect(again).toMatchObject({ status: 201, body: { id: first.body.id } });
    expect(again.body).not.toHaveProperty("key");
    expect((await manage(key, "GET", "/v1/keys")).body.keys).toHaveLength(3);
  });

  it("by two callers at once makes one key", async () => {
    const { create, key } = await scene();
    const { body: old } = await create({});
    const rotate = () => manage(key, "POST", `/v1/keys/${old.id}/rotate`, { overlapSeconds: 60 });
    const statuses = (await Promise.all([rotate(), rotate(), rotate()])).map(({ status }) => status);
    expect(statuses.sort()).toEqual([201, 409, 409]);
  });
});

describe("nobody gives what they lack", () => {
  it("not the scope admin, by any of the calls", async () => {
    const [{ create, key, tenantId }, boss] = [await scene(), await operator()];
    expect((await create({ scopes: ["admin"] })).body.detail).toContain("scope admin");
    const theirs = await manage(boss.key, "POST", "/v1/keys", { tenantId, scopes: ["jobs", "admin"] });
    expect(theirs).toMatchObject({ status: 201, body: { tenantId } });
    const path = `/v1/keys/${theirs.body.id}`;
    const { body: own } = await create({});
    const tries = [
      await manage(key, "PATCH", path, { name: "x" }),
      await manage(key, "PATCH", `/v1/keys/${own.id}`, { scopes: ["admin"] }),
      await manage(key, "POST", `${path}/rotate`, { overlapSeconds: 0 }),
      await manage(key, "DELETE", path),
    ];
    expect(tries.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
    expect((await me(theirs.body.key)).status).toBe(200);
  });

  it("but whoever manages a tenant gives jobs, and nobody gives worker", async () => {
    const { create, key } = await scene({ scopes: ["manage"] });
    expect((await create({})).status).toBe(201);
    expect((await create({ scopes: ["jobs", "manage"] })).status).toBe(201);
    expect((await create({ scopes: ["jobs", "admin"] })).body.detail).toContain("scope admin");
    expect((await create({ scopes: ["worker"] })).body.detail).toContain("worker-keys");
    expect((await manage(key, "POST", "/v1/keys", { scopes: [] })).status).toBe(400);
    expect((await manage(key, "POST", "/v1/keys", { scopes: ["manage", "manage"] })).status).toBe(400);
  });

  it("nor a key for more endpoints than the caller's own opens", async () => {
    const tenant = await scene();
    const limited = await restricted(tenant, ["jobs", "manage"]);
    const path = `/v1/keys/${tenant.ownId}`;
    for (const answer of [
      await manage(limited, "POST", "/v1/keys", {}),
      await manage(limited, "GET", "/v1/keys"),
      await manage(limited, "GET", path),
      await manage(limited, "PATCH", path, { name: "x" }),
      await manage(limited, "POST", `${path}/rotate`, {}),
      await manage(limited, "DELETE", path),
    ]) {
      expect(answer).toMatchObject({ status: 403, body: { code: "restricted_key" } });
    }
    expect((await me(limited)).body.endpointIds).toEqual([tenant.endpointId]);
  });

  it("nor to another tenant, whose keys are as unknown as none", async () => {
    const [mine, theirs, boss] = [await scene(), await scene(), await operator()];
    expect((await mine.create({ tenantId: theirs.tenantId })).status).toBe(403);
    expect((await boss.create({ tenantId: "ten-unknown" })).body).toMatchObject({ status: 404 });
    const answers = [];
    for (const id of [theirs.ownId, "unknown", "!", (await scene({ workerKeys: [{}] })).workerKeys[0]?.split("_")[2]]) {
      for (const [method, path, body] of [
        ["GET", `/v1/keys/${id}`],
        ["PATCH", `/v1/keys/${id}`, { name: "x" }],
        ["POST", `/v1/keys/${id}/rotate`, {}],
        ["DELETE", `/v1/keys/${id}`],
      ] as const) {
        const answer = await manage(mine.key, method, path, body);
        expect(answer.status).toBe(404);
        answers.push(JSON.stringify(answer.body));
      }
    }
    expect(new Set(answers).size).toBe(1);
    expect((await manage(boss.key, "GET", `/v1/keys?tenant=${theirs.tenantId}`)).body.keys).toHaveLength(1);
  });
});

describe("the last key of the scope admin", () => {
  /** An operator whose key is the only one of the scope admin in the deployment. */
  async function alone() {
    const boss = await operator();
    await env.DB.prepare("UPDATE api_keys SET revoked_at = 1 WHERE instr(scopes, 'admin') > 0 AND id <> ?")
      .bind(boss.ownId)
      .run();
    return boss;
  }

  it("cannot be revoked, stripped of admin, restricted, nor set to expire, and is told why", async () => {
    const { key, ownId, slug } = await alone();
    const path = `/v1/keys/${ownId}`;
    for (const answer of [
      await manage(key, "DELETE", path),
      await manage(key, "PATCH", path, { scopes: ["jobs", "manage"] }),
      await manage(key, "PATCH", path, { endpointIds: [slug] }),
      await manage(key, "PATCH", path, { expiresInSeconds: 3_600 }),
    ]) {
      expect(answer).toMatchObject({ status: 409, body: { code: "conflict" } });
      expect(answer.body.detail).toContain("nobody could operate the deployment");
    }
    expect((await manage(key, "PATCH", path, { name: "root" })).status).toBe(200);
  });

  it("goes when there is another one that lasts as long", async () => {
    const { key, ownId, create } = await alone();
    const expiring = await create({ scopes: ["admin"], expiresInSeconds: 3_600 });
    expect(expiring.status).toBe(201);
    expect((await manage(key, "DELETE", `/v1/keys/${ownId}`)).status).toBe(409);
    const other = await create({ scopes: ["admin"] });
    expect((await manage(other.body.key, "DELETE", `/v1/keys/${ownId}`)).status).toBe(200);
    expect((await manage(other.body.key, "DELETE", `/v1/keys/${expiring.body.id}`)).status).toBe(200);
    expect((await manage(other.body.key, "DELETE", `/v1/keys/${other.body.id}`)).status).toBe(409);
  });

  it("is rotated, because the new one takes its place", async () => {
    const { key, ownId } = await alone();
    const rotated = await manage(key, "POST", `/v1/keys/${ownId}/rotate`, { overlapSeconds: 0 });
    expect(rotated.status).toBe(201);
    expect((await manage(rotated.body.key, "DELETE", `/v1/keys/${rotated.body.id}`)).status).toBe(409);
  });

  it("stays where two of them are revoked by each other at once", async () => {
    const { key, ownId, create } = await alone();
    const { body } = await create({ scopes: ["admin"] });
    const answers = await Promise.all([
      manage(key, "DELETE", `/v1/keys/${body.id}`),
      manage(body.key, "DELETE", `/v1/keys/${ownId}`),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
  });
});

describe("a key for some endpoints", () => {
  async function billed() {
    const tenant = await scene({ scopes: ["jobs", "manage"] });
    const second = await manage(tenant.key, "POST", "/v1/endpoints", { slug: `slug-${crypto.randomUUID()}` });
    const line = (endpointId: string, at: number) => ({
      source: `0193a0f2-7b1c-7def-8a11-${String(at).padStart(12, "0")}`,
      seq: 1,
      endpointId,
      jobId: `0193a0f2-7b1c-7def-8a11-${String(at).padStart(12, "0")}-u1`,
      tier: "a4000",
      rateKind: "flex" as const,
      slots: 1,
      nanodollarsPerSecond: 1,
      seconds: 1,
      amountNanodollars: at,
      startedAtMs: 1,
      finishedAtMs: 2,
      billedMs: 1_000,
      tokens: null,
    });
    await writeUsage(env.DB, tenant.tenantId, "b", 2, [line(tenant.endpointId, 5), line(second.body.id, 7)]);
    for (const endpointId of [tenant.endpointId, second.body.id]) {
      const facts = { jobId: "job-u1", url: "https://receiver.test/", tries: 10, detail: "500", givenUpAtMs: 5 };
      await keepDeadLetter(env.DB, tenant.tenantId, { webhookId: `msg-${endpointId}`, endpointId, ...facts }, null);
    }
    return { ...tenant, otherId: second.body.id, limited: await restricted(tenant, ["jobs"]) };
  }

  /** Two endpoints, and a key that manages the first one alone. */
  async function managing() {
    const tenant = await scene();
    const second = await manage(tenant.key, "POST", "/v1/endpoints", { name: "second" });
    return { ...tenant, otherId: second.body.id, limited: await restricted(tenant, ["jobs", "manage"]) };
  }

  async function ask(key: string, path: string) {
    const request = new Request(`https://waybill.test${path}`, { headers: { authorization: key } });
    const response = await exports.default.fetch(request);
    // biome-ignore lint/suspicious/noExplicitAny: looked at by the assertions
    return { status: response.status, body: (await response.json()) as any };
  }

  it("sees the usage, the depth and the dead webhooks of those alone", async () => {
    const { limited, endpointId, otherId, key } = await billed();
    const usage = (await ask(limited, "/v1/usage")).body;
    expect(usage).toMatchObject({ lines: [{ endpointId }], totalNanodollars: 5 });
    expect((await ask(key, "/v1/usage")).body.totalNanodollars).toBe(12);
    expect((await ask(limited, `/v1/usage?endpoint=${otherId}`)).body).toMatchObject({
      lines: [],
      totalNanodollars: 0,
    });
    const depth = (await ask(limited, "/v1/depth")).body.endpoints;
    expect(depth.map((each: { endpointId: string }) => each.endpointId)).toEqual([endpointId]);
    expect((await ask(limited, "/v1/webhooks/dead")).body.webhooks).toMatchObject([{ endpointId }]);
    expect((await ask(key, "/v1/webhooks/dead")).body.webhooks).toHaveLength(2);
  });

  it("sends settings to no other broker, also with the scope admin", async () => {
    const operator = await makeTenant({ scopes: ["admin"] });
    const other = await makeTenant();
    const wanted = { scopes: ["admin"], endpointIds: [operator.slug] };
    const { body } = await manage(operator.key, "POST", "/v1/keys", wanted);
    const configure = (endpointId: string) => manage(body.key, "POST", "/v1/admin/configure", { endpointId });
    expect((await configure(operator.endpointId)).status).toBe(200);
    expect(await configure(other.endpointId)).toMatchObject({ status: 404 });
    expect((await configure(other.endpointId)).body).toEqual((await configure("unknown")).body);
  });

  it("sees jobs of those alone, and sends jobs to no other", async () => {
    const { limited, endpointId, otherId, key } = await billed();
    const run = async (by: string, endpoint: string) => {
      const headers = { authorization: by, "content-type": "application/json" };
      const url = `https://waybill.test/v2/${endpoint}/run`;
      return exports.default.fetch(new Request(url, { method: "POST", headers, body: '{"input":{}}' }));
    };
    const { id } = await (await run(key, otherId)).json<{ id: string }>();
    expect((await ask(key, `/v1/jobs/${id}`)).status).toBe(200);
    expect((await ask(limited, `/v1/jobs/${id}`)).status).toBe(404);
    expect((await run(limited, otherId)).status).toBe(404);
    const own = await (await run(limited, endpointId)).json<{ id: string }>();
    expect((await ask(limited, `/v1/jobs/${own.id}`)).status).toBe(200);
  });

  it("lists those alone on every plane, and finds none of the others by its id", async () => {
    const { limited, endpointId, otherId, key } = await managing();
    const asked = { query: "{ myself { endpoints { id } } }" };
    const headers = { authorization: limited, "content-type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify(asked) };
    const older = await exports.default.fetch("https://waybill.test/graphql", init);
    expect(await older.json()).toEqual({ data: { myself: { endpoints: [{ id: endpointId }] } } });
    for (const path of ["/v1/endpoints", "/v2/serverless"]) {
      expect((await manage(limited, "GET", path)).body.endpoints).toMatchObject([{ id: endpointId }]);
      expect((await manage(key, "GET", path)).body.endpoints).toHaveLength(2);
      for (const tail of ["", path === "/v1/endpoints" ? "/upstreams" : "/releases", "/workers"]) {
        expect((await manage(limited, "GET", `${path}/${otherId}${tail}`)).status, tail).toBe(404);
        expect((await manage(limited, "GET", `${path}/${endpointId}${tail}`)).status, tail).toBe(200);
      }
      expect((await manage(limited, "PATCH", `${path}/${otherId}`, { name: "x" })).status).toBe(404);
      expect((await manage(limited, "DELETE", `${path}/${otherId}`)).status).toBe(404);
    }
    expect((await manage(limited, "POST", "/v1/endpoints", { name: "more" })).status).toBe(403);
  });

  it("names endpoints that its tenant may call, by id or slug, and no others", async () => {
    const { create, slug, endpointId, key } = await scene();
    const stranger = await makeTenant();
    const open = await makeTenant({ shared: true });
    const { body } = await create({ endpointIds: [slug, endpointId, open.slug] });
    expect(body.endpointIds.sort()).toEqual([endpointId, open.endpointId].sort());
    const refused = [await create({ endpointIds: [stranger.slug] }), await create({ endpointIds: ["nothing"] })];
    for (const answer of refused) expect(answer).toMatchObject({ status: 400, body: { field: "endpointIds" } });
    const lifted = await manage(key, "PATCH", `/v1/keys/${body.id}`, { endpointIds: null });
    expect(lifted.body.endpointIds).toBeNull();
  });
});
