// Providers that an operator gives to a tenant: what the tenant has set before must not lower the bill, and nothing of the operator's account is the tenant's to use.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { loadEndpointSettings } from "../../../src/db/endpoints.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

const PATH = "/v1/providers";
const L4 = { gpuTypeId: "NVIDIA L4", pricePerHour: "0.43" };
const NONE = { name: "plan", kind: "none", offers: [L4] };
const RUNPOD = { name: "pods", kind: "runpod", credential: "rpa_0123456789ABCDEF", offers: [L4] };
const ONE_GPU = { pools: ["AMPERE_24"], count: 1 };

const CLEARED = { workers: { slots: 1 }, gpu: { count: 1 }, registry: null, networkVolumes: [], disk: 100 };

async function scene() {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"] });
  const operator = await makeTenant({ scopes: ["admin"] });
  const endpoint = async (more: object = {}) => {
    const body = { slug: `slug-${crypto.randomUUID()}`, image: "my-org/worker:1", gpu: ONE_GPU, ...more };
    return (await manage(tenant.key, "POST", "/v1/endpoints", body)).body;
  };
  const byTenant = (method: string, path: string, body: object) => manage(tenant.key, method, path, body);
  const byOperator = (method: string, path: string, body: object, headers = {}) =>
    manage(operator.key, method, path, body, headers);
  return { ...tenant, endpoint, byTenant, byOperator };
}

const fleetOf = async (id: string) => (await loadEndpointSettings(env.DB, id))?.fleet;

describe("what a tenant has set before an operator gives it machines", () => {
  it.each([
    ["slots", { workers: { slots: 1_000 } }],
    ["GPUs", { gpu: { pools: ["AMPERE_24"], count: 8 } }],
    ["a registry", { registry: "creg_1" }],
    ["volumes", { networkVolumes: ["vol1"] }],
    ["a large disk", { disk: 101 }],
  ])("(%s) keeps a default provider of the operator's away, until they are cleared", async (_, many) => {
    const { tenantId, endpoint, byTenant, byOperator } = await scene();
    const { id, slug } = await endpoint(many);
    const added = { ...RUNPOD, tenantId, default: true };
    const refused = { status: 409, body: { detail: expect.stringContaining(slug) } };
    expect(await byOperator("POST", PATH, added)).toMatchObject(refused);
    const later = (await byOperator("POST", PATH, { ...added, default: false })).body;
    expect(await byOperator("PATCH", `${PATH}/${later.id}`, { default: true })).toMatchObject(refused);
    expect(await fleetOf(id)).toBeNull();

    await byTenant("PATCH", `/v1/endpoints/${id}`, CLEARED);
    const headers = { "idempotency-key": "once" };
    const made = await byOperator("POST", PATH, added, headers);
    expect(made.status).toBe(201);
    expect((await byOperator("PATCH", `/v1/endpoints/${id}`, many)).status).toBe(200);
    expect(await byOperator("POST", PATH, added, headers)).toMatchObject({ status: 201, body: { id: made.body.id } });
    const dearer = { offers: [{ ...L4, pricePerHour: "0.5" }] };
    expect((await byOperator("PATCH", `${PATH}/${made.body.id}`, dearer)).status).toBe(200);
  });

  it("keeps an operator from setting the offers of a provider that such an endpoint names", async () => {
    const { endpoint, byTenant, byOperator } = await scene();
    const { id } = (await byTenant("POST", PATH, NONE)).body;
    const { slug } = await endpoint({ providers: [id], workers: { slots: 4 } });
    const dearer = { offers: [{ ...L4, pricePerHour: "2" }] };
    expect(await byOperator("PATCH", `${PATH}/${id}`, dearer)).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining(slug) },
    });
    expect((await byOperator("PATCH", `${PATH}/${id}`, { name: "renamed" })).status).toBe(200);
  });

  it("counts without an image, too: that may be set at any time", async () => {
    const { tenantId, byTenant, byOperator } = await scene();
    const slug = `slug-${crypto.randomUUID()}`;
    await byTenant("POST", "/v1/endpoints", { slug, gpu: ONE_GPU, workers: { slots: 9 } });
    expect((await byOperator("POST", PATH, { ...RUNPOD, tenantId, default: true })).status).toBe(409);
  });
});

describe("the account of an operator", () => {
  const READS = { SAFE: "1", X: "{{ RUNPOD_SECRET_hf_token }}" };

  it("keeps its secrets, registries, volumes and large disks from endpoints whose machines it pays", async () => {
    const { tenantId, endpoint, byTenant, byOperator } = await scene();
    const { id } = (await byOperator("POST", PATH, { ...RUNPOD, tenantId })).body;
    const made = await endpoint({ providers: [id] });
    const path = `/v1/endpoints/${made.id}`;
    const inEnv = { status: 400, body: { detail: expect.stringContaining("X") } };
    expect(await byTenant("PATCH", path, { env: READS })).toMatchObject(inEnv);
    expect(await byOperator("PATCH", path, { env: READS })).toMatchObject(inEnv);
    for (const taken of [{ registry: "creg_1" }, { networkVolumes: ["vol1"] }, { disk: 101 }]) {
      const detail = expect.stringMatching(`^an operator's account pays .*: its .*${Object.keys(taken)[0]}`);
      const refused = { status: 403, body: { code: "operators_price", detail } };
      expect(await byTenant("PATCH", path, taken)).toMatchObject(refused);
      expect((await byOperator("PATCH", path, taken)).status).toBe(200);
      expect((await byTenant("PATCH", path, { ...taken, name: "kept" })).status).toBe(200);
      const other = await endpoint({ providers: [], ...taken });
      expect(await byTenant("PATCH", `/v1/endpoints/${other.id}`, { providers: [id] })).toMatchObject(refused);
    }
    expect((await byTenant("PATCH", path, { registry: null, networkVolumes: [], disk: 100 })).status).toBe(200);
  });

  it("keeps a registry and volumes that an operator has set when the tenant changes the image, which then has them", async () => {
    const { tenantId, endpoint, byTenant, byOperator } = await scene();
    const { id } = (await byOperator("POST", PATH, { ...RUNPOD, tenantId })).body;
    const made = await endpoint({ providers: [id] });
    const path = `/v1/endpoints/${made.id}`;
    const given = { registry: "creg_1", networkVolumes: ["vol1"] };
    expect((await byOperator("PATCH", path, given)).status).toBe(200);
    const released = { image: "my-org/worker:2", args: "--volume /runpod-volume" };
    expect(await byTenant("PATCH", path, released)).toMatchObject({ status: 200, body: { ...given, ...released } });
  });

  it("keeps its secrets from an endpoint that reads them already and is given its provider", async () => {
    const { tenantId, endpoint, byTenant, byOperator } = await scene();
    const { id } = (await byOperator("POST", PATH, { ...RUNPOD, tenantId })).body;
    const path = `/v1/endpoints/${(await endpoint({ providers: [], env: READS })).id}`;
    const refused = { status: 400, body: { field: "env", detail: expect.stringContaining("X") } };
    for (const change of [byTenant, byOperator])
      expect(await change("PATCH", path, { providers: [id] })).toMatchObject(refused);
    expect((await byTenant("PATCH", path, { providers: [id], env: { SAFE: "1" } })).status).toBe(200);
    expect((await byTenant("PATCH", path, { providers: [] })).status).toBe(200);
    await byTenant("PATCH", path, { env: READS });
    await byOperator("PATCH", `${PATH}/${id}`, { default: true });
    expect(await byTenant("PATCH", path, { providers: null })).toMatchObject(refused);
  });

  it("gives no large disk by RunPod's calls or by a template either", async () => {
    const { tenantId, byTenant, byOperator } = await scene();
    await byOperator("POST", PATH, { ...RUNPOD, tenantId, default: true });
    const detail =
      "an operator's account pays for this endpoint's machines: its registry, networkVolumes, disk over 100,";
    const refused = { status: 403, body: { detail: expect.stringContaining(detail) } };
    const wanted = {
      name: "e",
      type: "QUEUE",
      image: "my-org/worker:1",
      gpu: ONE_GPU,
      scaling: { type: "QUEUE_DELAY", queueDelay: 2 },
    };
    expect(await byTenant("POST", "/v2/serverless", { ...wanted, disk: 100_000 })).toMatchObject(refused);
    const made = await byTenant("POST", "/v2/serverless", { ...wanted, disk: 100 });
    expect(made.status).toBe(201);
    const path = `/v2/serverless/${made.body.id}`;
    expect(await byTenant("PATCH", path, { disk: 100_000 })).toMatchObject(refused);
    const template = { name: `large-${crypto.randomUUID()}`, image: "my-org/worker:1", serverless: true, disk: 101 };
    const { id: templateId } = (await byTenant("POST", "/v2/templates", template)).body;
    expect(await byTenant("PATCH", path, { templateId })).toMatchObject(refused);
  });

  it("is not exchanged by the tenant, whose key would find none of the machines that are there", async () => {
    const { tenantId, byTenant, byOperator } = await scene();
    const path = `${PATH}/${(await byOperator("POST", PATH, { ...RUNPOD, tenantId })).body.id}`;
    const other = { credential: "rpa_another-0123456789" };
    expect(await byTenant("PATCH", path, other)).toMatchObject({
      status: 403,
      body: { code: "operators_price", detail: expect.stringMatching("operator's account pays .*: its credential") },
    });
    expect((await byTenant("PATCH", path, { name: "renamed" })).status).toBe(200);
    expect((await byOperator("PATCH", path, other)).status).toBe(200);
  });

  it("is the tenant's own to use where the provider is", async () => {
    const { endpoint, byTenant } = await scene();
    const { id } = (await byTenant("POST", PATH, RUNPOD)).body;
    const more = { env: READS, registry: "creg_1", networkVolumes: ["vol1"], disk: 1_000 };
    expect((await byTenant("PATCH", `${PATH}/${id}`, { credential: RUNPOD.credential })).status).toBe(200);
    expect(await endpoint({ providers: [id], ...more })).toMatchObject(more);
  });
});
