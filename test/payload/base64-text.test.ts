// Base64 of bytes that come in pieces, and back.
import { describe, expect, it } from "vitest";
import { Base64Encoder, decodeBase64 } from "../../src/payload/base64.ts";

const LARGEST_BYTES = 20 * 1024 * 1024;

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) % 256);
}

/** As btoa writes it. */
function expected(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
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
    expect(text).toBe(expected(bytes));
    expect(decodeBase64(text)).toEqual(bytes);
  });

  it("in pieces is the base64 of the whole, wherever it was cut", () => {
    const bytes = Uint8Array.from({ length: 20_000 }, (_, at) => (at * 7) % 256);
    for (const cut of [0, 1, 2, 3, 8_191, 19_999, 20_000]) {
      const encoder = new Base64Encoder();
      const text = encoder.push(bytes.subarray(0, cut)) + encoder.push(bytes.subarray(cut)) + encoder.end();
      expect(text).toBe(expected(bytes));
      expect(decodeBase64(text)).toEqual(bytes);
    }
  });

  it("of the largest body is decoded into an array of its own size", () => {
    const bytes = decodeBase64(new Uint8Array(LARGEST_BYTES).fill(7).toBase64());
    expect(bytes).toHaveLength(LARGEST_BYTES);
    expect(bytes?.buffer.byteLength).toBe(LARGEST_BYTES);
    expect(bytes?.every((byte) => byte === 7)).toBe(true);
  });

  it.each(["%%%%", "A", "AAAA=AAA", "AA=", "AA==AAAA", "-_-_", "AAAA\r\nAAAA\r\n"])(
    "that is none is null: %j",
    (text) => {
      expect(decodeBase64(text)).toBeNull();
    },
  );
});
