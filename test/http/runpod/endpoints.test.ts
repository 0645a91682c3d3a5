// /v2/serverless as RunPod's clients call it.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

const WANTED = {
  name: "llama",
  image: "my-org/worker:1",
  type: "QUEUE",
  gpu: { pools: ["ADA_24"], count: 1 },
  workers: { min: 0, max: 3, idleTimeout: 5 },
  scaling: { type: "QUEUE_DELAY", queueDelay: 4 },
  flashboot: "OFF",
} as const;

async function scene() {
  const { key } = await makeTenant({ scopes: ["jobs", "manage"] });
  const create = (more: object = {}) => manage(key, "POST", "/v2/serverless", { ...WANTED, ...more });
  return { key, create };
}

describe("an endpoint of RunPod's plane", () => {
  it("is created with RunPod's defaults, shown, listed and called at its addresses", async () => {
    const { key, create } = await scene();
    const { status, body } = await create({ workers: {}, scaling: { type: "QUEUE_DELAY", queueDelay: 4 } });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      name: "llama",
      type: "QUEUE",
      timeout: 300_000,
      flashboot: "OFF",
      workers: { min: 0, max: 3, idleTimeout: 10 },
      gpu: { pools: ["ADA_24"], count: 1, allowedCudaVersions: [], minCudaVersion: null },
      dataCenterIds: [],
      networkVolumes: [],
      env: {},
    });
    const read = await manage(key, "GET", `/v2/serverless/${body.id}`);
    expect(read.body).toEqual(body);
    expect((await manage(key, "GET", "/v2/serverless")).body).toMatchObject({
      endpoints: [{ id: body.id }, {}],
      pagination: { hasNextPage: false, nextCursor: null },
    });
    const run = new URL(body.requestUrls.run).pathname;
    expect(run).toBe(`/v2/${body.id}/run`);
    const submitted = await manage(key, "POST", run, { input: {} }).catch(String);
    expect(submitted).toContain("answered 200");
  });

  const ENDPOINTS = `INSERT INTO endpoints (id, tenant_id, slug, created_at, fleet)
    SELECT 'large' || value || ?1, ?1, 'slug' || value || ?1, value, ?2 FROM json_each(?3)`;
  const TEMPLATES = `INSERT INTO templates (id, tenant_id, name, created_at, settings)
    SELECT 'large' || value || ?1, ?1, 'large', value, ?2 FROM json_each(?3)`;
  it.each([
    ["/v2/serverless", "endpoints", ENDPOINTS],
    ["/v2/templates", "templates", TEMPLATES],
  ])("is listed by %s in pages that fit into memory, also where a thousand are asked for", async (path, of, insert) => {
    const { key, tenantId } = await makeTenant({ scopes: ["jobs", "manage"] });
    const { body: template } = await manage(key, "POST", "/v2/templates", { name: "t", image: "i" });
    const { id: _, name: __, env: ___, ...settings } = template;
    const large = JSON.stringify({ ...settings, args: "x".repeat(60_000) });
    const numbers = JSON.stringify(Array.from({ length: 100 }, (_item, at) => at));
    await env.DB.prepare(insert).bind(tenantId, large, numbers).run();
    const seen: string[] = [];
    let cursor = "";
    for (let pages = 1; ; pages += 1) {
      const { status, body } = await manage(key, "GET", `${path}${cursor}`);
      expect(status).toBe(200);
      expect(JSON.stringify(body).length).toBeLessThan(4_300_000);
      seen.push(...body[of].map(({ id }: { id: string }) => id));
      if (!body.pagination.hasNextPage) {
        expect(pages).toBe(2);
        break;
      }
      cursor = `?cursor=${body.pagination.nextCursor}`;
    }
    expect(seen.filter((id) => id.startsWith("large"))).toHaveLength(100);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it("keeps what is left out, and makes a release of what workers are started with", async () => {
    const { key, create } = await scene();
    const { body } = await create({ env: { TOKEN: "secret-value" } });
    const path = `/v2/serverless/${body.id}`;
    const scaled = await manage(key, "PATCH", path, { workers: { max: 7 }, gpu: { count: 2 } });
    expect(scaled).toMatchObject({
      status: 200,
      body: {
        workers: { min: 0, max: 7, idleTimeout: 5 },
        gpu: { pools: ["ADA_24"], count: 2 },
        env: { TOKEN: "secret-value" },
      },
    });
    const replaced = await manage(key, "PATCH", path, { env: { OTHER: "x" } });
    expect(replaced.body.env).toEqual({ OTHER: "x" });
  });

  it("names every field that its description does not allow, as RunPod does", async () => {
    const { create } = await scene();
    const refused = await create({ bogus: 1, workers: { min: -1 }, type: "OTHER" });
    expect(refused.status).toBe(422);
    expect(refused.body).toMatchObject({ title: "Unprocessable Content", detail: "validation failed" });
    expect(refused.body.errors).toContain("$: additional properties 'bogus' not allowed");
    expect(refused.body.errors.join("\n")).toMatch(/\$\.workers\.min: .*\n?/);
  });

  it("answers 400 where fields do not fit each other, with what there is", async () => {
    const { create } = await scene();
    const cases = [
      [{ gpu: undefined }, "one of gpu and cpu is required"],
      [{ cpu: [{ id: "cpu3c", vcpuCount: 2 }] }, "gpu and cpu exclude each other"],
      [{ gpu: { pools: ["NOPE"] } }, "there is no pool NOPE; there are AMPERE_16"],
      [{ gpu: { pools: ["ADA_24"], excludedTypes: ["NVIDIA L4"] } }, "NVIDIA L4 is not in these pools"],
      [{ gpu: { pools: ["ADA_24"], allowedCudaVersions: ["12.8"], minCudaVersion: "12.1" } }, "exclude each other"],
      [{ scaling: { type: "REQUEST_COUNT", requestCount: 4 } }, "idleTimeout"],
      [{ workers: { min: 5, max: 3 } }, "workers.min: must not be over workers.max"],
    ] as const;
    for (const [more, detail] of cases) {
      const { status, body } = await create(more);
      expect(status, detail).toBe(400);
      expect(body.detail).toContain(detail);
    }
  });

  it("is another tenant's as if it were none, and shows its environment to managers alone", async () => {
    const { create } = await scene();
    const { body } = await create();
    const { key: stranger } = await makeTenant({ scopes: ["jobs", "manage"] });
    const foreign = await manage(stranger, "GET", `/v2/serverless/${body.id}`);
    const unknown = await manage(stranger, "GET", "/v2/serverless/0000000000000000");
    expect(foreign.status).toBe(404);
    expect(foreign.body).toEqual(unknown.body);
  });

  it("counts calls in the headers that RunPod's clients read", async () => {
    const { key } = await scene();
    const { headers } = await manage(key, "GET", "/v2/serverless");
    expect(headers.get("ratelimit-policy")).toBe('"minute";q=3000;w=60, "hour";q=60000;w=3600, "day";q=500000;w=86400');
    expect(headers.get("ratelimit")).toMatch(/^"minute";r=2999;t=\d+, "hour";r=59999;t=\d+, "day";r=499999;t=\d+$/);
  });

  it("leaves every other path of the plane to a problem that says what there is", async () => {
    const { key } = await scene();
    for (const path of ["/v2/pods", "/v2/registries/x", "/v2/serverless/a/b/c/d"]) {
      const { status, body } = await manage(key, "GET", path);
      expect(status).toBe(404);
      expect(body.hint).toContain("/v2/openapi.json");
    }
    expect((await manage(key, "POST", "/v2/serverless/run", { input: {} })).status).toBe(405);
    expect((await manage(null, "GET", "/v2/serverless")).status).toBe(401);
  });
});
