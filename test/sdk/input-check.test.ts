import { describe, expect, it } from "vitest";
import * as z from "zod";
import { inputSchemaOf, makeInputCheck } from "../../src/sdk/input-check.ts";
import type { InputRules } from "../../src/sdk/input-rules.ts";

describe("RunPod's rules", () => {
  const rules = {
    prompt: { type: "str" },
    steps: { type: "int", required: false, default: 20, constraints: (steps: number) => steps < 100 },
    seed: { type: ["int", "str"], required: false, default: null },
  } satisfies InputRules;
  const check = makeInputCheck(rules);

  it("give each job a default of its own", async () => {
    const checked = makeInputCheck({ tags: { type: "list", required: false, default: [] } });
    const first = await checked({});
    if (first.ok) (first.input as { tags: string[] }).tags.push("of the first job");
    expect(await checked({})).toEqual({ ok: true, input: { tags: [] } });
  });

  it("fill in defaults", async () => {
    expect(await check({ prompt: "a" })).toEqual({ ok: true, input: { prompt: "a", steps: 20, seed: null } });
  });

  it("name all that is wrong, with its path", async () => {
    expect(await check({ steps: 100, seed: true, color: 1 })).toEqual({
      ok: false,
      problems: [
        { path: "input.color", message: "is not a valid input" },
        { path: "input.prompt", message: "is required" },
        { path: "input.steps", message: "does not meet the constraints" },
        { path: "input.seed", message: "must be an integer or a string" },
      ],
    });
  });

  it("take no input that is no object", async () => {
    expect(await check([])).toEqual({ ok: false, problems: [{ path: "input", message: "must be an object" }] });
  });

  it("take a name that every object has for what it is: one that nobody gave", async () => {
    const ofToString = makeInputCheck(Object.fromEntries([["toString", { type: "str" as const }]]));
    expect(await ofToString({})).toMatchObject({ problems: [{ path: "input.toString", message: "is required" }] });
    expect(await check(JSON.parse('{"prompt":"a","__proto__":1}'))).toMatchObject({ ok: false });
  });

  it("are a JSON Schema for the endpoint", () => {
    expect(inputSchemaOf(rules)).toEqual({
      type: "object",
      properties: {
        prompt: { type: "string" },
        steps: { type: "integer", default: 20 },
        seed: { type: ["integer", "string"], default: null },
      },
      required: ["prompt"],
      additionalProperties: false,
    });
  });

  it("are refused when the worker starts, where one is none", () => {
    expect(() => makeInputCheck({ a: { type: "text" } } as unknown as InputRules)).toThrow(
      "the rule of input.a needs a type",
    );
    expect(() => makeInputCheck({ a: { type: "str", required: false } })).toThrow(
      "the rule of input.a needs a default",
    );
  });
});

describe("a zod schema", () => {
  const schema = z.object({ size: z.object({ width: z.int().max(10) }), tags: z.array(z.string()).default([]) });

  it("gives the handler what it made of the input", async () => {
    expect(await makeInputCheck(schema)({ size: { width: 1 } })).toEqual({
      ok: true,
      input: { size: { width: 1 }, tags: [] },
    });
  });

  it("names the path of what is wrong", async () => {
    expect(await makeInputCheck(schema)({ size: { width: 11 }, tags: ["a", 1] })).toMatchObject({
      ok: false,
      problems: [{ path: "input.size.width" }, { path: "input.tags[1]" }],
    });
  });

  it("is a JSON Schema for the endpoint", () => {
    expect(inputSchemaOf(schema)).toMatchObject({ type: "object", required: ["size"] });
  });
});

it("without a schema takes whatever comes", async () => {
  expect(await makeInputCheck(undefined)(null)).toEqual({ ok: true, input: null });
  expect(inputSchemaOf(undefined)).toBeNull();
});
