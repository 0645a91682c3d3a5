// What reading an input costs, told before it is read.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkBytes } from "../../../src/core/schema/check.ts";
import { compileSchema } from "../../../src/core/schema/compile.ts";
import { CHECK_WORK_MAX, CHECKED_INPUT_MAX_BYTES } from "../../../src/core/schema/limits.ts";
import { workOfReading } from "../../../src/core/schema/reading.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const workOf = (value: unknown) => workOfReading(encode(JSON.stringify(value)), Infinity);
const many = <T>(of: (at: number) => T, length = 1_000): T[] => Array.from({ length }, (_, at) => of(at));

describe("the work of reading", () => {
  it("is little for the largest text, and grows with values", () => {
    expect(workOf("x".repeat(CHECKED_INPUT_MAX_BYTES - 2))).toBeLessThan(0.4 * CHECK_WORK_MAX);
    const lines = "A line of a document.\n".repeat(CHECKED_INPUT_MAX_BYTES / 23 - 1);
    expect(workOf(lines)).toBeLessThan(0.8 * CHECK_WORK_MAX);
    expect(workOf(many((at) => at, 20_000))).toBeLessThan(0.4 * CHECK_WORK_MAX);
    expect(workOf(many(() => []))).toBeGreaterThan(workOf(many(() => 0)));
  });

  it("is more for names that have not been met in this order", () => {
    const known = workOf(many((at) => ({ a: at, b: { c: 1, d: [{ e: 1 }] }, f: "x" })));
    expect(workOf(many((at) => ({ [`a${at}`]: at })))).toBeGreaterThan(14_000);
    expect(known).toBeLessThan(35_000);
    const orders = many((at) =>
      Object.fromEntries([...`${at}`.padStart(4, "0")].map((digit, place) => [`${digit}${place}`, 1])),
    );
    expect(workOf(orders)).toBeGreaterThan(14 * 1_000);
    // A name is the same one only if all of it is, and it is known behind the same names alone.
    const long = "x".repeat(40);
    expect(workOf(many((at) => ({ [`${long}${at}${long}`]: 1 })))).toBeGreaterThan(14_000);
    expect(
      workOf([
        { a: 1, b: 1 },
        { a: 1, b: 1 },
      ]),
    ).toBeLessThan(
      workOf([
        { a: 1, b: 1 },
        { b: 1, a: 1 },
      ]),
    );
  });

  it("is more for escapes, which may hide no member", () => {
    expect(workOf(many(() => "\n"))).toBeGreaterThan(2 * workOf(many(() => "n")));
    const names = many((at) => `"a${at}\\\\":1`).join();
    expect(workOfReading(encode(`{${names}}`), Infinity)).toBeGreaterThan(14_000);
    const spaced = many((at) => `"a${at}" \n:1`).join();
    expect(workOfReading(encode(`{${spaced}}`), Infinity)).toBeGreaterThan(14_000);
    expect(workOf(many(() => '{"a":1,"b":[2]}').join("\\"))).toBeLessThan(3_000);
  });

  it("finds the end of a text with escapes wherever its quotes and backslashes stand", () => {
    const behind = { a: 1, b: 1 };
    const workBehind = workOf([0, behind]) - workOf([0, 0]);
    const part = fc.constantFrom("\\", '"', '\\"', "a", "é\n", "x".repeat(31), "x".repeat(32), "y".repeat(1_023));
    void fc.assert(
      fc.property(fc.array(part, { maxLength: 50 }), (parts) => {
        const text = parts.join("");
        // If the text ended too early or too late, other names would stand behind it, or none.
        expect(workOf([text, behind]) - workOf([text, 0])).toBeCloseTo(workBehind, 6);
      }),
      { numRuns: 3_000, seed: 16 },
    );
  });

  it("is more for texts of digits that the engine finds in one place", () => {
    expect(workOf(many((at) => String(at * 65_536 + 7), 4_000))).toBeGreaterThan(CHECK_WORK_MAX);
    // In places that are near to one another it looks through the others, too.
    const near = many((at) => String((at % 1_024) + Math.floor(at / 1_024 + 1) * 131_072), 12_000);
    expect(workOf(near)).toBeGreaterThan(CHECK_WORK_MAX);
    // What are numbers of things, or the same few texts again and again, and what is no index of a list.
    for (const usual of [
      (at: number) => at,
      (at: number) => 4_000_000 + at * 1_000,
      (at: number) => (at % 20) * 65_536,
    ])
      expect(workOf(many((at) => String(usual(at)), 8_000))).toBeLessThan(0.75 * CHECK_WORK_MAX);
    const others = many((at) => [`0${at * 65_536}`, `x${at * 65_536}`, `9${at * 65_536}00000`], 2_000);
    expect(workOf(others)).toBeLessThan(0.75 * CHECK_WORK_MAX);
    expect(workOf(many(() => ["", "0"], 4_000))).toBeLessThan(0.75 * CHECK_WORK_MAX);
  });

  it("is more for numbers with more digits than a double has", () => {
    const listOf = (number: string, length: number) => `[${many(() => number, length).join()}]`;
    const work = (text: string) => workOfReading(encode(text), Infinity);
    for (const number of ["68908618890246666183e-305", `${"9".repeat(300)}`, `0.${"7".repeat(30)}e17`])
      expect(work(listOf(number, 10_000))).toBeGreaterThan(CHECK_WORK_MAX);
    expect(work(listOf('{"a":68908618890246666183e-305}', 6_000))).toBeGreaterThan(CHECK_WORK_MAX);
    expect(work(listOf("[68908618890246666183e-305]", 8_000))).toBeGreaterThan(CHECK_WORK_MAX);
    expect(work(listOf("-0.1234567890123456", 20_000))).toBeLessThan(0.4 * CHECK_WORK_MAX);
    // The spaces in which JSON is set for people are no digits.
    expect(work(listOf(`\n${" ".repeat(40)}17`, 10_000))).toBeLessThan(0.4 * CHECK_WORK_MAX);
  });

  it("is less for an input whose schema is large: the first check by one reads it, too", () => {
    const numbers = encode(JSON.stringify(many((at) => at, 15_000)));
    const kindBy = (properties: object) => {
      const schema = compileSchema(JSON.stringify({ items: { type: "integer" }, properties }));
      if (!schema.ok) throw new Error(schema.problem.message);
      return checkBytes(schema, numbers).kind;
    };
    const fields = (count: number, field: object) =>
      Object.fromEntries(many((at) => [`f${at}`, { ...field, title: `F ${at}` }] as const, count));
    expect(kindBy({})).toBe("valid");
    expect(kindBy(fields(50, {}))).toBe("valid");
    expect(kindBy(fields(900, {}))).toBe("too_much");
    const expressions = many((at) => [`f${at}`, { pattern: `^[a-${"bcdefghijk"[at % 10]}]{${at}}$` }] as const, 80);
    expect(kindBy(Object.fromEntries(expressions))).toBe("too_much");
  });

  it("leaves a quarter for inputs however large the schema is: one that can be saved can be used", () => {
    const largest = [
      { properties: Object.fromEntries(many((at) => [`f${at}`, {}] as const, 999)) },
      { properties: Object.fromEntries(many((at) => [`f${at}`, { pattern: `^a${at}` }] as const, 490)) },
      { patternProperties: Object.fromEntries(many((at) => [`k${at}$`, {}] as const, 100)) },
    ];
    for (const properties of largest) {
      const schema = compileSchema(JSON.stringify(properties));
      if (!schema.ok) throw new Error(schema.problem.message);
      expect(checkBytes(schema, encode(JSON.stringify({ f1: "a1", k2: [1, 2, 3] }))).kind).toBe("valid");
    }
  });

  it("ends where it is too much, and such an input is not read at all", () => {
    const schema = compileSchema("{}");
    if (!schema.ok) throw new Error(schema.problem.message);
    const names = encode(JSON.stringify(Object.fromEntries(many((at) => [`key${at}`, at] as const, 60_000))));
    expect(checkBytes(schema, names)).toEqual({ kind: "too_much" });
    expect(workOfReading(names, 100)).toBeLessThan(17_000);
    for (const broken of ['"', '"\\', "{", '{"a', '{"a"', "}}", ""]) {
      expect(workOfReading(encode(broken), Infinity)).toBeLessThan(50);
    }
  });
});
