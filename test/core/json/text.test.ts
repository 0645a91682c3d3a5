// Steps over JSON text land where a parser would.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { membersOf, memberText, nextBracket, opens, skipValue } from "../../../src/core/json/text.ts";

/** Texts with marks of JSON in them, and lists of numbers that are longer than what is looked at one by one. */
const texts = fc.oneof(fc.string(), fc.constantFrom('"', "\\", '\\"', "}", "[", "é😀", '{"a":'));
const numbers = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 20, maxLength: 40 });
const { value: anyJson } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(texts, fc.boolean(), fc.constant(null), numbers),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(texts, tie("value"), { maxKeys: 4 }),
  ),
}));
const indent = fc.constantFrom(undefined, 1, "\t");

describe("a step over JSON text", () => {
  it("ends behind any value", () => {
    const check = fc.property(anyJson, indent, fc.constantFrom("", ",", "]", "}", "\n"), (value, space, behind) => {
      const text = JSON.stringify(value, null, space);
      expect(skipValue(`[${text}${behind}`, 1)).toBe(1 + text.length);
    });
    fc.assert(check, { numRuns: 1_000 });
  });

  it("finds every bracket outside of strings, and no other", () => {
    const check = fc.property(anyJson, indent, (value, space) => {
      const text = JSON.stringify(value, null, space);
      const bare = text.replace(/"(?:[^"\\]|\\.)*"/gs, (string) => "_".repeat(string.length));
      const found: number[] = [];
      for (let at = nextBracket(text, 0); at < text.length; at = nextBracket(text, at + 1)) found.push(at);
      expect(found).toEqual([...bare.matchAll(/[[\]{}]/g)].map(({ index }) => index));
      expect(found.map((at) => opens(text.charCodeAt(at)))).toEqual(found.map((at) => /[[{]/.test(text[at] ?? "")));
    });
    fc.assert(check, { numRuns: 1_000 });
  });

  it("finds the members of an object with their raw values", () => {
    const objects = fc.dictionary(texts, anyJson, { maxKeys: 5 });
    const check = fc.property(objects, indent, fc.constantFrom("", " ", "\r\n\t"), (object, space, gap) => {
      const expected = Object.entries(object).map(([name, value]) => [name, JSON.stringify(value, null, space)]);
      const inner = expected.map(([name, raw]) => [gap, JSON.stringify(name), gap, ":", gap, raw, gap].join(""));
      const text = `${gap}{${inner.join(",")}}`;
      expect([...membersOf(text, 0)].map(({ name, from, to }) => [name, text.slice(from, to)])).toEqual(expected);
      for (const [name = "", raw] of expected) expect(memberText(text, name)).toBe(raw);
    });
    fc.assert(check, { numRuns: 1_000 });
  });

  it("goes to the end of a string or container that has none", () => {
    expect(skipValue('"abc\\"', 0)).toBeGreaterThan(6);
    expect(skipValue('[1,"]"', 0)).toBe(6);
    expect(nextBracket('"[', 0)).toBeGreaterThanOrEqual(2);
    expect([...membersOf('{"a":1,"b":"', 0)].map(({ name }) => name)).toEqual(["a"]);
  });
});
