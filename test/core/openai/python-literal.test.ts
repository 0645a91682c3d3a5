// Python's repr, read back: by examples from real errors, and against a writer of our own.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parsePythonLiteral } from "../../../src/core/openai/python-literal.ts";
import { cpuMsOf } from "../../support/cpu-time.ts";
import { readJson } from "../json/read-json.ts";

describe("a Python literal", () => {
  it.each([
    ["None", null],
    ["True", true],
    ["-12", -12],
    ["1e+16", 1e16],
    ["-1.5e-07", -1.5e-7],
    ["nan", null],
    ["-inf", null],
    ["1e999", null],
    ["''", ""],
    [`"it's"`, "it's"],
    [String.raw`'both \' and "'`, `both ' and "`],
    [String.raw`'\n\t\r\\\x00\xe9\u20ac\U0001f600'`, "\n\t\r\\\u0000é€😀"],
    [String.raw`'\ud800'`, "\ud800"],
    ["()", []],
    ["(1,)", [1]],
    ["(1, 'a', [])", [1, "a", []]],
    ["[1, [2, {}]]", [1, [2, {}]]],
    ["{1: 'a', None: 2, True: 3}", { 1: "a", null: 2, true: 3 }],
    [
      `{'error': {'message': "The model 'x' does not exist.", 'type': 'NotFoundError', 'param': None, 'code': 404}}`,
      { error: { message: "The model 'x' does not exist.", type: "NotFoundError", param: null, code: 404 } },
    ],
    [" [ 1 , 2 , ] \n", [1, 2]],
  ])("%s", (text, value) => {
    expect(parsePythonLiteral(text)).toEqual(value);
  });

  it.each([
    "",
    "boom",
    "1 2",
    "1a",
    "true",
    "null",
    "'a",
    "'a\nb'",
    String.raw`'\q'`,
    String.raw`'\x4'`,
    String.raw`'\U00110000'`,
    "b'a'",
    "(1)",
    "[1",
    "[1 2]",
    "[,]",
    "[1]]",
    "{'a'}",
    "{'a' 1}",
    "{'a': 1",
    "{[1]: 2}",
    "{1, 2}",
    "{'a': <Status.FAILED: 1>}",
    "ValueError('a')",
  ])("is not %j", (text) => {
    expect(parsePythonLiteral(text)).toBeUndefined();
  });

  it("gives no prototype to what it makes", () => {
    const value = parsePythonLiteral("{'__proto__': {'polluted': True}, 'constructor': 1}");
    expect(Object.keys(value as object)).toEqual(["__proto__", "constructor"]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect((value as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it("is bounded in depth", () => {
    expect(parsePythonLiteral("[".repeat(64) + "]".repeat(64))).toBeDefined();
    expect(parsePythonLiteral("[".repeat(65) + "]".repeat(65))).toBeUndefined();
    expect(parsePythonLiteral("[".repeat(1_000_000))).toBeUndefined();
  });

  it.each([
    ["quotes", `'${"\\'".repeat(500_000)}`],
    ["spaces", `[${" ".repeat(1_000_000)}`],
    ["digits", `[${"1".repeat(1_000_000)}x]`],
    ["items", `[${"1,".repeat(500_000)}`],
  ])("is given up in linear time: %s", (_kind, text) => {
    const tookMs = cpuMsOf(() => expect(parsePythonLiteral(text)).toBeUndefined());
    expect(tookMs).toBeLessThan(1_000);
  });
});

/** repr() as CPython writes it, for the values that JSON has too. */
function repr(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return reprOfString(value);
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  return `{${Object.entries(value as object)
    .map(([key, member]) => `${repr(key)}: ${repr(member)}`)
    .join(", ")}}`;
}

function reprOfString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const chars = Array.from(text, (char) => {
    const code = char.codePointAt(0) ?? 0;
    const simple = { "\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", [quote]: `\\${quote}` }[char];
    if (simple !== undefined) return simple;
    if (code < 0x20 || (code >= 0x7f && code < 0xa1)) return `\\x${code.toString(16).padStart(2, "0")}`;
    if (code >= 0xd800 && code <= 0xdfff) return `\\u${code.toString(16)}`;
    return code > 0xffff && code % 2 === 0 ? `\\U${code.toString(16).padStart(8, "0")}` : char;
  });
  return quote + chars.join("") + quote;
}

describe("any value", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc
      .array(fc.constantFrom("'", '"', "\\", "\n", "x41", "{", "é", "😀", "\ud800", ":"), { maxLength: 8 })
      .map((all) => all.join("")),
  );
  // The judge reads it as no member.
  const name = text.filter((chars) => chars !== "__proto__");
  const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(
        text,
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.boolean(),
        fc.constant(null),
      ),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.array(fc.tuple(name, tie("value")), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
    ),
  }));

  it("comes back from its repr", () => {
    const check = fc.property(anyValue, (value) => {
      // A negative zero has no repr of its own here: String writes it as 0.
      expect(parsePythonLiteral(repr(value))).toEqual(readJson(JSON.stringify(value)));
    });
    fc.assert(check, { numRuns: 2_000 });
  });

  it("that is cut or has junk in it is read without an error", () => {
    const check = fc.property(anyValue, fc.nat(200), fc.string({ maxLength: 3 }), (value, at, junk) => {
      const whole = repr(value);
      expect(() => parsePythonLiteral(whole.slice(0, at) + junk + whole.slice(at))).not.toThrow();
    });
    fc.assert(check, { numRuns: 2_000 });
  });
});
