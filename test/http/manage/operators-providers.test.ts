// Providers that an operator gives to a tenant: what the tenant has set before must not lower the bill.
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

describe("slots and GPUs that a tenant has set before an operator gives it machines", () => {
  it.each([
    ["slots", { workers: { slots: 1_000 } }],
    ["GPUs", { gpu: { pools: ["AMPERE_24"], count: 8 } }],
  ])("(%s) keep a default provider of the operator's away, until they are one", async (_, many) => {
    const { tenantId, endpoint, byTenant, byOperator } = await scene();
    const { id, slug } = await endpoint(many);
    const added = { ...RUNPOD, tenantId, default: true };
    const refused = { status: 409, body: { detail: expect.stringContaining(slug) } };
    expect(await byOperator("POST", PATH, added)).toMatchObject(refused);
    const later = (await byOperator("POST", PATH, { ...added, default: false })).body;
    expect(await byOperator("PATCH", `${PATH}/${later.id}`, { default: true })).toMatchObject(refused);
    expect(await fleetOf(id)).toBeNull();

    await byTenant("PATCH", `/v1/endpoints/${id}`, { workers: { slots: 1 }, gpu: { count: 1 } });
    const headers = { "idempotency-key": "once" };
    const made = await byOperator("POST", PATH, added, headers);
    expect(made.status).toBe(201);
    expect((await byOperator("PATCH", `/v1/endpoints/${id}`, many)).status).toBe(200);
    expect(await byOperator("POST", PATH, added, headers)).toMatchObject({ status: 201, body: { id: made.body.id } });
    const dearer = { offers: [{ ...L4, pricePerHour: "0.5" }] };
    expect((await byOperator("PATCH", `${PATH}/${made.body.id}`, dearer)).status).toBe(200);
  });

  it("keep an operator from setting the offers of a provider that such an endpoint names", async () => {
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

  it("count without an image, too: it may be set at any time", async () => {
    const { tenantId, byTenant, byOperator } = await scene();
    const slug = `slug-${crypto.randomUUID()}`;
    await byTenant("POST", "/v1/endpoints", { slug, gpu: ONE_GPU, workers: { slots: 9 } });
    expect((await byOperator("POST", PATH, { ...RUNPOD, tenantId, default: true })).status).toBe(409);
  });
});
