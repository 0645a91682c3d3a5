// The keys of a fleet's workers: derived, never stored, and each of one instance of one endpoint.
import { expect, it } from "vitest";
import {
  apiKeyOf,
  KEY_RANDOM_BYTES,
  KEY_SECRET_BYTES,
  makeApiKey,
  parseApiKey,
} from "../../src/core/access/api-key.ts";
import { instanceOfKey, makeFleetKey } from "../../src/outbound/fleet-key.ts";

const PEPPER = "a pepper of at least thirty-two characters";
const endpointId = "0123456789abcdef";
const instanceId = "k3v9x0ab12cd";
const made = () => makeFleetKey(PEPPER, { endpointId, instanceId });

it("a key has the form of all keys, and names its instance", async () => {
  const key = await made();
  expect(key).toMatch(/^wb_live_k3v9x0ab12cd_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/);
  expect(parseApiKey(key)).toEqual({ id: instanceId });
  expect(await instanceOfKey(PEPPER, endpointId, key)).toBe(instanceId);
});

it("a key is the same whenever it is derived, so that machines which run are not locked out by a release", async () => {
  expect(await made()).toBe(await made());
  // Computed apart from this code. Whoever changes it locks out every machine that runs.
  expect(await made()).toBe("wb_live_k3v9x0ab12cd_pmWDkIRe7QnwjXjMeKm5v0NPsdvGgZkTu89hiuIwvVN_1rsQta");
});

it("a key opens no other endpoint, instance or deployment", async () => {
  const key = await made();
  expect(await instanceOfKey(PEPPER, "fedcba9876543210", key)).toBeNull();
  expect(await instanceOfKey(`${PEPPER}!`, endpointId, key)).toBeNull();
  const others = [
    await makeFleetKey(PEPPER, { endpointId, instanceId: "a1b2c3d4e5f6" }),
    await makeFleetKey(PEPPER, { endpointId: "fedcba9876543210", instanceId }),
    await makeFleetKey(`${PEPPER}!`, { endpointId, instanceId }),
  ];
  expect(new Set([key, ...others]).size).toBe(4);
  const secretOf = (text: string) => text.split("_")[3];
  expect(new Set([key, ...others].map(secretOf)).size).toBe(4);
});

it.each([
  ["a guessed secret", apiKeyOf(instanceId, new Uint8Array(KEY_SECRET_BYTES))],
  ["a stored key", makeApiKey(new Uint8Array(KEY_RANDOM_BYTES).fill(7)).key],
  ["no key at all", "k3v9x0ab12cd"],
  ["nothing", ""],
])("%s is none", async (_what, key) => {
  expect(await instanceOfKey(PEPPER, endpointId, key)).toBeNull();
});

it("with one character changed it is none", async () => {
  const key = await made();
  for (let at = 0; at < key.length; at += 1) {
    const changed = `${key.slice(0, at)}${key[at] === "a" ? "b" : "a"}${key.slice(at + 1)}`;
    expect(await instanceOfKey(PEPPER, endpointId, changed)).toBeNull();
  }
});

it("an instance with another form of id has no key", async () => {
  await expect(makeFleetKey(PEPPER, { endpointId, instanceId: "one\ntwo" })).rejects.toThrow(
    "is not the id of an instance",
  );
});
