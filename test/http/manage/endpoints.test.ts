// /v1/endpoints: what it takes, what it gives back, and how two writers and repeated creations end.
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { loadEndpointSettings } from "../../../src/db/endpoints.ts";
import { BrokerClient } from "../../../src/dispatch/broker-client.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

afterEach(() => {
  vi.useRealTimers();
});

const unique = (): string => `slug-${crypto.randomUUID()}`;

async function scene() {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"] });
  const create = (body: object, headers = {}) => manage(tenant.key, "POST", "/v1/endpoints", body, headers);
  return { ...tenant, create };
}

describe("an endpoint of /v1", () => {
  it("needs a slug alone, and has what RunPod's guide promises", async () => {
    const { create, tenantId } = await scene();
    const slug = unique();
    const { status, body, headers } = await create({ slug });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      slug,
      name: slug,
      tenantId,
      type: "QUEUE",
      flashboot: "FLASHBOOT",
      timeout: 600_000,
      workers: { min: 0, max: 3, idleTimeout: 5 },
      scaling: { type: "QUEUE_DELAY", queueDelay: 4 },
      gpu: null,
      visibility: "PRIVATE",
      inferenceRoutes: "inference",
      retention: { run: 1_800_000, runsync: 60_000 },
      maxAttempts: 2,
      ttl: 86_400_000,
    });
    expect(headers.get("etag")).toBe(`"${body.version}"`);
  });

  it("reaches its broker at once when it is changed, and shows the version that it then has", async () => {
    const { create, key, tenantId } = await scene();
    const { body } = await create({ slug: unique() });
    const broker = new BrokerClient(env, body.id);
    const changed = await manage(key, "PATCH", `/v1/endpoints/${body.slug}`, {
      paused: true,
      retention: { run: 60_000 },
    });
    expect(changed).toMatchObject({ status: 200, body: { paused: true, applied: true, retention: { run: 60_000 } } });
    expect(changed.body.version).toBeGreaterThan(body.version);
    expect(await broker.call("depth", { tenantId })).toMatchObject({ ok: true });
  });

  it("takes each setting that RunPod has no word for, gives it back, and brings it to the broker", async () => {
    const { create, key } = await scene();
    const { body } = await create({ slug: unique(), type: "LOAD_BALANCER" });
    const settings = {
      paused: true,
      maxAttempts: 5,
      ttl: 120_000,
      retention: { run: 90_000, runsync: 7_000 },
      bodyMaxBytes: 1_000_000,
      inferenceRoutes: "inference,GET /v1/files/*",
      tenantSharePercent: 40,
    };
    const path = `/v1/endpoints/${body.id}`;
    expect((await manage(key, "PATCH", path, settings)).body).toMatchObject(settings);
    expect((await manage(key, "GET", path)).body).toMatchObject({ ...settings, visibility: "PRIVATE" });
    expect(await loadEndpointSettings(env.DB, body.id)).toMatchObject({
      paused: true,
      maxAttempts: 5,
      ttlMs: 120_000,
      runRetentionMs: 90_000,
      runsyncRetentionMs: 7_000,
      bodyMaxBytes: 1_000_000,
      openaiRoutes: "inference,GET /v1/files/*",
      tenantSharePercent: 40,
    });
    const stranger = await makeTenant();
    const health = async () =>
      (
        await exports.default.fetch(`https://waybill.test/v2/${body.id}/health`, {
          headers: { authorization: stranger.key },
        })
      ).status;
    expect(await health()).toBe(404);
    expect((await manage(key, "PATCH", path, { visibility: "PUBLIC", tenantSharePercent: null })).body).toMatchObject({
      visibility: "PUBLIC",
      tenantSharePercent: null,
    });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 31_000 });
    expect(await health()).toBe(200);
    const wide = await manage(key, "PATCH", path, { inferenceRoutes: "all" });
    expect(wide).toMatchObject({ status: 400, body: { field: "inferenceRoutes" } });
  });

  it("tells the second of two writers who have read the same version", async () => {
    const { create, key } = await scene();
    const { body } = await create({ slug: unique() });
    const path = `/v1/endpoints/${body.id}`;
    const ifMatch = { "if-match": `"${body.version}"` };
    expect((await manage(key, "PATCH", path, { name: "one" }, ifMatch)).status).toBe(200);
    const second = await manage(key, "PATCH", path, { name: "two" }, ifMatch);
    expect(second).toMatchObject({ status: 412, body: { code: "version_passed" } });
    expect((await manage(key, "GET", path)).body.name).toBe("one");
    expect((await manage(key, "PATCH", path, { name: "x" }, { "if-match": "soon" })).body.detail).toContain("If-Match");
    // As a proxy that compresses answers hands the tag on.
    expect((await manage(key, "PATCH", path, { name: "x" }, { "if-match": `W/"${body.version}"` })).status).toBe(412);
    const weak = { "if-match": `W/"${body.version + 1}"` };
    expect((await manage(key, "PATCH", path, { name: "three" }, weak)).status).toBe(200);
  });

  it("loses no change of writers who write at once without a version", async () => {
    const { create, key } = await scene();
    const { body } = await create({ slug: unique() });
    const path = `/v1/endpoints/${body.id}`;
    const changes = [{ name: "n" }, { maxAttempts: 7 }, { workers: { max: 9 } }, { ttl: 99_000 }];
    const answers = await Promise.all(changes.map((change) => manage(key, "PATCH", path, change)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect((await manage(key, "GET", path)).body).toMatchObject({
      name: "n",
      maxAttempts: 7,
      workers: { max: 9 },
      ttl: 99_000,
    });
  });

  it("is made once by a creation that is repeated with its Idempotency-Key, also at once", async () => {
    const { create, key } = await scene();
    const wanted = { slug: unique() };
    const headers = { "idempotency-key": crypto.randomUUID() };
    const made = await Promise.all([1, 2, 3].map(() => create(wanted, headers)));
    expect(new Set(made.map(({ body }) => body.id)).size).toBe(1);
    expect((await create({ slug: unique() }, headers)).status).toBe(422);
    const { body } = await manage(key, "GET", "/v1/endpoints");
    expect(body.endpoints.filter(({ slug }: { slug: string }) => slug === wanted.slug)).toHaveLength(1);
  });

  it("refuses a slug that is in use, reserved, or has the form of an id", async () => {
    const { create } = await scene();
    const slug = unique();
    await create({ slug });
    expect(await create({ slug })).toMatchObject({ status: 409, body: { field: "slug" } });
    expect(await create({ slug: "serverless" })).toMatchObject({ status: 400, body: { field: "slug" } });
    expect(await create({ slug: "0123456789abcdef" })).toMatchObject({ status: 400 });
    expect(await create({})).toMatchObject({ status: 400, body: { errors: [{ field: "name" }] } });
  });

  it("is listed in pages, newest first, each endpoint once", async () => {
    const { create, key } = await scene();
    const made: string[] = [];
    for (let at = 0; at < 5; at += 1) made.unshift((await create({ slug: unique() })).body.id);
    const seen: string[] = [];
    let cursor = "";
    for (let pages = 0; pages < 10; pages += 1) {
      const { body } = await manage(key, "GET", `/v1/endpoints?limit=2${cursor}`);
      seen.push(...body.endpoints.map(({ id }: { id: string }) => id));
      if (!body.pagination.hasNextPage) break;
      cursor = `&cursor=${body.pagination.nextCursor}`;
    }
    expect(seen.filter((id) => made.includes(id)).sort()).toEqual([...made].sort());
    expect(new Set(seen).size).toBe(seen.length);
    expect((await manage(key, "GET", "/v1/endpoints?cursor=AAAA")).body.field).toBe("?cursor");
  });

  it("is any tenant's for the scope admin, and nobody else's", async () => {
    const [mine, theirs] = [await scene(), await makeTenant({ scopes: ["admin"] })];
    const { body } = await mine.create({ slug: unique() });
    const path = `/v1/endpoints/${body.id}`;
    expect((await manage(theirs.key, "PATCH", path, { name: "by the operator" })).status).toBe(200);
    expect((await manage(theirs.key, "GET", `/v1/endpoints?tenant=${mine.tenantId}`)).body.endpoints).toHaveLength(2);
    expect((await manage(mine.key, "GET", `/v1/endpoints?tenant=${theirs.tenantId}`)).status).toBe(403);
    const made = await manage(theirs.key, "POST", "/v1/endpoints", { slug: unique(), tenantId: mine.tenantId });
    expect(made.body.tenantId).toBe(mine.tenantId);
    const nobody = await manage(theirs.key, "POST", "/v1/endpoints", { slug: unique(), tenantId: "nobody" });
    expect(nobody.status).toBe(404);
  });

  it("is deleted once, unknown at once on both planes, and its slug is free for another", async () => {
    const { create, key } = await scene();
    const slug = unique();
    const { body } = await create({ slug });
    const path = `/v1/endpoints/${body.id}`;
    expect((await manage(key, "DELETE", path, undefined, { "if-match": "99" })).status).toBe(412);
    const deleted = await manage(key, "DELETE", `/v1/endpoints/${slug}`);
    expect(deleted).toMatchObject({ status: 200, body: { id: body.id, applied: true } });
    expect((await manage(key, "DELETE", path)).body).toEqual(deleted.body);
    expect((await manage(key, "DELETE", `/v2/serverless/${body.id}`)).status).toBe(204);
    for (const gone of [path, `/v1/endpoints/${slug}`, `/v2/serverless/${body.id}`]) {
      expect((await manage(key, "GET", gone)).status).toBe(404);
      expect((await manage(key, "PATCH", gone, { name: "x" })).status).toBe(404);
    }
    const stranger = await makeTenant({ scopes: ["manage"] });
    expect((await manage(stranger.key, "DELETE", path)).status).toBe(404);
    expect((await create({ slug })).body.id).not.toBe(body.id);
    const audit = (await manage(key, "GET", "/v1/audit")).body.lines;
    expect(audit.filter(({ action }: { action: string }) => action === "endpoint.delete")).toHaveLength(1);
  });

  it("leaves a line in the audit for each change, with no value of the environment", async () => {
    const { create, key } = await scene();
    const { body } = await create({ slug: unique(), env: { TOKEN: "planted-secret" } });
    await manage(key, "PATCH", `/v1/endpoints/${body.id}`, { env: { TOKEN: "planted-other" }, maxAttempts: 3 });
    const audit = (await manage(key, "GET", "/v1/audit?limit=2")).body;
    expect(audit.lines).toMatchObject([
      {
        action: "endpoint.update",
        objectId: body.id,
        changes: [
          { field: "maxAttempts", old: 2, new: 3 },
          { field: "env.TOKEN", old: "(hidden)", new: "(hidden)" },
        ],
      },
      { action: "endpoint.create", objectId: body.id },
    ]);
    const releases = (await manage(key, "GET", `/v2/serverless/${body.id}/releases`)).body;
    expect(releases).toMatchObject({
      endpointVersion: 2,
      releases: [{ version: 2, diff: [{ field: "env.TOKEN" }] }, { version: 1 }],
    });
    expect(JSON.stringify([audit, releases])).not.toContain("planted");
    const rows = await env.DB.prepare("SELECT * FROM endpoints").all();
    expect(JSON.stringify(rows.results)).not.toContain("planted");
  });
});
