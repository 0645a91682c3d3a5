// What Python calls JSON becomes JSON, however the bytes are cut.
import fc from "fast-check";
import { expect, it } from "vitest";
import { scanObject } from "../../../src/core/json/scanner.ts";

/** The texts of a document's fields, scanned in pieces of `size` bytes that are wiped after use; the words of `output` become null. */
function scanned(document: string, size: number): Record<string, string> {
  const fields = new Map<string, number[]>();
  let open: number[] = [];
  const sink = {
    begin(name: string) {
      open = [];
      fields.set(name, open);
    },
    bytes: (view: Uint8Array) => void open.push(...view),
    end: () => undefined,
  };
  const scanner = scanObject(sink, { lenientNumbers: true, nullsIn: "output" });
  const bytes = new TextEncoder().encode(document);
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.slice(at, at + size);
    expect(scanner.push(piece)).toBeNull();
    piece.fill(0);
  }
  expect(scanner.end()).toBeNull();
  const texts = [...fields].map(([name, text]) => [name, new TextDecoder().decode(Uint8Array.from(text))]);
  return Object.fromEntries(texts);
}

const CASES = [
  ["NaN", "null"],
  ["[NaN,Infinity,-Infinity,-1,1e-5,-0]", "[null,null,null,-1,1e-5,-0]"],
  ['{"NaN":"Infinity -Infinity NaN \\" NaN","a":NaN}', '{"NaN":"Infinity -Infinity NaN \\" NaN","a":null}'],
  ['["\\\\",NaN]', '["\\\\",null]'],
  ["-5", "-5"],
  ["-Infinity", "null"],
  ["[-1,-Infinity]", "[-1,null]"],
  ["[ -Infinity , -1 ]", "[ null , -1 ]"],
] as const;

it.each(CASES)("%s becomes %s in any pieces", (text, expected) => {
  for (let size = 1; size <= text.length + 12; size += 1)
    expect(scanned(`{"output":${text}}`, size)).toEqual({ output: expected });
});

it("stays as it is in the fields beside the one that is named", () => {
  const document = '{"a":-Infinity,"output":[-Infinity,-1],"b":[NaN,-2]}';
  for (let size = 1; size <= document.length; size += 1)
    expect(scanned(document, size)).toEqual({ a: "-Infinity", output: "[null,-1]", b: "[NaN,-2]" });
});

it("becomes what JSON.stringify writes for any value, in any pieces", () => {
  const numbers = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -Infinity, -1));
  const values = fc.array(fc.oneof(numbers, fc.constantFrom("NaN", '-"Infinity'), fc.dictionary(fc.string(), numbers)));
  const toPython = (value: unknown): string => {
    if (typeof value === "number") return Number.isFinite(value) ? JSON.stringify(value) : String(value);
    if (Array.isArray(value)) return `[${value.map(toPython).join(",")}]`;
    if (typeof value !== "object" || value === null) return JSON.stringify(value);
    const members = Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}:${toPython(one)}`);
    return `{${members.join(",")}}`;
  };
  const check = fc.property(values, fc.integer({ min: 1, max: 40 }), (value, size) => {
    expect(scanned(`{"output":${toPython(value)}}`, size)).toEqual({ output: JSON.stringify(value) });
  });
  fc.assert(check, { numRuns: 500 });
});

it("hands on a view of the very same bytes where nothing changes", () => {
  const bytes = new TextEncoder().encode('{"output":{"a":-1.5,"b":"NaN"}}');
  const views: Uint8Array[] = [];
  const sink = { begin: () => undefined, bytes: (view: Uint8Array) => void views.push(view), end: () => undefined };
  scanObject(sink, { lenientNumbers: true, nullsIn: "output" }).push(bytes);
  expect(views).toEqual([bytes.subarray(10, -1)]);
  expect(views[0]?.buffer).toBe(bytes.buffer);
});
