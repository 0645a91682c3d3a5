// /v1/providers: what is taken of each kind, what is never shown, whose they are, and when one can be removed.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { providerPlace } from "../../../src/core/access/sealing.ts";
import { loadEndpointSettings } from "../../../src/db/endpoints.ts";
import { findProvider } from "../../../src/db/providers.ts";
import { open } from "../../../src/outbound/credentials.ts";
import { metered } from "../../support/d1.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

const PATH = "/v1/providers";
const L4 = { gpuTypeId: "NVIDIA L4", pricePerHour: "0.43" };
const NONE = { name: "plan", kind: "none", offers: [L4] };
const HOOK = { name: "hook", kind: "webhook", url: "https://hook.example.com/machines", offers: [L4] };
const RUNPOD = { name: "pods", kind: "runpod", credential: "rpa_0123456789ABCDEF", offers: [L4] };
const ENDPOINT = { image: "my-org/worker:1", gpu: { pools: ["AMPERE_24"] } };
const SECRET = `whsec_${btoa("s".repeat(32))}`;

async function scene(options: Parameters<typeof makeTenant>[0] = {}) {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"], ...options });
  const create = (body: object, headers = {}) => manage(tenant.key, "POST", PATH, body, headers);
  const change = (id: string, patch: object, headers = {}) =>
    manage(tenant.key, "PATCH", `${PATH}/${id}`, patch, headers);
  const remove = (id: string, headers = {}) => manage(tenant.key, "DELETE", `${PATH}/${id}`, undefined, headers);
  const endpoint = async (more: object = {}) => {
    const body = { slug: `slug-${crypto.randomUUID()}`, ...ENDPOINT, ...more };
    return (await manage(tenant.key, "POST", "/v1/endpoints", body)).body;
  };
  return { ...tenant, create, change, remove, endpoint };
}

/** The fleet in the settings that an endpoint's broker keeps. */
async function keptBy(endpointId: string): Promise<unknown> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) => {
    const { json } = storage.sql.exec<{ json: string }>("SELECT json FROM settings").one();
    return JSON.parse(json).fleet;
  });
}

const candidatesOf = async (endpointId: string) => (await loadEndpointSettings(env.DB, endpointId))?.fleet?.candidates;

describe("a provider of /v1", () => {
  it("needs a name, a kind and an offer, and is shown as it was made", async () => {
    const { create, key, tenantId } = await scene();
    const { status, body, headers } = await create(NONE);
    expect(status).toBe(201);
    const shown = {
      id: expect.stringMatching(/^prv-/),
      tenantId,
      name: "plan",
      kind: "none",
      url: null,
      hasCredential: false,
      offers: [{ gpuTypeId: "NVIDIA L4", pricePerHour: "0.430000000" }],
      default: false,
      pricedBy: "tenant",
      version: 1,
      createdAt: expect.any(String),
    };
    expect(body).toEqual({ ...shown, applied: true });
    expect(headers.get("etag")).toBe('"1"');
    expect((await manage(key, "GET", `${PATH}/${body.id}`)).body).toEqual(shown);
    expect((await manage(key, "GET", PATH)).body).toEqual({
      providers: [shown],
      pagination: { hasNextPage: false, nextCursor: null },
    });
    expect(await findProvider(env.DB, body.id)).toMatchObject({
      tenantId,
      kind: "none",
      offers: [{ gpuTypeId: "NVIDIA L4", priceNanodollarsPerHour: 430_000_000 }],
    });
  });

  it("keeps prices exact to the nano-dollar, and takes them back as it shows them", async () => {
    const { create, change } = await scene();
    const { body } = await create({ ...NONE, offers: [{ ...L4, pricePerHour: "99.000000001" }] });
    expect(body.offers[0].pricePerHour).toBe("99.000000001");
    expect((await change(body.id, { offers: body.offers })).body.version).toBe(1);
  });

  it("of the kind webhook gets a secret that signs its calls, and shows it once", async () => {
    const { create, key } = await scene();
    const headers = { "idempotency-key": crypto.randomUUID() };
    const made = await create(HOOK, headers);
    expect(made.body).toMatchObject({ hasCredential: true, secret: expect.stringMatching(/^whsec_/) });
    const sealed = (await findProvider(env.DB, made.body.id))?.sealedCredential ?? "";
    expect(await open(sealed, env.ENCRYPTION_KEY, providerPlace(made.body.id))).toBe(made.body.secret);
    const again = await create(HOOK, headers);
    expect(again.body.id).toBe(made.body.id);
    const later = [again.body, (await manage(key, "GET", PATH)).body, (await manage(key, "GET", "/v1/audit")).body];
    for (const seen of later) expect(JSON.stringify(seen)).not.toMatch(/whsec_|v1\./);
    expect((await create({ ...HOOK, kind: "local" })).body.secret).toMatch(/^whsec_/);
  });

  it("keeps a credential that is given sealed, and shows it to nobody", async () => {
    const { create, change, key } = await scene();
    const given = await create({ ...HOOK, credential: SECRET });
    expect(given.body).not.toHaveProperty("secret");
    const { body } = await create(RUNPOD);
    const stored = async () => (await findProvider(env.DB, body.id))?.sealedCredential ?? "";
    expect(await open(await stored(), env.ENCRYPTION_KEY, providerPlace(body.id))).toBe(RUNPOD.credential);
    const changed = await change(body.id, { credential: "rpa_another-0123456789" });
    expect(await open(await stored(), env.ENCRYPTION_KEY, providerPlace(body.id))).toBe("rpa_another-0123456789");
    const audit = (await manage(key, "GET", "/v1/audit")).body;
    expect(audit.lines[0]).toMatchObject({
      action: "provider.update",
      changes: [{ field: "credential", old: "(hidden)", new: "(hidden)" }],
    });
    const seen = [given.body, body, changed.body, audit, (await manage(key, "GET", PATH)).body];
    expect(JSON.stringify(seen)).not.toMatch(/whsec_|rpa_|v1\./);
  });

  it.each([
    ["url", { ...NONE, url: "https://hook.example.com/" }, "kind none"],
    ["credential", { ...NONE, credential: SECRET }, "kind none"],
    ["url", { ...HOOK, url: null }, "is required for the kind webhook"],
    ["url", { ...HOOK, kind: "local", url: null }, "is required for the kind local"],
    ["url", { ...HOOK, url: "ftp://hook.example.com/" }, "http"],
    ["url", { ...HOOK, url: "https://waybill.test/v1/x" }, "this deployment"],
    ["url", { ...HOOK, url: "https://hook.example.com/?api_key=abcdefgh" }, "credential takes it"],
    ["url", { ...RUNPOD, url: `https://pods.example.com/${RUNPOD.credential}` }, "must not hold a credential"],
    ["credential", { ...HOOK, credential: "a-password" }, "whsec_"],
    ["credential", { ...RUNPOD, credential: undefined }, "is required for the kind runpod"],
    ["credential", { ...RUNPOD, credential: "two words" }, "without spaces"],
    ["kind", { ...NONE, kind: "vast" }, ""],
    ["name", { ...NONE, name: undefined }, ""],
    ["offers", { ...NONE, offers: undefined }, ""],
    ["offers", { ...NONE, offers: [] }, ""],
    ["offers", { ...NONE, offers: [L4, L4] }, "once"],
    ["offers.0.gpuTypeId", { ...NONE, offers: [{ ...L4, gpuTypeId: "RTX 4090" }] }, "NVIDIA GeForce RTX 4090"],
    ["offers.1.tier", { ...NONE, offers: [L4, { ...L4, gpuTypeId: "NVIDIA GeForce RTX 5090" }] }, "has no tier"],
    ["offers.0.tier", { ...NONE, offers: [{ ...L4, gpuTypeId: "CPU" }] }, "no pool"],
    ["offers.1.gpuTypeId", { ...RUNPOD, offers: [L4, { ...L4, gpuTypeId: "CPU", tier: "a4000" }] }, "without a GPU"],
    ["offers.0.tier", { ...NONE, offers: [{ ...L4, tier: "h900" }] }, "there are a4000"],
    ["offers.0.pricePerHour", { ...NONE, offers: [{ ...L4, pricePerHour: 0.43 }] }, "string"],
    ["offers.0.pricePerHour", { ...NONE, offers: [{ ...L4, pricePerHour: "0.1234567891" }] }, "nine decimals"],
    ["offers.0.pricePerHour", { ...NONE, offers: [{ ...L4, pricePerHour: "100.1" }] }, "at most 100"],
    ["offers.0.pricePerHour", { ...NONE, offers: [{ ...L4, pricePerHour: "-1" }] }, "decimal text"],
  ])("refuses what could not work, and names the field: %s of %o", async (field, wanted, part) => {
    const { create } = await scene();
    const { status, body } = await create(wanted);
    expect([status, body.field ?? body.errors?.[0].field]).toEqual([400, field]);
    expect(body.detail).toContain(part);
  });

  it("takes an offer that names its tier where there is no other, and machines that cost nothing", async () => {
    const { create } = await scene();
    const offers = [
      { gpuTypeId: "CPU", pricePerHour: "0", tier: "a4000" },
      { gpuTypeId: "NVIDIA GeForce RTX 5090", pricePerHour: "0.89", tier: "l40s" },
    ];
    expect((await create({ ...NONE, offers })).body.offers).toEqual([
      { ...offers[0], pricePerHour: "0.000000000" },
      { ...offers[1], pricePerHour: "0.890000000" },
    ]);
  });

  it("goes by its kind's rules when it is changed, too, and keeps what is left out", async () => {
    const { create, change } = await scene();
    const hook = (await create(HOOK)).body;
    expect(await change(hook.id, { credential: "x" })).toMatchObject({ status: 400, body: { field: "credential" } });
    expect(await change(hook.id, { kind: "runpod" })).toMatchObject({ status: 400 });
    const renamed = await change(hook.id, { name: "renamed" });
    expect(renamed.body).toMatchObject({ url: HOOK.url, name: "renamed", hasCredential: true, version: 2 });
    expect(renamed.body.offers).toEqual(hook.offers);
    const none = (await create(NONE)).body;
    expect(await change(none.id, { credential: SECRET })).toMatchObject({ status: 400, body: { field: "credential" } });
    expect((await change(none.id, {})).body.version).toBe(1);
  });

  it("tells the second of two writers, and loses no change of those who write without a version", async () => {
    const { create, change, key } = await scene();
    const { body } = await create(NONE);
    const ifMatch = { "if-match": `"${body.version}"` };
    expect((await change(body.id, { name: "one" }, ifMatch)).status).toBe(200);
    expect(await change(body.id, { name: "two" }, ifMatch)).toMatchObject({
      status: 412,
      body: { code: "version_passed" },
    });
    const offers = [{ ...L4, pricePerHour: "0.500000000" }];
    const patches = [{ name: "n" }, { default: true }, { offers }];
    await Promise.all(patches.map((patch) => change(body.id, patch)));
    expect((await manage(key, "GET", `${PATH}/${body.id}`)).body).toMatchObject({ name: "n", default: true, offers });
  });

  it("is bounded in number for each tenant, but for a call that is repeated", async () => {
    const { create, remove } = await scene();
    const headers = { "idempotency-key": crypto.randomUUID() };
    const { id } = (await create(NONE, headers)).body;
    for (let at = 1; at < 20; at += 1) expect((await create(NONE)).status).toBe(201);
    expect(await create(NONE)).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining("20 providers") },
    });
    expect((await create(NONE, headers)).body.id).toBe(id);
    expect((await remove(id)).status).toBe(200);
    expect((await create(NONE)).status).toBe(201);
  });

  it("is listed in pages by an index, newest first, each once", async () => {
    const { create, key } = await scene();
    const made: string[] = [];
    for (let at = 0; at < 5; at += 1) made.push((await create(NONE)).body.id);
    const seen: string[] = [];
    let cursor = "";
    for (let pages = 0; pages < 10; pages += 1) {
      const { answer, read } = await metered(() => manage(key, "GET", `${PATH}?limit=2${cursor}`));
      expect(read).toBeLessThan(20);
      seen.push(...answer.body.providers.map(({ id }: { id: string }) => id));
      if (!answer.body.pagination.hasNextPage) break;
      cursor = `&cursor=${answer.body.pagination.nextCursor}`;
    }
    expect(seen.toSorted()).toEqual(made.toSorted());
  });
});

describe("whose a provider is", () => {
  it("is its tenant's, with the scope admin anybody's, and of no key for some endpoints", async () => {
    const [mine, theirs] = [await scene(), await scene()];
    const { body } = await theirs.create(NONE);
    const path = `${PATH}/${body.id}`;
    const unknown = await manage(mine.key, "GET", `${PATH}/prv-none`);
    expect(unknown.status).toBe(404);
    expect((await manage(mine.key, "GET", path)).body).toEqual(unknown.body);
    expect((await mine.change(body.id, { name: "x" })).body).toEqual(unknown.body);
    expect((await mine.remove(body.id)).body).toEqual(unknown.body);
    expect((await manage(mine.key, "GET", PATH)).body.providers).toEqual([]);
    expect((await manage(mine.key, "GET", `${PATH}?tenant=${theirs.tenantId}`)).status).toBe(403);
    expect((await mine.create({ ...NONE, tenantId: theirs.tenantId })).status).toBe(403);

    const operator = (await makeTenant({ scopes: ["admin"] })).key;
    expect((await manage(operator, "GET", `${PATH}?tenant=${theirs.tenantId}`)).body.providers).toHaveLength(1);
    const all = (await manage(operator, "GET", `${PATH}?tenant=*`)).body.providers;
    expect(all.map(({ id }: { id: string }) => id)).toContain(body.id);
    const made = await manage(operator, "POST", PATH, { ...NONE, tenantId: mine.tenantId });
    expect(made.body).toMatchObject({ tenantId: mine.tenantId, pricedBy: "operator" });
    expect((await manage(operator, "POST", PATH, { ...NONE, tenantId: "nobody" })).status).toBe(404);

    const wanted = { scopes: ["manage"], endpointIds: [theirs.slug] };
    const limited = (await manage(theirs.key, "POST", "/v1/keys", wanted)).body.key;
    for (const [method, asked, sent] of [
      ["GET", PATH],
      ["POST", PATH, NONE],
      ["GET", path],
      ["PATCH", path, { name: "x" }],
      ["DELETE", path],
    ] as const)
      expect(await manage(limited, method, asked, sent)).toMatchObject({
        status: 403,
        body: { code: "restricted_key" },
      });
    const client = (await manage(theirs.key, "POST", "/v1/keys", { scopes: ["jobs"] })).body.key;
    expect((await manage(client, "GET", PATH)).status).toBe(403);
  });

  it("with the offers of an operator keeps them, whatever its tenant does, and so do slots that divide their price", async () => {
    const { tenantId, key, change, remove, endpoint } = await scene();
    const operator = (await makeTenant({ scopes: ["admin"] })).key;
    const { id } = (await manage(operator, "POST", PATH, { ...RUNPOD, tenantId })).body;
    const refused = { status: 403, body: { code: "operators_price" } };
    expect(await change(id, { offers: [{ ...L4, pricePerHour: "0.1" }] })).toMatchObject(refused);
    expect(await change(id, { offers: [{ ...L4, tier: "a4000" }] })).toMatchObject(refused);
    expect(await change(id, { default: true })).toMatchObject(refused);
    expect((await change(id, { name: "renamed", offers: [{ ...L4, pricePerHour: "0.43" }] })).status).toBe(200);

    const made = await endpoint({ providers: [id] });
    const path = `/v1/endpoints/${made.id}`;
    expect(await manage(key, "PATCH", path, { workers: { slots: 4 } })).toMatchObject(refused);
    expect((await manage(operator, "PATCH", path, { workers: { slots: 4 } })).body.workers.slots).toBe(4);
    expect((await manage(key, "PATCH", path, { name: "n", workers: { max: 5 } })).status).toBe(200);
    const spread = await endpoint({ providers: [], workers: { slots: 8 } });
    expect(await manage(key, "PATCH", `/v1/endpoints/${spread.id}`, { providers: [id] })).toMatchObject(refused);
    expect((await manage(key, "PATCH", path, { providers: [] })).status).toBe(200);
    expect((await remove(id)).status).toBe(200);
  });

  it("with the offers of an operator gives its tenant no machines of more GPUs, whose work is billed as that of one", async () => {
    const { tenantId, key, endpoint } = await scene();
    const operator = (await makeTenant({ scopes: ["admin"] })).key;
    const { id } = (await manage(operator, "POST", PATH, { ...RUNPOD, tenantId })).body;
    const refused = {
      status: 403,
      body: { code: "operators_price", detail: expect.stringMatching("set the price .*gpu.count") },
    };
    const made = await endpoint({ providers: [id] });
    const path = `/v1/endpoints/${made.id}`;
    const change = (by: string, sent: object) => manage(by, "PATCH", path, sent);
    expect(await change(key, { gpu: { count: 8 } })).toMatchObject(refused);
    expect((await change(operator, { gpu: { count: 8 } })).body.gpu.count).toBe(8);
    expect((await change(key, { name: "n", gpu: { minCudaVersion: "12.0" } })).status).toBe(200);
    expect((await change(key, { gpu: { count: 1 } })).status).toBe(200);
    const many = await endpoint({ providers: [], gpu: { pools: ["AMPERE_24"], count: 2 } });
    expect(await manage(key, "PATCH", `/v1/endpoints/${many.id}`, { providers: [id] })).toMatchObject(refused);
  });

  it("with its tenant's own offers has machines of as many GPUs as the tenant says", async () => {
    const { create, endpoint } = await scene();
    const { id } = (await create(NONE)).body;
    const made = await endpoint({ providers: [id], gpu: { pools: ["AMPERE_24"], count: 8 } });
    expect(made.gpu.count).toBe(8);
  });

  it("with its tenant's own offers is the tenant's to price, until an operator sets them", async () => {
    const { create, change } = await scene();
    const { id } = (await create(NONE)).body;
    const operator = (await makeTenant({ scopes: ["admin"] })).key;
    const byOperator = (patch: object) => manage(operator, "PATCH", `${PATH}/${id}`, patch);
    expect((await change(id, { offers: [{ ...L4, pricePerHour: "1" }] })).body.pricedBy).toBe("tenant");
    expect((await byOperator({ name: "n" })).body.pricedBy).toBe("tenant");
    expect((await byOperator({ offers: [{ ...L4, pricePerHour: "2" }] })).body.pricedBy).toBe("operator");
    expect((await change(id, { offers: [L4] })).status).toBe(403);
  });
});

describe("what endpoints have of a provider", () => {
  it("reaches their brokers before the answer: new offers, another default, and its end", async () => {
    const { create, change, endpoint } = await scene();
    const { id } = await endpoint();
    const provider = (await create({ ...NONE, default: true })).body;
    expect(provider.applied).toBe(true);
    const taken = async () => {
      const sql = "SELECT version, taken_version AS taken FROM endpoints WHERE id = ?";
      return env.DB.prepare(sql).bind(id).first<{ version: number; taken: number }>();
    };
    const first = await taken();
    expect(first?.taken).toBe(first?.version);
    expect(first?.version).toBeGreaterThan(1);
    expect(await candidatesOf(id)).toMatchObject([{ providerId: provider.id, priceNanodollarsPerHour: 430_000_000 }]);
    expect(await keptBy(id)).toEqual((await loadEndpointSettings(env.DB, id))?.fleet);
    expect((await change(provider.id, { offers: [{ ...L4, pricePerHour: "0.5" }] })).body.applied).toBe(true);
    expect(await candidatesOf(id)).toMatchObject([{ priceNanodollarsPerHour: 500_000_000 }]);
    expect((await change(provider.id, { default: false })).body.applied).toBe(true);
    expect(await candidatesOf(id)).toBeUndefined();
    expect(await keptBy(id)).toBeNull();
    const last = await taken();
    expect(last?.taken).toBe(last?.version);
    expect(last?.version).toBeGreaterThan((first?.version ?? 0) + 1);
  });

  it("keeps it from being removed, by their names, until they use it no more", async () => {
    const { create, change, remove, endpoint, key } = await scene();
    const { id } = (await create({ ...NONE, default: true })).body;
    const byName = await endpoint({ providers: [id] });
    const byDefault = await endpoint();
    const plain = await endpoint({ image: undefined });
    const refused = await remove(id);
    expect(refused).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect(refused.body.detail).toContain(
      `name it among their providers, from where it has to be taken first: ${byName.slug}`,
    );
    expect(refused.body.detail).toContain(`as a default one, until it is changed to default: false: ${byDefault.slug}`);
    expect(refused.body.detail).not.toContain(plain.slug);
    await manage(key, "DELETE", `/v1/endpoints/${byDefault.id}`);
    expect((await remove(id)).body.detail).not.toContain(byDefault.slug);
    await change(id, { default: false });
    expect((await remove(id, { "if-match": '"1"' })).status).toBe(412);
    expect((await manage(key, "PATCH", `/v1/endpoints/${byName.id}`, { providers: null })).status).toBe(200);
    expect(await remove(id)).toMatchObject({ status: 200, body: { id } });
    expect((await remove(id)).status).toBe(404);
    expect((await manage(key, "GET", `${PATH}/${id}`)).status).toBe(404);
    expect((await manage(key, "GET", PATH)).body.providers).toEqual([]);
    // Machines that are still there have to be ended by somebody.
    expect(await findProvider(env.DB, id)).toMatchObject({ id });
    const actions = (await manage(key, "GET", "/v1/audit")).body.lines.map(({ action }: { action: string }) => action);
    expect(actions.filter((action: string) => action.startsWith("provider."))).toEqual([
      "provider.delete",
      "provider.update",
      "provider.create",
    ]);
  });

  it("names at most ten of them", async () => {
    const { create, remove, endpoint } = await scene();
    const { id } = (await create(NONE)).body;
    for (let at = 0; at < 12; at += 1) await endpoint({ providers: [id] });
    const { detail } = (await remove(id)).body;
    expect(detail.match(/slug-/g)).toHaveLength(10);
    expect(detail).toContain("there are more");
  });
});
