// The settings of an endpoint's fleet in /v1/endpoints: what they may be, what comes of them at the broker, and what no other plane shows.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { loadEndpointSettings } from "../../../src/db/endpoints.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

const L4 = { gpuTypeId: "NVIDIA L4", pricePerHour: "0.43" };
const GPU = { pools: ["AMPERE_24"], count: 2 };
const OFFICE = {
  timeZone: "Europe/Berlin",
  entries: [{ days: ["Mon", "Tue", "Wed", "Thu", "Fri"], from: "08:00", to: "18:00", min: 2 }],
};
const SETTINGS = {
  schedule: OFFICE,
  maxCostPerHour: "2.5",
  initTimeout: 600,
  workerLifetime: 7_200,
};

const UUID = /[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g;
const isId = (name: string) => /^id$|Id$/.test(name);

async function scene() {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"] });
  const provider = async (more: object = {}) =>
    (await manage(tenant.key, "POST", "/v1/providers", { name: "p", kind: "none", offers: [L4], ...more })).body.id;
  const create = (more: object = {}) => {
    const body = { slug: `slug-${crypto.randomUUID()}`, image: "my-org/worker:1", gpu: GPU };
    return manage(tenant.key, "POST", "/v1/endpoints", { ...body, ...more });
  };
  const change = (id: string, patch: object) => manage(tenant.key, "PATCH", `/v1/endpoints/${id}`, patch);
  return { ...tenant, provider, create, change };
}

const fleetOf = async (id: string) => (await loadEndpointSettings(env.DB, id))?.fleet;

describe("the fleet of an endpoint of /v1", () => {
  it("is that of its tenant's default providers, with defaults that are shown, unless it says otherwise", async () => {
    const { provider, create } = await scene();
    const id = await provider({ default: true });
    const { status, body } = await create();
    expect(status).toBe(201);
    expect(body).toMatchObject({
      providers: null,
      workers: { min: 0, max: 3, idleTimeout: 5, slots: 1 },
      schedule: null,
      maxCostPerHour: null,
      initTimeout: 420,
      workerLifetime: 86_400,
      gpuTypesWithoutTier: [],
    });
    expect(await fleetOf(body.id)).toMatchObject({
      candidates: [{ providerId: id, priceNanodollarsPerHour: 860_000_000 }],
      initTimeoutMs: 420_000,
      lifetimeMs: 86_400_000,
    });
  });

  it("takes each of its settings, gives it back, brings it to the broker, and clears it again", async () => {
    const { provider, create, change, key } = await scene();
    const id = await provider();
    const made = (await create({ ...SETTINGS, providers: [id], workers: { slots: 4 } })).body;
    const shown = { ...SETTINGS, providers: [id], maxCostPerHour: "2.500000000" };
    expect(made).toMatchObject({ ...shown, workers: { min: 0, max: 3, slots: 4 } });
    expect((await manage(key, "GET", `/v1/endpoints/${made.id}`)).body).toMatchObject(shown);
    expect(await fleetOf(made.id)).toMatchObject({
      slots: 4,
      schedule: { timeZone: "Europe/Berlin", entries: [{ fromMinute: 480, toMinute: 1_080, min: 2 }] },
      ceilingNanodollarsPerHour: 2_500_000_000,
      initTimeoutMs: 600_000,
      lifetimeMs: 7_200_000,
      candidates: [{ providerId: id }],
    });
    const kept = await change(made.id, { workers: { max: 7 } });
    expect(kept.body).toMatchObject({ ...shown, applied: true, workers: { max: 7, slots: 4 } });
    const cleared = await change(made.id, { schedule: null, maxCostPerHour: null, providers: [] });
    expect(cleared.body).toMatchObject({ schedule: null, maxCostPerHour: null, providers: [] });
    expect(await fleetOf(made.id)).toBeNull();
    expect((await change(made.id, { providers: null })).body.providers).toBeNull();
  });

  it("is written to the audit, and is no release: workers go on as they were started", async () => {
    const { provider, create, change, key } = await scene();
    const id = await provider();
    const made = (await create()).body;
    await change(made.id, { ...SETTINGS, providers: [id], workers: { slots: 2 } });
    const [line] = (await manage(key, "GET", "/v1/audit?limit=1")).body.lines;
    expect(line).toMatchObject({ action: "endpoint.update", objectId: made.id });
    expect(line.changes).toEqual([
      { field: "workers", old: { min: 0, max: 3, slots: 1 }, new: { min: 0, max: 3, slots: 2 } },
      { field: "providers", old: null, new: [id] },
      { field: "schedule", old: null, new: OFFICE },
      { field: "ceilingNanodollarsPerHour", old: null, new: 2_500_000_000 },
      { field: "initTimeout", old: null, new: 600 },
      { field: "workerLifetime", old: null, new: 7_200 },
    ]);
    expect((await manage(key, "GET", `/v1/endpoints/${made.id}`)).body.release).toBe(1);
    expect((await manage(key, "GET", `/v2/serverless/${made.id}/releases`)).body.releases).toHaveLength(1);
  });

  it("gives a worker the time for its start that the environment names, without its value anywhere else", async () => {
    const { provider, create, change, key } = await scene();
    await provider({ default: true });
    const made = (await create({ initTimeout: 60, env: { RUNPOD_INIT_TIMEOUT: "1234" } })).body;
    expect(made.initTimeout).toBe(60);
    expect((await fleetOf(made.id))?.initTimeoutMs).toBe(1_234_000);
    await change(made.id, { initTimeout: 90 });
    expect((await fleetOf(made.id))?.initTimeoutMs).toBe(1_234_000);
    await change(made.id, { env: { RUNPOD_INIT_TIMEOUT: "4" } });
    expect((await fleetOf(made.id))?.initTimeoutMs).toBe(90_000);
    const template = { name: "t", image: "i", serverless: true, env: { RUNPOD_INIT_TIMEOUT: "1235" } };
    const templateId = (await manage(key, "POST", "/v2/templates", template)).body.id;
    await change(made.id, { templateId });
    expect((await fleetOf(made.id))?.initTimeoutMs).toBe(1_235_000);
    for (const path of ["/v1/audit", `/v2/serverless/${made.id}/releases`]) {
      // Without the ids, which may have these digits in them by chance.
      const shown = JSON.stringify((await manage(key, "GET", path)).body, (name, value) => (isId(name) ? "" : value));
      expect(shown.replaceAll(UUID, "")).not.toMatch(/123[45]/);
    }
    await change(made.id, { env: {} });
    expect((await fleetOf(made.id))?.initTimeoutMs).toBe(90_000);
  });

  it("leaves out GPU types that no tier has a price for, and the endpoint says which", async () => {
    const { provider, create } = await scene();
    await provider({ default: true });
    const gpu = { pools: ["AMPERE_24", "ADA_32_PRO"] };
    const { body } = await create({ gpu });
    expect(body.gpuTypesWithoutTier).toEqual(["NVIDIA GeForce RTX 5090"]);
    expect((await fleetOf(body.id))?.candidates.map(({ gpuTypeId }) => gpuTypeId)).toEqual(["NVIDIA L4"]);
    await provider({ default: true, offers: [{ ...L4, gpuTypeId: "NVIDIA GeForce RTX 5090", tier: "l40s" }] });
    expect((await fleetOf(body.id))?.candidates.map(({ gpuTypeId }) => gpuTypeId)).toEqual([
      "NVIDIA L4",
      "NVIDIA GeForce RTX 5090",
    ]);
  });

  it("is of machines without a GPU where it selects a CPU", async () => {
    const { provider, create } = await scene();
    await provider({ default: true, offers: [{ gpuTypeId: "CPU", pricePerHour: "0.05", tier: "a4000" }, L4] });
    const { body } = await create({ gpu: undefined, cpu: [{ id: "cpu3c", vcpuCount: 4 }] });
    expect(await fleetOf(body.id)).toMatchObject({
      candidates: [{ gpuTypeId: "CPU", tier: "a4000", priceNanodollarsPerHour: 50_000_000 }],
    });
  });

  it.each([
    ["providers", { providers: ["prv-none"] }, "no provider prv-none"],
    ["providers", { providers: ["a", "a"] }, "once"],
    ["providers", { providers: Array.from({ length: 21 }, (_, at) => `p${at}`) }, "20"],
    ["workers.slots", { workers: { slots: 0 } }, ""],
    ["workers.slots", { workers: { slots: 1_001 } }, "1000"],
    ["maxCostPerHour", { maxCostPerHour: 2.5 }, "string"],
    ["maxCostPerHour", { maxCostPerHour: "2.5e3" }, "decimal text"],
    ["maxCostPerHour", { maxCostPerHour: "1000000.1" }, "at most 1000000"],
    ["initTimeout", { initTimeout: 4 }, "5"],
    ["initTimeout", { initTimeout: 3_601 }, "3600"],
    ["workerLifetime", { workerLifetime: 59 }, "60"],
    ["workerLifetime", { workerLifetime: 604_801 }, "604800"],
    ["workerLifetime", { workerLifetime: 420 }, "420 s"],
    ["workerLifetime", { workerLifetime: 900, env: { RUNPOD_INIT_TIMEOUT: "900" } }, "900 s"],
    ["schedule.timeZone", { schedule: { ...OFFICE, timeZone: "Europe/Nowhere" } }, "Europe/Berlin"],
    ["schedule.entries", { schedule: { ...OFFICE, entries: [] } }, ""],
    ["schedule.entries.0.days.0", { schedule: withEntry({ days: ["Monday"] }) }, ""],
    ["schedule.entries.0.days", { schedule: withEntry({ days: ["Mon", "Mon"] }) }, "once"],
    ["schedule.entries.0.days", { schedule: withEntry({ days: [] }) }, ""],
    ["schedule.entries.0.from", { schedule: withEntry({ from: "24:00" }) }, "08:00"],
    ["schedule.entries.0.from", { schedule: withEntry({ from: "8:00" }) }, "08:00"],
    ["schedule.entries.0.to", { schedule: withEntry({ to: "24:01" }) }, "24:00"],
    ["schedule.entries.0.min", { schedule: withEntry({ min: 1_001 }) }, "1000"],
    ["gpuTypesWithoutTier", { gpuTypesWithoutTier: [] }, "not known"],
  ])("refuses what cannot be, and names the field: %s of %o", async (field, more, part) => {
    const { create } = await scene();
    const { status, body } = await create(more);
    expect([status, body.field ?? body.errors?.[0].field]).toEqual([400, field]);
    expect(body.detail).toContain(part);
  });

  it("has no provider of another tenant, and of none that was removed", async () => {
    const [mine, theirs] = [await scene(), await scene()];
    const foreign = await theirs.provider();
    const own = await mine.provider();
    const { id } = (await mine.create()).body;
    expect(await mine.change(id, { providers: [own, foreign] })).toMatchObject({
      status: 400,
      body: { field: "providers", detail: expect.stringContaining(foreign) },
    });
    const operator = (await makeTenant({ scopes: ["admin"] })).key;
    const byOperator = await manage(operator, "PATCH", `/v1/endpoints/${id}`, { providers: [foreign] });
    expect(byOperator.status).toBe(400);
    await manage(mine.key, "DELETE", `/v1/providers/${own}`);
    expect((await mine.change(id, { providers: [own] })).status).toBe(400);
  });

  it("names no provider by a key for some endpoints, which sees none", async () => {
    const { provider, create, key } = await scene();
    const id = await provider();
    const made = (await create()).body;
    const limited = (await manage(key, "POST", "/v1/keys", { scopes: ["manage"], endpointIds: [made.id] })).body.key;
    const change = (patch: object) => manage(limited, "PATCH", `/v1/endpoints/${made.id}`, patch);
    expect(await change({ providers: [id] })).toMatchObject({ status: 403, body: { code: "restricted_key" } });
    expect((await change({ providers: [], maxCostPerHour: "1", workers: { slots: 2 } })).status).toBe(200);
  });

  it("either names a provider or finds it gone, where both happen at once", async () => {
    const { provider, create, change, key } = await scene();
    for (let round = 0; round < 5; round += 1) {
      const id = await provider();
      const made = (await create()).body;
      const [named, removed] = await Promise.all([
        change(made.id, { providers: [id] }),
        manage(key, "DELETE", `/v1/providers/${id}`),
      ]);
      expect([
        [200, 409],
        [400, 200],
      ]).toContainEqual([named.status, removed.status]);
    }
  });
});

function withEntry(more: object): object {
  return { ...OFFICE, entries: [{ ...OFFICE.entries[0], ...more }] };
}

describe("an endpoint of RunPod's plane", () => {
  const WANTED = {
    name: "e",
    type: "QUEUE",
    image: "my-org/worker:1",
    gpu: { pools: ["AMPERE_24"], count: 1 },
    scaling: { type: "QUEUE_DELAY", queueDelay: 2 },
  };
  const OURS = ["providers", "schedule", "maxCostPerHour", "initTimeout", "workerLifetime", "gpuTypesWithoutTier"];

  it("has machines of its tenant's default providers, and neither shows nor takes a field of ours", async () => {
    const { provider, key } = await scene();
    const id = await provider({ default: true });
    const { body } = await manage(key, "POST", "/v2/serverless", WANTED);
    expect(await fleetOf(body.id)).toMatchObject({
      rule: { type: "QUEUE_DELAY", delayMs: 2_000 },
      keepsStopped: false,
      candidates: [{ providerId: id }],
    });
    await manage(key, "PATCH", `/v1/endpoints/${body.id}`, { ...SETTINGS, providers: [id], workers: { slots: 2 } });
    const shown = [
      (await manage(key, "GET", `/v2/serverless/${body.id}`)).body,
      (await manage(key, "PATCH", `/v2/serverless/${body.id}`, { workers: { max: 4 } })).body,
    ];
    for (const endpoint of shown) {
      for (const field of OURS) expect(endpoint).not.toHaveProperty(field);
      expect(Object.keys(endpoint.workers).toSorted()).toEqual(["idleTimeout", "max", "min"]);
    }
    for (const more of [{ providers: [] }, { workers: { slots: 2 } }, { maxCostPerHour: "1" }]) {
      expect((await manage(key, "PATCH", `/v2/serverless/${body.id}`, more)).status).toBe(422);
    }
    expect((await manage(key, "GET", `/v1/endpoints/${body.id}`)).body).toMatchObject({
      ...SETTINGS,
      maxCostPerHour: "2.500000000",
      providers: [id],
      workers: { max: 4, slots: 2 },
    });
  });
});
