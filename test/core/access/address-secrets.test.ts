// Credentials that stand in an upstream's address.
import { describe, expect, it } from "vitest";
import { addressProblem, secretsInAddress } from "../../../src/core/access/address-secrets.ts";

describe("an address", () => {
  it.each([
    ["https://h.example/v1?key=abc", "key"],
    ["https://h.example/v1?api_key=abc", "api_key"],
    ["https://h.example/v1?apiKey=abc", "apiKey"],
    ["https://h.example/v1?APIKEY=abc", "APIKEY"],
    ["https://h.example/v1?a=1&access_token=abc", "access_token"],
    ["https://h.example/v1?accessToken=abc", "accessToken"],
    ["https://h.example/v1?X-Amz-Signature=abc", "X-Amz-Signature"],
    ["https://h.example/v1?sig=abc", "sig"],
    ["https://h.example/v1?%6Bey=abc", "key"],
  ])("with a parameter for one is refused by its name: %s", (address, name) => {
    expect(addressProblem(address, null)).toBe(`must not hold a credential (its parameter ${name})`);
    expect(secretsInAddress(address)).toEqual(["abc"]);
  });

  it.each([
    "https://h.example/sk-abcdefgh12345678/v1",
    "https://h.example/v1?x=rpa_ABCDEFGH12345678",
    "https://h.example/v1?x=hf_abcdefgh12345678",
    "https://h.example/eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl",
    "https://h.example/v1?x=Bearer%20abcdefgh",
  ])("with what looks like a key is refused: %s", (address) => {
    expect(addressProblem(address, null)).toBe("must not hold a credential");
    expect(secretsInAddress(address)).toHaveLength(1);
  });

  it("with the very credential that is given beside it is refused, however it is written", () => {
    expect(addressProblem("https://h.example/mine/v1", "mine")).toBe("must not hold a credential");
    expect(addressProblem("https://h.example/m%69ne/v1", "mine")).toBe("must not hold a credential");
  });

  it.each([
    "https://api.runpod.ai/v2/abc123",
    "http://127.0.0.1:8000/v1",
    "https://h.example/v1?api-version=2024-10-21&region=eu",
    "https://h.example/v1?monkey=1&tokens=5&key=",
    "https://h.example/keys/sk/v1",
    "not an address",
  ])("without one is taken: %s", (address) => {
    expect(addressProblem(address, "another-credential")).toBeNull();
    expect(secretsInAddress(address).filter((secret) => secret !== "")).toEqual([]);
  });
});
