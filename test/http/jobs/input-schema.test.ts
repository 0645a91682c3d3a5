// An endpoint's input schema at the edge: what fits travels on byte for byte, what does not fit costs nothing.
import { env, exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { PAYLOAD_ROW_MAX_BYTES } from "../../../src/core/limits.ts";
import { CHECKED_INPUT_MAX_BYTES } from "../../../src/core/schema/limits.ts";
import { loadEndpoint, loadManySettings } from "../../../src/db/endpoints.ts";
import { BrokerClient } from "../../../src/dispatch/broker-client.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";

const SCHEMA = {
  type: "object",
  required: ["prompt"],
  properties: {
    prompt: { type: "string" },
    steps: { type: "integer", minimum: 1, maximum: 50 },
    image: { type: "object", properties: { "a/b": { type: "string", format: "uri" } } },
  },
  additionalProperties: false,
};

const withSchema = (schema: unknown = SCHEMA) =>
  makeTenant({ inputSchema: JSON.stringify(schema), scopes: ["jobs", "manage"], workerKeys: [{}] });

async function post({ key }: TestTenant, path: string, body: string, headers: Record<string, string> = {}) {
  const sent = { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers };
  const response = await exports.default.fetch(
    new Request(`https://waybill.test${path}`, { method: "POST", headers: sent, body }),
  );
  // biome-ignore lint/suspicious/noExplicitAny: tests look at parts of bodies of any shape
  return { status: response.status, body: (await response.json()) as any, headers: response.headers };
}

const run = (tenant: TestTenant, input: string) => post(tenant, `/v2/${tenant.slug}/run`, `{"input":${input}}`);

/** The next job as a worker gets it. */
async function taken({ slug, workerKeys: [key] }: TestTenant): Promise<string> {
  const request = new Request(`https://waybill.test/v2/${slug}/job-take/w1`, {
    headers: { authorization: `Bearer ${key}` },
  });
  return (await exports.default.fetch(request)).text();
}

describe("an input that does not fit", () => {
  it.each([
    ["/run", (slug: string) => `/v2/${slug}/run`],
    ["/runsync", (slug: string) => `/v2/${slug}/runsync`],
    ["/runsync?wait", (slug: string) => `/v2/${slug}/runsync?wait=2000`],
    ["/flash/run", () => "/v2/flash/run"],
    ["/flash/runsync", () => "/v2/flash/runsync"],
  ])("is refused by %s with what is wrong, before anything is called or stored", async (_name, path) => {
    const tenant = await withSchema();
    const call = vi.spyOn(BrokerClient.prototype, "call");
    const put = vi.spyOn(env.PAYLOADS, "put");
    try {
      const large = "x".repeat(PAYLOAD_ROW_MAX_BYTES);
      const input = JSON.stringify({ steps: 51.5, image: { "a/b": 7 }, extra: large });
      const answer = await post(tenant, path(tenant.slug), `{"input":${input}}`, { "x-flash-endpoint": tenant.slug });
      expect(answer.status).toBe(400);
      expect(answer.body).toEqual({
        error:
          "the input does not fit the endpoint's schema: input/prompt: is required; input/steps: must be a whole number; " +
          "input/image/a~1b: must be a string; input/extra: is no property that is known here",
        message: expect.stringContaining("input/prompt: is required"),
        field: "input/prompt",
        errors: [
          { field: "input/prompt", message: "is required" },
          { field: "input/steps", message: "must be a whole number" },
          { field: "input/image/a~1b", message: "must be a string" },
          { field: "input/extra", message: "is no property that is known here" },
        ],
      });
      expect(call).not.toHaveBeenCalled();
      expect(put).not.toHaveBeenCalled();
    } finally {
      vi.restoreAllMocks();
    }
    expect((await env.PAYLOADS.list({ prefix: tenant.endpointId })).objects).toEqual([]);
  });

  it("is told of in twenty places at most", async () => {
    const tenant = await withSchema({ type: "array", items: { type: "string" } });
    const { status, body } = await run(tenant, JSON.stringify(Array.from({ length: 100 }, (_, at) => at)));
    expect(status).toBe(400);
    expect(body.errors).toHaveLength(20);
    expect(body.errors[19]).toEqual({ field: "input/19", message: "must be a string" });
  });

  it("is refused where it is deep, or more than a check may read", async () => {
    const deep = await withSchema({
      $ref: "#/$defs/list",
      $defs: { list: { type: "array", items: { $ref: "#/$defs/list" } } },
    });
    expect(await run(deep, `${"[".repeat(490)}7${"]".repeat(490)}`)).toMatchObject({ status: 400 });
    expect(await run(deep, `${"[".repeat(490)}${"]".repeat(490)}`)).toMatchObject({ status: 200 });
    const many = await run(deep, `[${"[],".repeat(60_000)}[]]`);
    expect(many).toMatchObject({ status: 400, body: { field: "input" } });
    expect(many.body.error).toContain("would take too long");
  });
});

describe("an input that fits", () => {
  const odd = '{ "prompt":"\\u00e9\\/ \\ud83d\\ude00" ,\n\t"steps" : 5.0e0, "prompt": "twice" ,"image":{} }';

  it.each([
    ["odd spacing, escapes and a name twice", SCHEMA, odd],
    [
      "numbers beyond those of JavaScript",
      { items: { type: "integer" } },
      "[ 12345678901234567890123, 1E400 , -0.0, 1.000 ]",
    ],
    ["a text of 300 KB", true, `"${"x".repeat(300_000)}\\u0041"`],
  ])("travels on byte for byte: %s", async (_name, schema, input) => {
    const tenant = await withSchema(schema);
    const submitted = await run(tenant, input);
    expect(submitted.status).toBe(200);
    expect(await taken(tenant)).toBe(`{"id":"${submitted.body.id}","input":${input}}`);
  });

  it("is one of up to 1 MiB", async () => {
    const tenant = await withSchema({ type: "string" });
    const text = "x".repeat(CHECKED_INPUT_MAX_BYTES - 2);
    expect(await run(tenant, `"${text}"`)).toMatchObject({ status: 200 });
    const larger = await run(tenant, `"${text}x"`);
    expect(larger.status).toBe(413);
    expect(larger.body.message).toBe(
      `input may have at most ${CHECKED_INPUT_MAX_BYTES} bytes in this endpoint, which checks it by a schema`,
    );
    expect((await env.PAYLOADS.list({ prefix: tenant.endpointId })).objects).toHaveLength(1);
  });
});

describe("the input schema of an endpoint", () => {
  it("is set, shown and removed under /v1, and not shown on RunPod's plane", async () => {
    const { key, slug, endpointId } = await makeTenant({ scopes: ["jobs", "manage"] });
    const path = `/v1/endpoints/${slug}`;
    expect((await manage(key, "GET", path)).body.inputSchema).toBeNull();
    const set = await manage(key, "PATCH", path, { inputSchema: SCHEMA });
    expect(set.body).toMatchObject({ inputSchema: SCHEMA, version: 2, applied: true });
    expect((await manage(key, "GET", path)).body.inputSchema).toEqual(SCHEMA);
    expect((await manage(key, "PATCH", path, { inputSchema: SCHEMA })).body.version).toBe(2);
    expect((await manage(key, "PATCH", path, { name: "other" })).body.inputSchema).toEqual(SCHEMA);
    expect((await manage(key, "GET", "/v1/endpoints")).body.endpoints[0].inputSchema).toEqual(SCHEMA);
    expect((await manage(key, "GET", `/v2/serverless/${endpointId}`)).body).not.toHaveProperty("inputSchema");
    const audit = await manage(key, "GET", "/v1/audit");
    expect(JSON.stringify(audit.body)).toContain("inputSchema");
    expect((await manage(key, "PATCH", path, { inputSchema: null })).body.inputSchema).toBeNull();
  });

  it("is set as an endpoint is made, up to 32 levels, and its jobs are checked by it", async () => {
    const { key } = await makeTenant({ scopes: ["jobs", "manage"] });
    let deepest: object = { type: "string" };
    for (let level = 0; level < 15; level += 1) deepest = { properties: { a: deepest } };
    const made = await manage(key, "POST", "/v1/endpoints", { slug: `s-${crypto.randomUUID()}`, inputSchema: deepest });
    expect(made.body.inputSchema).toEqual(deepest);
    const call = (input: string) => post({ key } as TestTenant, `/v2/${made.body.slug}/run`, `{"input":${input}}`);
    const nested = (end: string) => `${'{"a":'.repeat(15)}${end}${"}".repeat(15)}`;
    expect(await call(nested("7"))).toMatchObject({ status: 400, body: { field: `input${"/a".repeat(15)}` } });
    expect(await call(nested('"x"'))).toMatchObject({ status: 200 });
  });

  it.each([
    [{ $ref: "https://example.com/s" }, "#/$ref may lead to a place in this schema alone"],
    [
      { properties: { a: { pattern: "(a)\\1" } } },
      "#/properties/a/pattern the regular expression may have no backreferences",
    ],
    [{ allOf: [{ $ref: "#" }] }, "refers to itself for the same value"],
    [{ description: "x".repeat(40_000) }, "# may have at most 32768 bytes"],
    [{ $schema: "http://json-schema.org/draft-04/schema#" }, "#/$schema must name draft 2020-12"],
  ])("is refused where it could do harm: %#", async (inputSchema, why) => {
    const { key, slug } = await makeTenant({ scopes: ["manage"] });
    const { status, body } = await manage(key, "PATCH", `/v1/endpoints/${slug}`, { inputSchema });
    expect([status, body.field]).toEqual([400, "inputSchema"]);
    expect(body.detail).toContain(why);
  });

  it("is read by whoever may send jobs, and by nobody else", async () => {
    const own = await withSchema();
    const open = await makeTenant({ inputSchema: "{}", shared: true });
    const read = (key: string, slug: string) => manage(key, "GET", `/v1/endpoints/${slug}/input-schema`);
    expect((await read(own.key, own.slug)).body).toEqual({ inputSchema: SCHEMA });
    expect((await read(own.key, open.slug)).body).toEqual({ inputSchema: {} });
    expect((await read(open.key, own.slug)).status).toBe(404);
    expect((await read(own.key, (await makeTenant({ shared: true })).slug)).body).toEqual({ inputSchema: null });
  });

  it("is for endpoints of jobs alone", async () => {
    const { key, slug } = await makeTenant({ scopes: ["manage"], kind: "load_balancer" });
    const { status, body } = await manage(key, "PATCH", `/v1/endpoints/${slug}`, { inputSchema: {} });
    expect([status, body.field]).toEqual([400, "inputSchema"]);
  });

  it("is followed within 30 s by an edge that has the endpoint in memory", async () => {
    const tenant = await withSchema();
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      expect(await run(tenant, "{}")).toMatchObject({ status: 400 });
      await manage(tenant.key, "PATCH", `/v1/endpoints/${tenant.slug}`, { inputSchema: null });
      vi.setSystemTime(Date.now() + 29_000);
      expect(await run(tenant, "{}")).toMatchObject({ status: 400 });
      vi.setSystemTime(Date.now() + 2_000);
      expect(await run(tenant, "{}")).toMatchObject({ status: 200 });
    } finally {
      vi.useRealTimers();
    }
  });

  it("is not among the settings that brokers get", async () => {
    const tenant = await withSchema();
    const [settings] = await loadManySettings(env.DB, [tenant.endpointId]);
    expect(JSON.stringify(settings)).not.toContain("prompt");
    expect((await loadEndpoint(env.DB, tenant.slug))?.inputSchema).toBe(JSON.stringify(SCHEMA));
  });
});
