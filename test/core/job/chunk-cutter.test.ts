// Chunks that are too large for a row of a job's log: what they are cut into, wherever the limit falls.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChunkCutter } from "../../../src/core/job/chunk-cutter.ts";
import type { Frame } from "../../../src/core/job/chunk-frames.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What a chunk becomes that comes in pieces of `size` bytes. */
function cut(json: string, maxBytes: number, size = Number.POSITIVE_INFINITY): string[] {
  return framesOf(json, maxBytes, size).map(({ bytes }) => decoder.decode(bytes));
}

function framesOf(json: string, maxBytes: number, size = Number.POSITIVE_INFINITY): Frame[] {
  const cutter = new ChunkCutter(maxBytes);
  const bytes = encoder.encode(json);
  const found: Frame[] = [];
  for (let at = 0; at < bytes.length; at += size) found.push(...cutter.push(bytes.slice(at, at + size)));
  found.push(cutter.end());
  for (const { bytes: piece } of found) expect(piece.length).toBeLessThanOrEqual(maxBytes);
  return found;
}

const textOf = (piece: string): string => {
  const text: unknown = JSON.parse(piece);
  if (typeof text !== "string") throw new Error("a piece is no string");
  return text;
};

/** JSON strings with raw and escaped characters of every kind; what they stand for is `JSON.parse`'s to say. */
const escapes = fc.constantFrom(
  "\\\\",
  '\\"',
  "\\n",
  "\\u00e9",
  "\\ud83d\\ude00",
  "\\uD83D\\uDE00",
  "\\ud83d",
  "\\ude00",
);
const characters = fc.oneof(escapes, fc.constantFrom("a", "é", "日", "😀", "/", "u", "d8"));
const strings = fc.array(characters, { maxLength: 200 }).map((parts) => `"${parts.join("")}"`);
const limits = fc.integer({ min: 16, max: 60 });
const sizes = fc.integer({ min: 1, max: 100 });

describe("a chunk that is cut", () => {
  it("stays as it is up to the limit, and is two strings above it", () => {
    const string = JSON.stringify("x".repeat(30));
    expect(cut(string, 33)).toEqual([string]);
    expect(cut(string, 32)).toEqual([string]);
    expect(cut(string, 31)).toEqual([JSON.stringify("x".repeat(29)), '"x"']);
    const list = "[1, 2.0, 3, 4, 5, 6]";
    expect(cut(list, 20)).toEqual([list]);
    expect(cut(list, 19)).toEqual(['"[1, 2.0, 3, 4, 5,"', '" 6]"']);
  });

  it("is the same however it comes, and joined it is the string that it was", () => {
    fc.assert(
      fc.property(strings, limits, sizes, (json, maxBytes, size) => {
        const pieces = cut(json, maxBytes, size);
        expect(pieces).toEqual(cut(json, maxBytes));
        expect(pieces.map((piece) => piece.slice(1, -1)).join("")).toBe(json.slice(1, -1));
        expect(pieces.map(textOf).join("")).toBe(JSON.parse(json));
        if (pieces.length > 1) for (const piece of pieces) expect(piece).not.toBe('""');
      }),
      { numRuns: 2_000 },
    );
  });

  it("has no surrogate pair in two strings", () => {
    fc.assert(
      fc.property(strings, limits, (json, maxBytes) => {
        const texts = cut(json, maxBytes).map(textOf);
        for (const [at, text] of texts.entries()) {
          const isHalf = /[\ud800-\udbff]$/.test(text) && /^[\udc00-\udfff]/.test(texts[at + 1] ?? "");
          expect(isHalf).toBe(false);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("is the JSON text of any other value in strings", () => {
    const values = fc.oneof(
      fc.json(),
      fc.array(strings).map((parts) => `[${parts.join(",\n\t")}]`),
    );
    fc.assert(
      fc.property(values, limits, sizes, (json, maxBytes, size) => {
        fc.pre(!json.startsWith('"') && encoder.encode(json).length > maxBytes);
        const pieces = cut(json, maxBytes, size);
        expect(pieces.length).toBeGreaterThan(1);
        expect(pieces.map(textOf).join("")).toBe(json);
      }),
      { numRuns: 2_000 },
    );
  });

  it("may end in thousands of backslashes", () => {
    const json = `"${"\\\\".repeat(5_000)}"`;
    expect(cut(json, 1_000).map(textOf).join("")).toBe("\\".repeat(5_000));
  });
});

it.each([
  ["of a value that is no string, the last one too", `[${"1,".repeat(30)}1]`, ["more", "more", "more", "more", "last"]],
  ["of no string", `"${"x".repeat(60)}"`, Array(5).fill(undefined)],
  ["of no whole chunk", '{"a":1}', [undefined]],
])("the pieces are marked: %s", (_which, json, marks) => {
  expect(framesOf(json, 16).map(({ part }) => part)).toEqual(marks);
});
