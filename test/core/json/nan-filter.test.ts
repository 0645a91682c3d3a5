// What Python calls JSON becomes JSON, however the bytes are cut.
import { expect, it } from "vitest";
import { NanFilter } from "../../../src/core/json/nan-filter.ts";

/** The text after the filter, pushed in pieces of `size` bytes. */
function filtered(text: string, size: number): string {
  const filter = new NanFilter();
  const bytes = new TextEncoder().encode(text);
  const kept: number[] = [];
  for (let at = 0; at < bytes.length; at += size) kept.push(...filter.push(bytes.subarray(at, at + size)));
  return new TextDecoder().decode(Uint8Array.from(kept));
}

const CASES = [
  ["NaN", "null"],
  ["[NaN,Infinity,-Infinity,-1,1e-5,-0]", "[null,null,null,-1,1e-5,-0]"],
  ['{"NaN":"Infinity -Infinity NaN \\" NaN","a":NaN}', '{"NaN":"Infinity -Infinity NaN \\" NaN","a":null}'],
  ['"\\\\",NaN', '"\\\\",null'],
  ["-5", "-5"],
  ["[-1,-Infinity]", "[-1,null]"],
] as const;

it.each(CASES)("%s becomes %s in any pieces", (text, expected) => {
  for (let size = 1; size <= text.length; size += 1) expect(filtered(text, size)).toBe(expected);
});

it("hands on the very same bytes where nothing changes", () => {
  const bytes = new TextEncoder().encode('{"a":-1.5,"b":"NaN"}');
  expect(new NanFilter().push(bytes)).toBe(bytes);
});
