// What the page /docs makes of a description.
import { describe, expect, it } from "vitest";
import { type Call, curlOf, groupsOf, matches, type OpenApi, sampleOf, typeText } from "../../src/docs/description.ts";

const API: OpenApi = {
  info: { title: "t", version: "1", description: "d" },
  tags: [{ name: "Jobs", description: "What runs" }, { name: "Others" }],
  paths: {
    "/v2/{endpoint}/run": {
      post: {
        operationId: "run",
        summary: "Submit a job",
        description: "At once.",
        tags: ["Jobs"],
        requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/New" } } } },
        responses: {},
      },
    },
    "/healthz": {
      get: { operationId: "live", summary: "Up?", description: "", tags: ["Others"], security: [], responses: {} },
    },
  },
  components: {
    schemas: {
      New: {
        type: "object",
        required: ["input", "kind"],
        properties: { input: {}, kind: { enum: ["it's", "b"] }, more: { type: "string" } },
      },
    },
  },
};

function call(group: number): Call {
  const found = groupsOf(API)[group]?.calls[0];
  if (found === undefined) throw new Error("no such call");
  return found;
}

describe("the page of a description", () => {
  it("has the operations by their tags, in the document's order", () => {
    expect(
      groupsOf(API).map(({ name, calls }) => [name, calls.map(({ method, path }) => `${method} ${path}`)]),
    ).toEqual([
      ["Jobs", ["POST /v2/{endpoint}/run"]],
      ["Others", ["GET /healthz"]],
    ]);
  });

  it("finds an operation by words of its path, method, name or text, in any order", () => {
    for (const search of ["", "run", "POST submit", "at ONCE jobs"]) expect(matches(call(0), search)).toBe(true);
    expect(matches(call(0), "run nothing")).toBe(false);
  });

  it("shows a call with curl, with what is required alone, and a key where one is needed", () => {
    expect(curlOf(API, call(0), "https://w.test")).toBe(
      [
        "curl -X POST 'https://w.test/v2/ENDPOINT/run'",
        '-H "Authorization: Bearer $KEY"',
        "-H 'Content-Type: application/json'",
        `-d '{"input":{},"kind":"it'\\''s"}'`,
      ].join(" \\\n  "),
    );
    expect(curlOf(API, call(1), "https://w.test")).toBe("curl 'https://w.test/healthz'");
  });

  it("has words for types and their bounds", () => {
    expect(typeText(API, { type: "integer", minimum: 1, maximum: 9 })).toBe("integer from 1 to 9");
    expect(typeText(API, { type: "string", maxLength: 3 })).toBe("string up to 3 characters");
    expect(typeText(API, { type: "array", items: { $ref: "#/components/schemas/New" } })).toBe("list of New");
    expect(typeText(API, { anyOf: [{ type: "string" }, { type: "null" }] })).toBe("string or null");
    expect(typeText(API, { enum: ["a", 1] })).toBe('"a" | 1');
    expect(typeText(API, {})).toBe("anything");
  });

  it("has a sample of any schema, also of one that holds itself", () => {
    const loop: OpenApi = {
      ...API,
      components: {
        schemas: {
          Loop: { type: "object", required: ["loop"], properties: { loop: { $ref: "#/components/schemas/Loop" } } },
        },
      },
    };
    expect(JSON.stringify(sampleOf(loop, { $ref: "#/components/schemas/Loop" }))).toContain("loop");
    expect(sampleOf(API, { type: "array", items: { type: "integer", minimum: 5 } })).toEqual([5]);
  });
});
