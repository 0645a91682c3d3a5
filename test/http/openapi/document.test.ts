// /openapi.json and /v2/openapi.json: what they have of each route, and that they are well-formed.
import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import type { DescribedOperation } from "../../../src/http/kit/operation-doc.ts";
import { makeDocument } from "../../../src/http/openapi/document.ts";
import { MANAGEMENT_ROUTES, OPERATIONS, ROUTES } from "../../../src/http/routes.ts";

// biome-ignore lint/suspicious/noExplicitAny: the test looks at parts of a document of any shape
type Document = any;

async function read(path: string): Promise<Document> {
  const response = await exports.default.fetch(new Request(`https://waybill.test${path}`));
  expect(response.status).toBe(200);
  return response.json();
}

function operationsOf(document: Document): [path: string, method: string, operation: Document][] {
  return Object.entries<Document>(document.paths).flatMap(([path, methods]) =>
    Object.entries<Document>(methods).map(([method, operation]): [string, string, Document] => [
      path,
      method,
      operation,
    ]),
  );
}

const INFO = { title: "t", version: "1", description: "d" };

describe("the description", () => {
  it("can be made of the whole table: no id stands for two schemas", () => {
    expect(() => makeDocument(OPERATIONS, INFO, {})).not.toThrow();
  });

  it("is OpenAPI 3.1 with a version, a server and bearer keys, for whoever asks", async () => {
    expect(await read("/openapi.json")).toMatchObject({
      openapi: "3.1.0",
      info: { title: "Waybill", version: expect.any(String) },
      servers: [{ url: "/" }],
      security: [{ bearer: [] }],
      components: { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } },
    });
  });

  it("has every route of the table, but the catch-all paths and the callback of upstreams", () => {
    const described = new Set(OPERATIONS.map(({ method, path }) => `${method} ${path}`));
    const missing = [...MANAGEMENT_ROUTES, ...ROUTES].filter(
      ({ methods, path }) => methods !== "ALL" && !methods.some((method) => described.has(`${method} ${path}`)),
    );
    expect(missing.map(({ path }) => path)).toEqual(["/v2/:endpoint/callback/:job/:lease/:mac", "/"]);
  });

  it("has no operation that the table does not answer", () => {
    const routes = [...MANAGEMENT_ROUTES, ...ROUTES];
    const answers = ({ method, path }: DescribedOperation) =>
      routes.some((route) => {
        if (route.methods === "ALL") return path.startsWith(route.path.slice(0, -1));
        return route.path === path && route.methods.includes(method);
      });
    expect(OPERATIONS.filter((one) => one.doc.plane !== "lb" && !answers(one))).toEqual([]);
  });

  it.each(["/openapi.json", "/v2/openapi.json"])(
    "%s names each operation once and refers to nothing that it lacks",
    async (path) => {
      const document = await read(path);
      const operations = operationsOf(document);
      const ids = operations.map(([, , { operationId }]) => operationId);
      expect(new Set(ids).size).toBe(ids.length);
      const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, ref = ""]) => ref);
      const found = (ref: string) => ref.split("/").reduce<Document>((place, name) => place?.[name], document);
      expect(refs.filter((ref) => found(ref) === undefined)).toEqual([]);
      expect(refs.length).toBeGreaterThan(10);
      for (const [place, , { parameters = [] }] of operations) {
        const inPath = parameters.filter((one: Document) => one.in === "path").map((one: Document) => `{${one.name}}`);
        expect(place.match(/\{\w+\}/g) ?? []).toEqual(inPath);
      }
    },
  );

  it("of RunPod's plane has that alone, with its form of problems", async () => {
    const document = await read("/v2/openapi.json");
    const paths = Object.keys(document.paths);
    expect(paths).toContain("/v2/serverless/{endpoint}");
    expect(paths.filter((path) => !path.startsWith("/v2/"))).toEqual([]);
    expect(paths).not.toContain("/v2/{endpoint}/run");
    expect(document.components.schemas).toHaveProperty("RunPodProblem");
    expect(document.components.schemas).not.toHaveProperty("Problem");
    expect(document.paths["/v2/serverless"].post.responses).toHaveProperty("422");
  });

  it("has headers, scopes and refusals of a change", async () => {
    const document = await read("/openapi.json");
    const change = document.paths["/v1/endpoints/{endpoint}"].patch;
    expect(change.description).toContain("the scope manage or admin");
    expect(change.parameters).toMatchObject([
      { name: "endpoint", in: "path" },
      { name: "If-Match", in: "header" },
    ]);
    expect(change.responses["200"].headers).toHaveProperty("ETag");
    expect(change.responses["200"].headers).toHaveProperty("RateLimit");
    expect(Object.keys(change.responses)).toEqual([
      "200",
      "400",
      "401",
      "403",
      "404",
      "405",
      "409",
      "412",
      "413",
      "429",
      "503",
    ]);
    const creation = document.paths["/v1/endpoints"].post;
    expect(creation.parameters).toMatchObject([{ name: "Idempotency-Key", required: false }]);
    expect(document.components.schemas.NewEndpoint.properties.type).toMatchObject({ default: "QUEUE" });
    expect(document.components.responses.Problem429).toMatchObject({
      headers: { "Retry-After": {} },
      content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
    });
  });

  it("is refused where one id stands for two forms of a schema", () => {
    const twice = z.object({ at: z.int().default(1) }).meta({ id: "Twice" });
    const [like] = OPERATIONS;
    if (like === undefined) throw new Error("there is an operation");
    const answers = { 200: { description: "ok", schema: twice } };
    const wrong = { ...like, doc: { ...like.doc, body: twice, answers } };
    expect(() => makeDocument([wrong], INFO, {})).toThrow("Twice is used in calls and in answers");
  });

  it.each([
    ["POST", "/openapi.json", "code"],
    ["POST", "/v2/openapi.json", "hint"],
  ])("%s %s is a problem", async (method, path, member) => {
    const response = await exports.default.fetch(new Request(`https://waybill.test${path}`, { method }));
    expect(response.status).toBe(405);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await response.json()).toHaveProperty(member);
  });
});
