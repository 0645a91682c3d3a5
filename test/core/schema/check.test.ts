// What is told of a wrong input, and how schemas are read: drafts, references, formats and what no validator agrees on.
import { describe, expect, it } from "vitest";
import { JSON_DEPTH_MAX, PAYLOAD_ROW_MAX_BYTES, RUN_BODY_MAX_BYTES } from "../../../src/core/limits.ts";
import { MANAGE_BODY_MAX_BYTES, VALUE_DEPTH_MAX } from "../../../src/core/manage/limits.ts";
import { checkBytes, checkValue } from "../../../src/core/schema/check.ts";
import { compileSchema } from "../../../src/core/schema/compile.ts";
import {
  CHECK_DEPTH_MAX,
  CHECK_WORK_MAX,
  CHECKED_INPUT_MAX_BYTES,
  PATTERN_STATES_MAX,
  SCHEMA_DEPTH_MAX,
  SCHEMA_MAX_BYTES,
} from "../../../src/core/schema/limits.ts";
import type { Json } from "../../../src/core/schema/nodes.ts";

/** What is wrong with a value, as lines; none: it is valid. */
function linesOf(schema: unknown, value: Json): string[] {
  const compiled = compileSchema(JSON.stringify(schema));
  if (!compiled.ok) throw new Error(`${compiled.problem.place} ${compiled.problem.message}`);
  const verdict = checkValue(compiled.root, value);
  if (verdict.kind === "too_much") throw new Error("too much");
  return verdict.kind === "valid" ? [] : verdict.problems.map(({ pointer, message }) => `${pointer} ${message}`);
}

function problemsOf(schema: unknown, value: Json) {
  const compiled = compileSchema(JSON.stringify(schema));
  if (!compiled.ok) throw new Error(`${compiled.problem.place} ${compiled.problem.message}`);
  const verdict = checkValue(compiled.root, value);
  if (verdict.kind !== "invalid") throw new Error(verdict.kind);
  return verdict.problems;
}

const draft7 = { $schema: "http://json-schema.org/draft-07/schema#" };

describe("a problem", () => {
  it.each<[schema: unknown, value: Json, lines: readonly string[]]>([
    [{ type: ["string", "null"] }, 1, ["input must be a string or null"]],
    [{ type: "integer" }, 1.5, ["input must be a whole number"]],
    [{ enum: ["a", "b", null] }, "c", ['input must be one of "a", "b", null']],
    [{ const: { a: 1 } }, { a: 2 }, ['input must be {"a":1}']],
    [{ required: ["a"] }, {}, ["input/a is required"]],
    [{ properties: { "a/b~": false } }, { "a/b~": 1 }, ["input/a~1b~0 is not allowed"]],
    [{ items: { minimum: 1 } }, [1, 0], ["input/1 must be at least 1"]],
    [{ maxLength: 2 }, "😀😀😀", ["input may have at most 2 characters"]],
    [{ pattern: "^a" }, "b", ["input must match the pattern ^a"]],
    [{ format: "date-time" }, "now", ["input must be of the format date-time"]],
    [
      { uniqueItems: true },
      [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ],
      ["input must have no two equal items"],
    ],
    [{ contains: { const: 1 } }, [], ["input must have at least 1 items that match #/contains"]],
    [{ not: { type: "string" } }, "", ["input must not match #/not"]],
    [{ anyOf: [{ type: "string" }, { type: "null" }] }, 1, ["input must be a string or null"]],
    [{ anyOf: [{ minimum: 5 }, { multipleOf: 7 }] }, 1, ["input must match at least one of #/anyOf"]],
    [
      { oneOf: [{ minimum: 0 }, { maximum: 9 }] },
      1,
      ["input must match exactly one of #/oneOf, and matches 2 of them"],
    ],
    [{ propertyNames: { maxLength: 1 } }, { ab: 1 }, ["input/ab has a name that is not allowed"]],
    [{ dependentRequired: { a: ["b"] } }, { a: 1 }, ["input/b is required beside a"]],
  ])("of %j says what is expected of %j", (schema, value, lines) => {
    expect(linesOf(schema, value)).toEqual(lines);
  });

  it("is told of the form that was meant, by a word in it or by its type", () => {
    const image = { properties: { kind: { const: "image" }, url: { type: "string" } }, required: ["kind", "url"] };
    const text = { properties: { kind: { const: "text" }, text: { minLength: 1 } }, required: ["kind", "text"] };
    const schema = { items: { oneOf: [image, text, { type: "string", minLength: 1 }] } };
    expect(linesOf(schema, [{ kind: "image" }, { kind: "text", text: "" }])).toEqual([
      "input/0/url is required",
      "input/1/text must have at least 1 characters",
    ]);
  });

  it("repeats nothing long of the schema", () => {
    const name = "x".repeat(10_000);
    const at = (schema: unknown) => ({ properties: { [name]: { properties: { [name]: schema } } } });
    const form = { minimum: 5 };
    for (const schema of [{ not: {} }, { anyOf: [form, form] }, { oneOf: [{}, {}] }, { contains: form }]) {
      const value = { [name]: { [name]: "contains" in schema ? [] : 1 } };
      const [{ message = "" } = {}] = problemsOf(at(schema), value);
      expect(message).toMatch(/#\/properties\/x+…/);
      expect(message.length).toBeLessThan(300);
    }
    for (const schema of [{ dependentRequired: { [name]: ["b"] } }, { enum: [name, name] }]) {
      const [{ message = "" } = {}] = problemsOf(schema, { [name]: 1 });
      expect(message.length).toBeLessThan(300);
    }
    const anchors = { $defs: { a: { $anchor: name }, b: { $anchor: name } } };
    for (const schema of [at({ type: 1 }), { $ref: `#${name}` }, anchors, at({ $defs: [] })]) {
      const compiled = compileSchema(JSON.stringify(schema));
      if (compiled.ok) throw new Error("it was taken");
      expect(`${compiled.problem.place} ${compiled.problem.message}`.length).toBeLessThan(700);
    }
  });

  it("repeats nothing long of the input", () => {
    const [line = ""] = linesOf({ additionalProperties: false }, { ["x".repeat(100_000)]: 1 });
    expect(line.length).toBeLessThan(500);
  });
});

describe("a schema", () => {
  it.each<[name: string, schema: unknown, valid: Json, invalid: Json]>([
    ["by an anchor", { $defs: { a: { $anchor: "x", type: "null" } }, $ref: "#x" }, null, 1],
    [
      "by its own id",
      { $id: "https://a.example/s", $defs: { a: { type: "null" } }, $ref: "https://a.example/s#/$defs/a" },
      null,
      1,
    ],
    ["by escapes", { $defs: { "a/b%~": { type: "null" } }, $ref: "#/$defs/a~1b%25~0" }, null, 1],
    [
      "into what is no keyword",
      { components: { x: { type: "null" } }, items: { $ref: "#/components/x" } },
      [null],
      [1],
    ],
    [
      "an anchor of draft-07",
      { ...draft7, definitions: { a: { $id: "#x", type: "null" } }, allOf: [{ $ref: "#x" }] },
      null,
      1,
    ],
    ["with siblings, which count in 2020-12", { $defs: { a: {} }, $ref: "#/$defs/a", type: "null" }, null, 1],
  ])("refers %s", (_name, schema, valid, invalid) => {
    expect(linesOf(schema, valid)).toEqual([]);
    expect(linesOf(schema, invalid)).toHaveLength(1);
  });

  it("of draft-07 has nothing beside a reference, and lists of items", () => {
    const definitions = { a: {} };
    expect(
      linesOf({ ...draft7, definitions, properties: { a: { $ref: "#/definitions/a", type: "null" } } }, { a: 1 }),
    ).toEqual([]);
    const tuple = { ...draft7, items: [{ type: "null" }], additionalItems: { type: "string" } };
    expect(linesOf(tuple, [null, "a", 1])).toEqual(["input/2 must be a string"]);
    expect(linesOf({ ...draft7, dependentRequired: { a: ["b"] } }, { a: 1 })).toEqual([]);
  });

  it("may have keywords and formats that nobody knows", () => {
    expect(linesOf({ "x-order": 1, format: "color", nullable: true, default: 7, examples: [1] }, "red")).toEqual([]);
  });

  it("can check the largest input by a format, a length or an expression", () => {
    const image = `data:image/png;base64,${"Ab+/".repeat((CHECKED_INPUT_MAX_BYTES - 40) / 4)}`;
    for (const schema of [
      { format: "uri" },
      { maxLength: image.length },
      { pattern: "^data:image/[a-z]+;base64,[A-Za-z0-9+/]*={0,2}$" },
    ]) {
      const compiled = compileSchema(JSON.stringify({ properties: { image: { type: "string", ...schema } } }));
      if (!compiled.ok) throw new Error(compiled.problem.message);
      for (const [value, kind] of [
        [image, "valid"],
        [`${image}!{`, "invalid"],
      ]) {
        const bytes = new TextEncoder().encode(JSON.stringify({ image: value }));
        expect(checkBytes(compiled, bytes).kind).toBe(kind);
      }
    }
  });

  it("takes numbers as mathematics does", () => {
    expect(linesOf({ multipleOf: 0.1 }, 0.3)).toEqual([]);
    expect(linesOf({ multipleOf: 0.01 }, 19.99)).toEqual([]);
    expect(linesOf({ multipleOf: 0.1 }, 0.35)).toHaveLength(1);
    expect(linesOf({ multipleOf: 2 }, 10_000_000_001)).toHaveLength(1);
    expect(linesOf({ multipleOf: 2 }, 2 ** 52 + 1)).toHaveLength(1);
    expect(linesOf({ multipleOf: 1_000 }, 9_007_199_254_740_001)).toHaveLength(1);
    expect(linesOf({ multipleOf: 1_000 }, 9_007_199_254_740_000)).toEqual([]);
    expect(linesOf({ type: "integer" }, 1.0)).toEqual([]);
    expect(linesOf({ enum: [0] }, -0)).toEqual([]);
    expect(linesOf({ type: "number", maximum: 9 }, JSON.parse("1e999"))).toEqual(["input must be at most 9"]);
  });

  it("does not mistake what every object has for members", () => {
    expect(linesOf({ required: ["toString"] }, {})).toEqual(["input/toString is required"]);
    expect(
      linesOf({ properties: { a: {} }, additionalProperties: false }, JSON.parse('{"constructor":1}')),
    ).toHaveLength(1);
    expect(
      linesOf(JSON.parse('{"properties":{"__proto__":{"type":"null"}}}'), JSON.parse('{"__proto__":1}')),
    ).toHaveLength(1);
    expect(linesOf({ format: "constructor" }, "x")).toEqual([]);
  });
});

describe("texts of digits", () => {
  it("are told from what begins with the sign of their keys, and from numbers", () => {
    const schema = { properties: { "5": false, "~5": { enum: ["5", "~7", 9] }, "~": { uniqueItems: true } } };
    expect(linesOf(schema, { "5": 1 })).toEqual(["input/5 is not allowed"]);
    for (const value of ["5", "~7", 9]) expect(linesOf(schema, { "~5": value })).toEqual([]);
    for (const value of [5, "~5", "7", "9", "~~7", "~9", "~#9"])
      expect(linesOf(schema, { "~5": value })).toHaveLength(1);
    expect(linesOf(schema, { "~": [5, "5", "~5", "~~5", "~#5", { a: 5 }, [5]], "~~5": 1, "6": 1 })).toEqual([]);
    expect(linesOf(schema, { "~": ["5", 5, 5.0] })).toHaveLength(1);
    const seen = { properties: { "5": true, "~6": true }, unevaluatedProperties: false };
    expect(
      linesOf({ allOf: [{ properties: seen.properties }], unevaluatedProperties: false }, { "5": 1, "~6": 1 }),
    ).toEqual([]);
    expect(linesOf(seen, { "~5": 1, "6": 1 })).toHaveLength(2);
  });
});

describe("the limits of schemas", () => {
  it("fit each other and the bodies that bring them", () => {
    // A body of the management API has the schema one level below itself, and other settings beside it.
    expect(VALUE_DEPTH_MAX).toBeGreaterThan(SCHEMA_DEPTH_MAX + 1);
    expect(SCHEMA_MAX_BYTES).toBeLessThan(MANAGE_BODY_MAX_BYTES / 2);
    expect(CHECKED_INPUT_MAX_BYTES).toBeGreaterThan(PAYLOAD_ROW_MAX_BYTES);
    expect(CHECKED_INPUT_MAX_BYTES).toBeLessThan(RUN_BODY_MAX_BYTES);
    // The deepest input, with a reference at each level.
    expect(CHECK_DEPTH_MAX).toBeGreaterThan(1.9 * JSON_DEPTH_MAX);
    // A character can be looked at once by every state of the expressions.
    expect(CHECK_WORK_MAX).toBeGreaterThan(10 * PATTERN_STATES_MAX);
  });
});
