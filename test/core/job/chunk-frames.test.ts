// Chunks of a stream as they are packed into one row, with the mark of those that are pieces of a cut value.
import { describe, expect, it } from "vitest";
import { packChunks, packedBytes, unpackChunks } from "../../../src/core/job/chunk-frames.ts";
import { CHUNK_MAX_BYTES } from "../../../src/core/limits.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

describe("packed chunks", () => {
  const chunks = [bytesOf('"a"'), new Uint8Array(0), new Uint8Array(CHUNK_MAX_BYTES).fill(0xff)];

  it("come out as they went in", () => {
    expect(unpackChunks(packChunks(chunks))).toEqual(chunks.map((bytes) => ({ bytes })));
  });

  it.each(["more", "last"] as const)("keep their mark (%s) in no further byte", (part) => {
    const packed = packChunks(chunks, part);
    expect(packed.length).toBe(packedBytes(chunks));
    expect(unpackChunks(packed)).toEqual(chunks.map((bytes) => ({ bytes, part })));
  });

  it("of a row that was stored without marks have none", () => {
    expect(unpackChunks(Uint8Array.of(0, 0, 0, 1, 0x31, 0, 0, 0, 2, 0x31, 0x32))).toEqual([
      { bytes: bytesOf("1") },
      { bytes: bytesOf("12") },
    ]);
  });
});
