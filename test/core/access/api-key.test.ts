// The text of API keys: made from given random bytes, and refused when a character is wrong.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  apiKeyOf,
  blankApiKeys,
  KEY_RANDOM_BYTES,
  KEY_SECRET_BYTES,
  makeApiKey,
  parseApiKey,
} from "../../../src/core/access/api-key.ts";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const random = fc.uint8Array({ minLength: KEY_RANDOM_BYTES, maxLength: KEY_RANDOM_BYTES });
/** Enough of these bytes are below 248 to make a key. */
const enough = random.filter((bytes) => bytes.filter((byte) => byte < 248).length >= 55);

describe("an API key", () => {
  it("has the documented form and gives its id back", () => {
    fc.assert(
      fc.property(enough, (bytes) => {
        const { id, key } = makeApiKey(bytes);
        expect(key).toMatch(/^wb_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/);
        expect(parseApiKey(key)).toEqual({ id });
      }),
    );
  });

  it("is refused when any one character is another", () => {
    fc.assert(
      fc.property(enough, fc.nat(), fc.constantFrom(...ALPHABET), (bytes, place, char) => {
        const { key } = makeApiKey(bytes);
        const at = place % key.length;
        fc.pre(key.charAt(at) !== char);
        expect(parseApiKey(`${key.slice(0, at)}${char}${key.slice(at + 1)}`)).toBeNull();
      }),
    );
  });

  it("is refused with anything before or after it, and when it is another text", () => {
    const { key } = makeApiKey(new Uint8Array(KEY_RANDOM_BYTES));
    for (const text of [
      "",
      "wb_live_",
      ` ${key}`,
      `${key} `,
      `${key}\n`,
      key.toUpperCase(),
      key.slice(1),
      `${key}${key}`,
    ]) {
      expect(parseApiKey(text)).toBeNull();
    }
  });

  it("ends with the CRC-32 that everybody computes", () => {
    const { key } = makeApiKey(new Uint8Array(KEY_RANDOM_BYTES));
    const value = [...key.slice(-6)].reduce((sum, char) => sum * 62 + ALPHABET.indexOf(char), 0);
    // By zlib, of the text up to the last underscore.
    expect(value).toBe(1_859_886_441);
  });

  it("favours no character: bytes that would are skipped", () => {
    const biased = new Uint8Array(KEY_RANDOM_BYTES).fill(255);
    expect(() => makeApiKey(biased)).toThrow(/too few random bytes/);
    biased.fill(0, 0, 55);
    expect(makeApiKey(biased).id).toBe("0".repeat(12));
  });

  it("of given bytes holds all of them", () => {
    const id = "abcdefABCDEF";
    const secret = fc.uint8Array({ minLength: KEY_SECRET_BYTES, maxLength: KEY_SECRET_BYTES });
    fc.assert(
      fc.property(secret, (bytes) => {
        const key = apiKeyOf(id, bytes);
        expect(parseApiKey(key)).toEqual({ id });
        const text = key.split("_")[3] ?? "";
        const value = [...text].reduce((sum, char) => sum * 62n + BigInt(ALPHABET.indexOf(char)), 0n);
        expect(value).toBe(bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n));
      }),
    );
    expect(() => apiKeyOf("short", new Uint8Array(KEY_SECRET_BYTES))).toThrow("cannot be the id of a key");
    expect(() => apiKeyOf(id, new Uint8Array(8))).toThrow("another length");
  });

  it("is blanked in a text, wherever it stands", () => {
    const { key } = makeApiKey(new Uint8Array(KEY_RANDOM_BYTES));
    expect(blankApiKeys(`{"a":"${key}"} x${key} y`)).toBe(`{"a":"${"*".repeat(71)}"} x${"*".repeat(71)} y`);
    expect(blankApiKeys("wb_live_short")).toBe("wb_live_short");
  });

  it("differs with the bytes", () => {
    const keys = new Set(
      Array.from({ length: 1_000 }, () => makeApiKey(crypto.getRandomValues(new Uint8Array(KEY_RANDOM_BYTES))).key),
    );
    expect(keys.size).toBe(1_000);
  });
});
