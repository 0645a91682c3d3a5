// /v2/templates, what an endpoint takes of a template on either plane, and the catalogue of public templates.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

const WANTED = {
  name: "vllm",
  image: "my-org/vllm:1",
  args: "--port 8000",
  disk: 40,
  ports: ["8000/http"],
  registry: "reg-1",
  env: { MODEL: "llama", TOKEN: "planted-secret" },
  serverless: true,
  allowedCudaVersions: ["12.8"],
} as const;

const ENDPOINT = {
  name: "e",
  type: "QUEUE",
  gpu: { pools: ["ADA_24"] },
  scaling: { type: "QUEUE_DELAY", queueDelay: 4 },
} as const;

async function scene() {
  const { key, tenantId } = await makeTenant({ scopes: ["jobs", "manage"] });
  const create = (more: object = {}, headers = {}) =>
    manage(key, "POST", "/v2/templates", { ...WANTED, ...more }, headers);
  const endpoint = (more: object) => manage(key, "POST", "/v2/serverless", { ...ENDPOINT, ...more });
  return { key, tenantId, create, endpoint };
}

describe("a template", () => {
  it("has RunPod's defaults where only its name and image are given", async () => {
    const { key } = await scene();
    const { status, body, headers } = await manage(key, "POST", "/v2/templates", { name: "t", image: "i" });
    expect(status).toBe(201);
    expect(body).toEqual({
      id: expect.any(String),
      name: "t",
      image: "i",
      args: "",
      disk: 10,
      mounts: {},
      ports: [],
      env: {},
      registry: null,
      serverless: false,
      public: false,
      category: "NVIDIA",
      startSsh: true,
      startJupyter: true,
      allowedCudaVersions: [],
    });
    expect(headers.get("etag")).toBe('"1"');
    expect((await manage(key, "GET", `/v2/templates/${body.id}`)).body).toEqual(body);
  });

  it("is made once by a creation that is repeated with its Idempotency-Key", async () => {
    const { key, create } = await scene();
    const headers = { "idempotency-key": crypto.randomUUID() };
    const [one, two] = [await create({}, headers), await create({}, headers)];
    expect(two.body.id).toBe(one.body.id);
    expect((await manage(key, "GET", "/v2/templates")).body.templates).toHaveLength(1);
  });

  it("is listed newest first, and keeps what a change leaves out", async () => {
    const { key, create } = await scene();
    const made = [(await create()).body.id, (await create({ name: "second" })).body.id];
    const { body } = await manage(key, "GET", "/v2/templates");
    expect(body.templates.map(({ id }: { id: string }) => id).sort()).toEqual([...made].sort());
    expect(body.pagination).toEqual({ hasNextPage: false, nextCursor: null });
    const path = `/v2/templates/${made[0]}`;
    const mounts = { persistent: { size: 20, path: "/workspace" } };
    expect((await manage(key, "PATCH", path, { disk: 50, mounts })).body).toMatchObject({ disk: 50, mounts });
    const changed = await manage(key, "PATCH", path, { env: { OTHER: "x" }, allowedCudaVersions: [], mounts: {} });
    expect(changed.body).toMatchObject({
      name: "vllm",
      disk: 50,
      mounts,
      env: { OTHER: "x" },
      allowedCudaVersions: [],
    });
    expect(changed.headers.get("etag")).toBe('"3"');
    expect((await manage(key, "PATCH", path, { disk: 1 }, { "if-match": '"1"' })).status).toBe(412);
  });

  it("is refused with each wrong field named", async () => {
    const { create, key } = await scene();
    const refused = await create({ bogus: 1, disk: 0, mounts: { network: [] } });
    expect(refused.status).toBe(422);
    expect(refused.body.errors).toEqual(
      expect.arrayContaining([
        "$: additional properties 'bogus' not allowed",
        expect.stringContaining("$.disk: "),
        "$.mounts: additional properties 'network' not allowed",
      ]),
    );
    expect((await manage(key, "POST", "/v2/templates", { name: "t" })).body.errors[0]).toContain("$.image");
  });

  it("seals its environment, shows it to managers alone, and leaves it out of the audit", async () => {
    const { key, create, tenantId } = await scene();
    const { body } = await create();
    await manage(key, "PATCH", `/v2/templates/${body.id}`, { env: { TOKEN: "planted-other" } });
    const rows = await env.DB.prepare("SELECT * FROM templates WHERE tenant_id = ?").bind(tenantId).all();
    const audit = (await manage(key, "GET", "/v1/audit")).body;
    expect(audit.lines.map(({ action }: { action: string }) => action)).toEqual(["template.update", "template.create"]);
    expect(JSON.stringify([rows.results, audit])).not.toContain("planted");
    const reader = await makeTenant({ scopes: ["jobs"] });
    await env.DB.prepare("UPDATE api_keys SET tenant_id = ? WHERE tenant_id = ?").bind(tenantId, reader.tenantId).run();
    const read = await manage(reader.key, "GET", `/v2/templates/${body.id}`);
    expect(read.body.name).toBe("vllm");
    expect(read.body.env).toBeUndefined();
  });

  it("is another tenant's as if it were none, until it is public: then it can be read and used, and not changed", async () => {
    const { key, create } = await scene();
    const other = await scene();
    const path = `/v2/templates/${(await create()).body.id}`;
    const templateId = path.split("/").at(-1);
    const calls = [
      ["GET", undefined],
      ["PATCH", { name: "mine" }],
      ["DELETE", undefined],
    ] as const;
    for (const [method, body] of calls) {
      const foreign = await manage(other.key, method, path, body);
      expect(foreign.status).toBe(404);
      expect(foreign.body).toEqual((await manage(other.key, method, "/v2/templates/nothing", body)).body);
    }
    expect(await other.endpoint({ templateId })).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining("template") },
    });
    await manage(key, "PATCH", path, { public: true });
    expect((await manage(other.key, "GET", path)).body).toMatchObject({ name: "vllm", registry: null });
    expect((await manage(other.key, "PATCH", path, { name: "mine" })).status).toBe(404);
    const used = await other.endpoint({ templateId });
    expect(used).toMatchObject({ status: 201, body: { image: "my-org/vllm:1", registry: null } });
    const listed = (await manage(other.key, "GET", "/v2/catalog/templates?source=community")).body.templates;
    expect(listed.map(({ id }: { id: string }) => id)).toContain(templateId);
    expect((await manage(other.key, "GET", "/v2/templates")).body.templates).toEqual([]);
    // Another tenant's endpoint has its copy, and so holds up nothing.
    expect((await manage(key, "DELETE", path)).status).toBe(204);
  });

  it("cannot be deleted while an endpoint has it, and is gone afterwards", async () => {
    const { key, create, endpoint } = await scene();
    const [one, two] = [(await create()).body.id, (await create()).body.id];
    const { body } = await endpoint({ templateId: one });
    const refused = await manage(key, "DELETE", `/v2/templates/${one}`);
    expect(refused).toMatchObject({ status: 400, body: { detail: expect.stringContaining(body.id) } });
    await manage(key, "PATCH", `/v2/serverless/${body.id}`, { templateId: two });
    const deleted = await manage(key, "DELETE", `/v2/templates/${one}`);
    expect([deleted.status, deleted.body]).toEqual([204, null]);
    expect((await manage(key, "GET", `/v2/templates/${one}`)).status).toBe(404);
    // Its answer may have been lost: RunPod's MCP server repeats a DELETE.
    expect((await manage(key, "DELETE", `/v2/templates/${one}`)).status).toBe(204);
    await manage(key, "DELETE", `/v2/serverless/${body.id}`);
    expect((await manage(key, "DELETE", `/v2/templates/${two}`)).status).toBe(204);
  });

  it("is the whole tenant's, so that a key for some endpoints neither reads, makes nor applies one", async () => {
    const { key, tenantId, create, endpoint } = await scene();
    const templateId = (await create()).body.id;
    const { body } = await endpoint({ templateId });
    const bound = await makeTenant({ scopes: ["jobs", "manage"] });
    await env.DB.prepare("UPDATE api_keys SET tenant_id = ?, endpoint_ids = ? WHERE tenant_id = ?")
      .bind(tenantId, JSON.stringify([body.id]), bound.tenantId)
      .run();
    const calls = [
      manage(bound.key, "GET", "/v2/templates"),
      manage(bound.key, "GET", `/v2/templates/${templateId}`),
      manage(bound.key, "POST", "/v2/templates", WANTED),
      manage(bound.key, "DELETE", `/v2/templates/${templateId}`),
      manage(bound.key, "PATCH", `/v2/serverless/${body.id}`, { templateId }),
    ];
    expect((await Promise.all(calls)).map(({ status }) => status)).toEqual([403, 403, 403, 403, 403]);
    expect((await manage(key, "GET", "/v2/templates")).body.templates).toHaveLength(1);
  });
});

describe("an endpoint that is given a template", () => {
  it("takes what the request does not name, and merges the environment variable by variable", async () => {
    const { create, endpoint } = await scene();
    const templateId = (await create()).body.id;
    const { status, body } = await endpoint({ templateId, disk: 5, env: { MODEL: "mistral", EXTRA: "1" } });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      image: "my-org/vllm:1",
      args: "--port 8000",
      disk: 5,
      ports: ["8000/http"],
      registry: "reg-1",
      env: { MODEL: "mistral", TOKEN: "planted-secret", EXTRA: "1" },
      gpu: { allowedCudaVersions: ["12.8"], minCudaVersion: null },
    });
  });

  it("keeps CUDA versions that the request names itself", async () => {
    const { create, endpoint } = await scene();
    const templateId = (await create()).body.id;
    const cases = [
      [{ allowedCudaVersions: [] }, { allowedCudaVersions: [], minCudaVersion: null }],
      [{ allowedCudaVersions: ["12.1"] }, { allowedCudaVersions: ["12.1"], minCudaVersion: null }],
      [{ minCudaVersion: "12.4" }, { allowedCudaVersions: [], minCudaVersion: "12.4" }],
    ] as const;
    for (const [more, gpu] of cases) {
      const { body } = await endpoint({ templateId, gpu: { pools: ["ADA_24"], ...more } });
      expect(body.gpu).toMatchObject(gpu);
    }
  });

  it("gets the template's environment in place of its own by a change, which is a release", async () => {
    const { key, create, endpoint } = await scene();
    const { body } = await endpoint({
      image: "old:1",
      env: { OLD: "1" },
      gpu: { pools: ["ADA_24"], minCudaVersion: "12.1" },
    });
    const templateId = (await create()).body.id;
    const path = `/v2/serverless/${body.id}`;
    const changed = await manage(key, "PATCH", path, { templateId, env: { MODEL: "own" } });
    expect(changed).toMatchObject({
      status: 200,
      body: {
        image: "my-org/vllm:1",
        env: { MODEL: "own", TOKEN: "planted-secret" },
        gpu: { allowedCudaVersions: ["12.8"], minCudaVersion: null },
      },
    });
    expect(changed.body.env.OLD).toBeUndefined();
    expect((await manage(key, "GET", `${path}/releases`)).body.endpointVersion).toBe(2);
    expect((await manage(key, "GET", `/v1/endpoints/${body.id}`)).body.templateId).toBe(templateId);
    // It was a copy.
    await manage(key, "PATCH", `/v2/templates/${templateId}`, { image: "new:2" });
    expect((await manage(key, "GET", path)).body.image).toBe("my-org/vllm:1");
  });

  it("is refused a template of pods, or one that is not there, on both planes", async () => {
    const { key, create, endpoint } = await scene();
    const templateId = (await create({ serverless: false })).body.id;
    const refused = await endpoint({ templateId });
    expect(refused).toMatchObject({ status: 422, body: { errors: [expect.stringContaining("$.templateId: ")] } });
    const slug = `slug-${crypto.randomUUID()}`;
    const ours = await manage(key, "POST", "/v1/endpoints", { slug, templateId });
    expect(ours).toMatchObject({ status: 400, body: { field: "templateId" } });
    const unknown = await manage(key, "POST", "/v1/endpoints", { slug, templateId: "nothing" });
    expect(unknown).toMatchObject({ status: 404, body: { detail: expect.stringContaining("template") } });
  });

  it("may be the operator's to change, with a template of the endpoint's own tenant", async () => {
    const { create, endpoint } = await scene();
    const [operator, stranger] = [await makeTenant({ scopes: ["admin"] }), await scene()];
    const { body } = await endpoint({ image: "old:1" });
    const path = `/v1/endpoints/${body.id}`;
    const templateId = (await create()).body.id;
    const changed = await manage(operator.key, "PATCH", path, { templateId });
    expect(changed).toMatchObject({ status: 200, body: { image: "my-org/vllm:1", templateId } });
    const foreign = (await stranger.create()).body.id;
    expect((await manage(operator.key, "PATCH", path, { templateId: foreign })).status).toBe(404);
  });
});
