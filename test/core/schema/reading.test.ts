// What reading an input costs, told before it is read.
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

  it("ends where it is too much, and such an input is not read at all", () => {
    const schema = compileSchema("{}");
    if (!schema.ok) throw new Error(schema.problem.message);
    const names = encode(JSON.stringify(Object.fromEntries(many((at) => [`key${at}`, at] as const, 60_000))));
    expect(checkBytes(schema.root, names)).toEqual({ kind: "too_much" });
    expect(workOfReading(names, 100)).toBeLessThan(17_000);
    for (const broken of ['"', '"\\', "{", '{"a', '{"a"', "}}", ""]) {
      expect(workOfReading(encode(broken), Infinity)).toBeLessThan(50);
    }
  });
});
