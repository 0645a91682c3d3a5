// Providers in D1: which endpoints get which machines of them, what a change of one raises, and what that costs.
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { fleetSchema } from "../../src/contract/manage/fleet.ts";
import { loadEndpointSettings, loadManySettings } from "../../src/db/endpoints.ts";
import { updateManaged } from "../../src/db/managed-endpoints.ts";
import {
  deleteProvider,
  findManagedProvider,
  findProvider,
  insertProvider,
  type ManagedProvider,
  updateProvider,
} from "../../src/db/providers.ts";
import { runAll } from "../../src/db/statement.ts";
import { metered } from "../support/d1.ts";
import { makeTenant } from "../support/tenant.ts";

const L4 = { gpuTypeId: "NVIDIA L4", priceNanodollarsPerHour: 430_000_000 };
const GPU = { pools: ["AMPERE_24"], count: 1, allowedCudaVersions: [], minCudaVersion: null };

async function addProvider(tenantId: string, more: Partial<ManagedProvider> = {}): Promise<string> {
  const id = `prv-${crypto.randomUUID()}`;
  const provider = { name: "n", kind: "none" as const, url: null, sealedCredential: null, offers: [L4] };
  const stored = { ...provider, isDefault: false, pricedByOperator: false, createdAtMs: Date.now() };
  await runAll(env.DB, [insertProvider({ ...stored, ...more, id, tenantId })]);
  return id;
}

const setFleet = (endpointId: string, fleet: object) =>
  runAll(env.DB, [updateManaged(endpointId, { fleet: fleetSchema.parse(fleet) })]);
const fleetOf = async (endpointId: string) => (await loadEndpointSettings(env.DB, endpointId))?.fleet;
const providersOf = async (endpointId: string) =>
  (await fleetOf(endpointId))?.candidates.map(({ providerId }) => providerId);
const versionOf = async (endpointId: string) => (await loadEndpointSettings(env.DB, endpointId))?.version ?? 0;

describe("the fleet in an endpoint's settings", () => {
  it("is there once the endpoint has an image, hardware and a default provider of its tenant that offers it", async () => {
    const { endpointId, tenantId } = await makeTenant();
    const other = await makeTenant();
    await addProvider(other.tenantId, { isDefault: true });
    await setFleet(endpointId, { image: "i", gpu: GPU });
    expect(await fleetOf(endpointId)).toBeNull();
    await addProvider(tenantId);
    expect(await fleetOf(endpointId)).toBeNull();
    const first = await addProvider(tenantId, { isDefault: true, createdAtMs: 1 });
    const second = await addProvider(tenantId, { isDefault: true, kind: "runpod", createdAtMs: 2 });
    expect(await fleetOf(endpointId)).toMatchObject({
      release: 1,
      candidates: [
        { providerId: first, gpuTypeId: "NVIDIA L4", tier: "l4", canStop: false },
        { providerId: second, gpuTypeId: "NVIDIA L4", tier: "l4", canStop: true },
      ],
    });
    await setFleet(endpointId, { gpu: GPU });
    expect(await fleetOf(endpointId)).toBeNull();
  });

  it("has the providers that the endpoint names, in its order, and none of another tenant or that is gone", async () => {
    const { endpointId, tenantId } = await makeTenant();
    await addProvider(tenantId, { isDefault: true });
    const [one, two] = [await addProvider(tenantId), await addProvider(tenantId)];
    const foreign = await addProvider((await makeTenant()).tenantId);
    await setFleet(endpointId, { image: "i", gpu: GPU, providers: [two, foreign, "prv-none", one] });
    expect(await providersOf(endpointId)).toEqual([two, one]);
    await runAll(env.DB, deleteProvider(two, Date.now(), 0));
    expect(await providersOf(endpointId)).toEqual([one]);
    await setFleet(endpointId, { image: "i", gpu: GPU, providers: [] });
    expect(await fleetOf(endpointId)).toBeNull();
  });

  it("brings all prices of its machines' tiers, flex and active, beside those of upstreams", async () => {
    const { endpointId, tenantId } = await makeTenant({ upstreams: [{ tier: "a4000" }] });
    const offers = [L4, { gpuTypeId: "NVIDIA RTX A5000", priceNanodollarsPerHour: 1, tier: "a100" }];
    await addProvider(tenantId, { isDefault: true, offers });
    await setFleet(endpointId, { image: "i", gpu: GPU });
    await env.DB.prepare("INSERT INTO gpu_rates VALUES ('a100', 'flex', 4102444800000, 700000)").run();
    const rates = (await loadEndpointSettings(env.DB, endpointId))?.rates.map(({ tier, kind }) => `${tier} ${kind}`);
    const both = ["a4000", "a100", "l4"].flatMap((tier) => [`${tier} active`, `${tier} flex`]);
    expect(rates?.toSorted()).toEqual([...both, "a100 flex"].toSorted());
  });

  it("is the same where many are read, by one statement more for the tiers of all of them", async () => {
    const made = [await makeTenant(), await makeTenant(), await makeTenant({ upstreams: [{ tier: "b200" }] })];
    for (const { endpointId, tenantId } of made.slice(0, 2)) {
      await addProvider(tenantId, { isDefault: true });
      await setFleet(endpointId, { image: "i", gpu: GPU });
    }
    const ids = made.map(({ endpointId }) => endpointId);
    const alone = await Promise.all(ids.map((id) => loadEndpointSettings(env.DB, id)));
    const prepared = vi.spyOn(env.DB, "prepare");
    const many = await loadManySettings(env.DB, ids);
    expect(prepared).toHaveBeenCalledTimes(5);
    vi.restoreAllMocks();
    expect(many).toHaveLength(3);
    expect(many).toEqual(expect.arrayContaining(alone));
  });

  it("costs an endpoint without an image no row, however many providers its tenant has", async () => {
    const { endpointId, tenantId } = await makeTenant({ upstreams: [{ tier: "l4" }] });
    await setFleet(endpointId, { gpu: GPU });
    const before = await metered(() => loadEndpointSettings(env.DB, endpointId));
    for (let at = 0; at < 5; at += 1) await addProvider(tenantId, { isDefault: true });
    const after = await metered(() => loadEndpointSettings(env.DB, endpointId));
    expect(after.read).toBe(before.read);
    await setFleet(endpointId, { image: "i", gpu: GPU, providers: [] });
    expect((await metered(() => loadEndpointSettings(env.DB, endpointId))).read).toBe(before.read);
  });
});

describe("a change of a provider", () => {
  async function scene() {
    const { tenantId, endpointId: byDefault } = await makeTenant();
    const [byName, plain, without] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()];
    const insert = "INSERT INTO endpoints (id, tenant_id, slug, created_at, fleet) VALUES (?1, ?2, ?1, 1, ?3)";
    const provider = await addProvider(tenantId, { kind: "webhook", url: "https://hook.example.com/a" });
    const fleets: readonly (readonly [string, object])[] = [
      [byName, { image: "i", gpu: GPU, providers: [provider] }],
      [plain, { gpu: GPU }],
      [without, { image: "i", gpu: GPU, providers: [] }],
    ];
    for (const [id, fleet] of fleets)
      await env.DB.prepare(insert)
        .bind(id, tenantId, JSON.stringify(fleetSchema.parse(fleet)))
        .run();
    await setFleet(byDefault, { image: "i", gpu: GPU });
    const ids = [byDefault, byName, plain, without];
    /** Which of the endpoints get another version by a change: by default, by name, without an image, without a fleet. */
    const raised = async (change: () => Promise<unknown>) => {
      const before = await Promise.all(ids.map(versionOf));
      await change();
      const after = await Promise.all(ids.map(versionOf));
      return after.map((version, at) => version > (before[at] ?? 0));
    };
    const update = (settings: Parameters<typeof updateProvider>[1]) => () =>
      runAll(env.DB, [updateProvider(provider, settings)]);
    return { tenantId, provider, raised, update };
  }

  it("raises the versions of the endpoints that name it, where it is none of the default ones", async () => {
    const { raised, update, provider } = await scene();
    const namers = [false, true, false, false];
    expect(await raised(update({ offers: [{ ...L4, priceNanodollarsPerHour: 1 }] }))).toEqual(namers);
    expect(await raised(() => runAll(env.DB, deleteProvider(provider, 1, 0)))).toEqual(namers);
  });

  it("raises those of endpoints that name none, too, where it is or was a default one", async () => {
    const { raised, update, tenantId, provider } = await scene();
    const both = [true, true, false, false];
    expect(await raised(update({ isDefault: true }))).toEqual(both);
    expect(await raised(update({ offers: [L4, { ...L4, gpuTypeId: "NVIDIA H200" }] }))).toEqual(both);
    expect(await raised(update({ isDefault: false }))).toEqual(both);
    expect(await raised(() => addProvider(tenantId))).toEqual([false, false, false, false]);
    expect(await raised(() => addProvider(tenantId, { isDefault: true }))).toEqual([true, false, false, false]);
    await runAll(env.DB, [updateProvider(provider, { isDefault: true })]);
    const remove = () => env.DB.prepare("DELETE FROM providers WHERE id = ?").bind(provider).run();
    expect(await raised(remove)).toEqual(both);
  });

  it("raises none by what no broker has of it", async () => {
    const { raised, update } = await scene();
    const none = [false, false, false, false];
    expect(await raised(update({ name: "other" }))).toEqual(none);
    expect(await raised(update({ sealedCredential: "v1.x" }))).toEqual(none);
    expect(await raised(update({ offers: [L4] }))).toEqual(none);
  });

  it("finds the endpoints by an index, among thousands of its tenant's", async () => {
    const { update, tenantId } = await scene();
    await env.DB.prepare(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
       INSERT INTO endpoints (id, tenant_id, slug, created_at) SELECT ?1 || '-' || i, ?1, ?1 || '-' || i, i FROM n`,
    )
      .bind(tenantId)
      .run();
    expect((await metered(update({ isDefault: true }))).read).toBeLessThan(30);
  });
});

describe("a new price", () => {
  it("raises the versions of endpoints whose machines may have its tier, and of no others", async () => {
    const fleet = await makeTenant();
    const unprovided = await makeTenant();
    const plain = await makeTenant();
    await addProvider(fleet.tenantId, { isDefault: true });
    await addProvider(plain.tenantId, { isDefault: true });
    for (const { endpointId } of [fleet, unprovided]) await setFleet(endpointId, { image: "i", gpu: GPU });
    const ids = [fleet, unprovided, plain].map(({ endpointId }) => endpointId);
    const raisedBy = async (sql: string) => {
      const before = await Promise.all(ids.map(versionOf));
      await env.DB.prepare(sql).run();
      return (await Promise.all(ids.map(versionOf))).map((version, at) => version > (before[at] ?? 0));
    };
    const only = [true, false, false];
    expect(await raisedBy("INSERT INTO gpu_rates VALUES ('l4', 'flex', 4102444800001, 1)")).toEqual(only);
    const changed = "UPDATE gpu_rates SET nanodollars_per_second = 2 WHERE effective_from = 4102444800001";
    expect(await raisedBy(changed)).toEqual(only);
    expect(await raisedBy("DELETE FROM gpu_rates WHERE effective_from = 4102444800001")).toEqual(only);
  });
});

describe("a deleted provider", () => {
  it("is found by whoever has machines of it to end, by nobody else, and is forgotten by a later deletion", async () => {
    const { tenantId } = await makeTenant();
    const [first, second] = [await addProvider(tenantId, { isDefault: true }), await addProvider(tenantId)];
    await runAll(env.DB, deleteProvider(first, 1_000, 0));
    expect(await findManagedProvider(env.DB, null, first)).toBeNull();
    expect(await findProvider(env.DB, first)).toMatchObject({ id: first, isDefault: false, version: 2 });
    await runAll(env.DB, deleteProvider(second, 2_000, 1_000));
    expect(await findProvider(env.DB, first)).not.toBeNull();
    const third = await addProvider(tenantId);
    await runAll(env.DB, deleteProvider(third, 3_000, 1_001));
    expect(await findProvider(env.DB, first)).toBeNull();
    expect(await findProvider(env.DB, second)).not.toBeNull();
  });
});
