// Sealed secrets open only with the right key, at the right place, untouched.
import { expect, it } from "vitest";
import { keyFingerprint, open, seal } from "../../src/outbound/credentials.ts";

const KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY = "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

it("opens what it sealed, and never seals twice alike", async () => {
  const first = await seal("sécret", KEY, "upstream:one");
  const second = await seal("sécret", KEY, "upstream:one");
  expect(first).toMatch(/^v1\.[A-Za-z0-9_-]+$/);
  expect(first).not.toBe(second);
  expect(await open(first, KEY, "upstream:one")).toBe("sécret");
});

it("does not open with another key, at another place, or after a change", async () => {
  const sealed = await seal("secret", KEY, "upstream:two");
  const changed = sealed.slice(0, -2) + (sealed.endsWith("AA") ? "BB" : "AA");
  await expect(open(sealed, OTHER_KEY, "upstream:two")).rejects.toThrow("does not open");
  await expect(open(sealed, KEY, "upstream:three")).rejects.toThrow("does not open");
  await expect(open(changed, KEY, "upstream:two")).rejects.toThrow("does not open");
  await expect(open("v2.AAAA", KEY, "upstream:two")).rejects.toThrow("unknown form");
});

it("gives a key a short stable fingerprint", async () => {
  expect(await keyFingerprint(KEY)).toMatch(/^[0-9a-f]{16}$/);
  expect(await keyFingerprint(KEY)).toBe(await keyFingerprint(KEY));
  expect(await keyFingerprint(KEY)).not.toBe(await keyFingerprint(OTHER_KEY));
});
