// Strings of raw JSON come out as JSON.parse reads them, however they are cut.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonStringBytes } from "../../../src/core/json/string-bytes.ts";

/** The text that comes out of a JSON text pushed in pieces that end at these indexes. */
function read(json: string, cuts: readonly number[] = []): string {
  const bytes = new TextEncoder().encode(json);
  const strings = new JsonStringBytes();
  const out: number[] = [];
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    out.push(...strings.push(bytes.subarray(from, cut)));
    from = cut;
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(out));
}

function everyByte(json: string): number[] {
  return Array.from(new TextEncoder().encode(json).keys());
}

/** As Python's json.dumps writes: everything beyond ASCII escaped. */
function toAscii(json: string): string {
  return json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

describe("strings", () => {
  it.each([
    ["one", '"a\\n\\"\\\\\\/\\b\\f\\r\\t\\u0041"', 'a\n"\\/\b\f\r\tA'],
    ["a list", ' [ "a" , "b\\n", "" , "c" ] ', "ab\nc"],
    ["beyond ASCII, escaped or not", '["é€😀","\\u00E9\\u20ac\\ud83d\\ude00"]', "é€😀é€😀"],
    ["halves of a pair", '["\\ud83d","\\ude00\\ud83da\\ud83d\\n\\ud83d\\ud83d\\ude00"]', "���a�\n�😀"],
    ["none", "[]", ""],
    ["those before another kind of value", '["a",{"b":"c"},"d"]', "a"],
    ["none of another kind of value", '{"a":"b"}', ""],
    ["none of a list in a list", '[["a"]]', ""],
  ])("%s", (_kind, json, text) => {
    expect(read(json)).toBe(text);
    expect(read(json, everyByte(json))).toBe(text);
  });

  it("are what JSON.parse reads, in any pieces", () => {
    const texts = fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("\\", '"', "\\u0041", "\n")));
    const cuts = fc.array(fc.nat(100), { maxLength: 5 });
    const check = fc.property(texts, fc.boolean(), cuts, (values, isAscii, places) => {
      const json = isAscii ? toAscii(JSON.stringify(values)) : JSON.stringify(values);
      const { length } = new TextEncoder().encode(json);
      const sorted = places.filter((at) => at <= length).sort((one, other) => one - other);
      expect(read(json, sorted)).toBe(values.map((text) => text.toWellFormed()).join(""));
      expect(read(json, everyByte(json))).toBe(read(json));
    });
    fc.assert(check, { numRuns: 1_000 });
  });
});
