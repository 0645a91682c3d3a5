// JSON that is made to take the engine seconds is told from usual JSON of the same length.
import { describe, expect, it } from "vitest";
import { isSlowToRead } from "../../../src/core/json/digits.ts";
import { parseJson } from "../../../src/core/json/value.ts";

const listOf = (length: number, of: (at: number) => number): string =>
  JSON.stringify(Array.from({ length }, (_, at) => String(of(at))));

describe("a text of JSON", () => {
  it.each([
    ["in one place", (at: number) => at * 65_536 + 7],
    ["in one part", (at: number) => Math.floor(at / 16) * 65_536 + (at % 16)],
    ["in eight parts", (at: number) => Math.floor(at / 8) * 65_536 + (at % 8) * 500],
    ["in one place, a thousand of them again and again", (at: number) => (at % 4_000) * 65_536],
  ])("with very many texts of digits %s is not read", (_where, of) => {
    const text = listOf(60_000, of);
    expect(isSlowToRead(text)).toBe(true);
    expect(parseJson(text)).toBeUndefined();
    expect(parseJson(`{"a":[1,{"b":${text}}]}`)).toBeUndefined();
  });

  it.each([
    ["numbers in their order", listOf(200_000, (at) => at)],
    ["numbers of thousands", listOf(200_000, (at) => at * 1_000)],
    ["times", listOf(100_000, (at) => 1_790_000_000 + at * 3)],
    ["numbers without an order", listOf(200_000, (at) => (at * 2_654_435_761) % 4_294_967_291)],
    ["few numbers again and again", listOf(200_000, (at) => (at % 30) * 65_536)],
    ["numbers beyond those of lists", listOf(50_000, (at) => 4_294_967_296 + at * 65_536)],
    ["a short text", listOf(600, (at) => at * 65_536)],
    ["names", JSON.stringify(Object.fromEntries(Array.from({ length: 30_000 }, (_, at) => [at * 65_536, at])))],
    ["numbers that are no texts", JSON.stringify(Array.from({ length: 60_000 }, (_, at) => at * 65_536))],
  ])("with %s is read", (_what, text) => {
    expect(isSlowToRead(text)).toBe(false);
    expect(parseJson(text)).toEqual(JSON.parse(text));
  });
});
