// POST /graphql with the queries of RunPod's Python package 1.12 (runpod/api), and what others are told.
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { watchD1 } from "../../support/d1.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

async function ask(key: string | null, query: string, more: object = {}) {
  const headers = { "content-type": "application/json", ...(key === null ? {} : { authorization: `Bearer ${key}` }) };
  const body = JSON.stringify({ query, ...more });
  const response = await exports.default.fetch(
    new Request("https://waybill.test/graphql", { method: "POST", headers, body }),
  );
  // biome-ignore lint/suspicious/noExplicitAny: tests look at parts of bodies of any shape
  return { status: response.status, body: (await response.json()) as any, headers: response.headers };
}

async function scene() {
  const { key, tenantId } = await makeTenant({ scopes: ["jobs", "manage"] });
  const template = async (more = "") => {
    const { body } = await ask(
      key,
      `mutation { saveTemplate( input: { name: "t", imageName: "my-org/worker:1", dockerArgs: "-u handler.py",
        containerDiskInGb: 20, volumeInGb: 0, ports: "8888/http,22/tcp", env: [{ key: "A", value: "1" }], isServerless: true,
        containerRegistryAuthId : "", startSsh: true, isPublic: false, readme: "" ${more} } )
        { id name imageName dockerArgs containerDiskInGb volumeInGb volumeMountPath ports env { key value } isServerless } }`,
    );
    return body.data.saveTemplate;
  };
  const endpoint = async (templateId: string, more = "") => {
    const { body } = await ask(
      key,
      `mutation { saveEndpoint( input: { name: "e", templateId: "${templateId}", gpuIds: "ADA_24", networkVolumeId: "",
        locations: "", idleTimeout: 5, scalerType: "QUEUE_DELAY", scalerValue: 4, workersMin: 0, workersMax: 3, gpuCount: 1 ${more} } )
        { id name templateId gpuIds networkVolumeId locations idleTimeout scalerType scalerValue workersMin workersMax
          allowedCudaVersions gpuCount flashBootType } }`,
    );
    return body;
  };
  return { key, tenantId, template, endpoint };
}

describe("the calls of RunPod's Python package 1.12", () => {
  it("learn who the key is", async () => {
    const { key, tenantId } = await scene();
    const query = "query myself { myself { id pubKey networkVolumes { id name size dataCenterId } } }";
    const { status, body, headers } = await ask(key, query);
    expect(status).toBe(200);
    expect(body).toEqual({ data: { myself: { id: tenantId, pubKey: null, networkVolumes: [] } } });
    expect(headers.get("ratelimit")).not.toBeNull();
  });

  it("make a template, and change it by its id", async () => {
    const { key, template } = await scene();
    const made = await template();
    expect(made).toEqual({
      id: expect.any(String),
      name: "t",
      imageName: "my-org/worker:1",
      dockerArgs: "-u handler.py",
      containerDiskInGb: 20,
      volumeInGb: 0,
      volumeMountPath: null,
      ports: "8888/http,22/tcp",
      env: [{ key: "A", value: "1" }],
      isServerless: true,
    });
    expect(await template(`, id: "${made.id}", volumeInGb: 30`)).toMatchObject({
      id: made.id,
      volumeInGb: 30,
      volumeMountPath: "/workspace",
    });
    expect((await manage(key, "GET", "/v2/templates")).body.templates).toHaveLength(1);
  });

  it("make an endpoint, list it, and give it another template", async () => {
    const { key, tenantId, template, endpoint } = await scene();
    const [one, two] = [await template(), await template(', readme: "two"')];
    const { data } = await endpoint(one.id, ', allowedCudaVersions: "12.4,12.5"');
    expect(data.saveEndpoint).toEqual({
      id: expect.any(String),
      name: "e",
      templateId: one.id,
      gpuIds: "ADA_24",
      networkVolumeId: null,
      locations: "",
      idleTimeout: 5,
      scalerType: "QUEUE_DELAY",
      scalerValue: 4,
      workersMin: 0,
      workersMax: 3,
      allowedCudaVersions: "12.4,12.5",
      gpuCount: 1,
      flashBootType: "OFF",
    });
    const { id } = data.saveEndpoint;
    const update = `mutation { updateEndpointTemplate(input: {templateId: "${two.id}", endpointId: "${id}"}) { id templateId } }`;
    expect((await ask(key, update)).body).toEqual({ data: { updateEndpointTemplate: { id, templateId: two.id } } });
    const list = `query Query { myself { endpoints { aiKey gpuIds id idleTimeout name networkVolumeId locations scalerType scalerValue
      templateId type userId version workersMax workersMin workersStandby gpuCount env { key value } createdAt
      networkVolume { id dataCenterId } } } }`;
    const { body } = await ask(key, list);
    expect(body.data.myself.endpoints).toContainEqual(
      expect.objectContaining({
        aiKey: null,
        id,
        templateId: two.id,
        type: "QB",
        userId: tenantId,
        env: [{ key: "A", value: "1" }],
        networkVolume: null,
      }),
    );
    expect((await manage(key, "GET", `/v2/serverless/${id}`)).body).toMatchObject({
      image: "my-org/worker:1",
      args: "-u handler.py",
      timeout: 600_000,
      flashboot: "OFF",
    });
  });

  it("make an endpoint that scales by requests, with exclusions and FlashBoot", async () => {
    const { template, endpoint, key } = await scene();
    const { id } = await template();
    const more = ', scalerType: "REQUEST_COUNT", gpuIds: "AMPERE_24,-NVIDIA L4", flashBootType: FLASHBOOT';
    const { data } = await endpoint(id, more);
    expect(data.saveEndpoint).toMatchObject({
      scalerType: "REQUEST_COUNT",
      gpuIds: "AMPERE_24,-NVIDIA L4",
      flashBootType: "FLASHBOOT",
    });
    const again = await endpoint(id, `, id: "${data.saveEndpoint.id}", workersMax: 9`);
    expect(again.data.saveEndpoint).toMatchObject({
      id: data.saveEndpoint.id,
      workersMax: 9,
      scalerType: "QUEUE_DELAY",
      flashBootType: "OFF",
      gpuIds: "ADA_24",
    });
    const shown = (await manage(key, "GET", `/v2/serverless/${data.saveEndpoint.id}`)).body;
    expect(shown.gpu.excludedTypes).toBeUndefined();
  });

  it("delete an endpoint", async () => {
    const { key, template, endpoint } = await scene();
    const { data } = await endpoint((await template()).id);
    const { id } = data.saveEndpoint;
    expect((await ask(key, `mutation { deleteEndpoint(id: "${id}") }`)).body).toEqual({
      data: { deleteEndpoint: null },
    });
    expect((await manage(key, "GET", `/v2/serverless/${id}`)).status).toBe(404);
    const unknown = await ask(key, 'mutation { deleteEndpoint(id: "nothing") }');
    expect(unknown.body.errors[0].message).toContain("no such endpoint");
  });

  it("find GPUs", async () => {
    const { key } = await scene();
    const { body } = await ask(key, "query GpuTypes { gpuTypes { id displayName memoryInGb } }");
    expect(body.data.gpuTypes).toContainEqual({ id: "NVIDIA L4", displayName: "L4", memoryInGb: 24 });
    const one = (id: string) =>
      ask(
        key,
        `query GpuTypes { gpuTypes(input: {id: "${id}"}) { maxGpuCount id displayName manufacturer memoryInGb cudaCores secureCloud
          communityCloud securePrice lowestPrice(input: {gpuCount: 2}) { minimumBidPrice uninterruptablePrice } } }`,
      );
    expect((await one("NVIDIA L4")).body.data.gpuTypes).toEqual([
      {
        maxGpuCount: null,
        id: "NVIDIA L4",
        displayName: "L4",
        manufacturer: "Nvidia",
        memoryInGb: 24,
        cudaCores: null,
        secureCloud: false,
        communityCloud: false,
        securePrice: null,
        lowestPrice: { minimumBidPrice: null, uninterruptablePrice: null },
      },
    ]);
    expect((await one("NVIDIA NOTHING")).body.data.gpuTypes).toEqual([]);
  });
});

describe("every other call", () => {
  it("gets an error that names what to use", async () => {
    const { key } = await scene();
    const cases = [
      ['mutation { deleteTemplate(templateName: "x") }', "DELETE /v2/templates/{id}"],
      ["query { myself { pods { id } } }", "workers of your own"],
      ["query { myself { secrets { id } } }", "/v2"],
      ['mutation { podStop(input: {podId: "x"}) { id } }', "/v2"],
      ["query { constructor { id } }", "/v2"],
      ["query { a", "ends too early"],
      ["mutation saveEndpoint($input: EndpointInput!) { saveEndpoint(input: $input) { id } }", "variables"],
    ] as const;
    for (const [query, message] of cases) {
      const { status, body } = await ask(key, query, { variables: {} });
      expect(status, query).toBe(200);
      expect(body).toEqual({ errors: [{ message: expect.stringContaining(message) }] });
    }
  });

  it("names each wrong field, and what is not there", async () => {
    const { key, template, endpoint } = await scene();
    const { errors } = await endpoint("nothing");
    expect(errors).toEqual([{ message: "no template of yours has this id" }]);
    const { id } = await template();
    expect((await endpoint(id, ", gpuCount: 0")).errors[0].message).toContain("gpu.count");
    expect((await endpoint(id, ', gpuIds: "NOPE"')).errors[0].message).toContain("there is no pool NOPE");
    expect((await endpoint(id, ", bogus: 1")).errors[0].message).toContain("bogus");
    expect((await endpoint(id, ', id: "nothing"')).errors[0].message).toContain("no such endpoint");
    const wrong = await ask(key, 'mutation { saveTemplate(input: { name: "t" }) { id } }');
    expect(wrong.body.errors[0].message).toContain("input.imageName");
  });

  it("needs a key, and the scope manage to change anything", async () => {
    const { key } = await makeTenant({ scopes: ["jobs"] });
    const none = await ask(null, "query { myself { id } }");
    expect(none).toMatchObject({ status: 401, body: { errors: [{ message: expect.any(String) }] } });
    const refused = await ask(key, 'mutation { saveTemplate(input: { name: "t", imageName: "i" }) { id } }');
    expect(refused).toMatchObject({ status: 200, body: { errors: [{ message: expect.stringContaining("manage") }] } });
    expect((await ask(key, "query { gpuTypes { id } }")).status).toBe(200);
  });

  it("gets 400 where it has no query", async () => {
    const { key } = await makeTenant({ scopes: ["jobs"] });
    for (const body of ["", "{}", "not JSON"]) {
      const init = { method: "POST", headers: { authorization: key }, body };
      const answer = await exports.default.fetch("https://waybill.test/graphql", init);
      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({ errors: [{ message: expect.any(String) }] });
    }
  });

  it("reads the endpoints once, however often it names them", async () => {
    const { key } = await scene();
    const statements = watchD1();
    await ask(key, `{ myself { ${"endpoints ".repeat(40)} } }`);
    expect(statements.filter((sql) => sql.includes("FROM endpoints"))).toHaveLength(1);
  });

  it("is about the key's own tenant", async () => {
    const [mine, theirs] = [await scene(), await scene()];
    const template = await theirs.template();
    const { data } = await theirs.endpoint(template.id);
    const own = await mine.template();
    const update = `mutation { updateEndpointTemplate(input: {templateId: "${own.id}", endpointId: "${data.saveEndpoint.id}"}) { id } }`;
    expect((await ask(mine.key, update)).body.errors[0].message).toContain("no such endpoint");
    const list = await ask(mine.key, "{ myself { endpoints { id } } }");
    expect(list.body.data.myself.endpoints).not.toContainEqual({ id: data.saveEndpoint.id });
  });
});
