// Base64 of bytes that come in pieces, and back.
import { describe, expect, it } from "vitest";
import { Base64Encoder, decodeBase64 } from "../../../src/core/bytes/base64.ts";

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) % 256);
}

describe("base64", () => {
  it.each([0, 1, 2, 3, 8_190, 8_191, 50_000])("of %i bytes in pieces of any size comes back", (length) => {
    const bytes = bytesOf(length);
    const encoder = new Base64Encoder();
    let text = "";
    for (let at = 0, step = 1; at < length; at += step, step = (step * 7) % 1_000) {
      text += encoder.push(bytes.subarray(at, at + step));
    }
    text += encoder.end();
    expect(text).toBe(Buffer.from(bytes).toString("base64"));
    expect(decodeBase64(text)).toEqual(bytes);
  });

  it("of the largest body is decoded without a multiple of its size on the heap", () => {
    const text = Buffer.alloc(20 * 1024 * 1024, 7).toString("base64");
    const before = process.memoryUsage().heapUsed;
    expect(decodeBase64(text)).toHaveLength(20 * 1024 * 1024);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100 * 1024 * 1024);
  });

  it.each(["%%%%", "A", "AAAA=AAA"])("that is none is null: %s", (text) => {
    expect(decodeBase64(text)).toBeNull();
  });
});
