// Ids of machines: what names of machines and ids of keys take.
import fc from "fast-check";
import { expect, it } from "vitest";
import { apiKeyOf, KEY_SECRET_BYTES, parseApiKey } from "../../../src/core/access/api-key.ts";
import { INSTANCE_ID_RANDOM_BYTES, isInstanceId, makeInstanceId } from "../../../src/core/fleet/instance-id.ts";
import { instanceName } from "../../../src/core/fleet/provider.ts";

const random = fc.uint8Array({ minLength: INSTANCE_ID_RANDOM_BYTES, maxLength: INSTANCE_ID_RANDOM_BYTES });

it("an id makes a name that every vendor takes, and is the id of a key", () => {
  fc.assert(
    fc.property(random, (bytes) => {
      fc.pre(bytes.filter((byte) => byte < 252).length >= 12);
      const id = makeInstanceId(bytes);
      expect(isInstanceId(id)).toBe(true);
      // A label of DNS, as names in Kubernetes are.
      expect(instanceName("0123456789abcdef", id)).toMatch(/^[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?$/);
      expect(parseApiKey(apiKeyOf(id, new Uint8Array(KEY_SECRET_BYTES)))).toEqual({ id });
    }),
  );
});

it("bytes that would favour a character are skipped", () => {
  const biased = new Uint8Array(INSTANCE_ID_RANDOM_BYTES).fill(252);
  expect(() => makeInstanceId(biased)).toThrow(/too few random bytes/);
  biased.fill(35, 0, 12);
  expect(makeInstanceId(biased)).toBe("z".repeat(12));
});

it.each(["", "k3v9x0ab12c", "k3v9x0ab12cde", "K3v9x0ab12cd", "k3v9x0ab12c-", "k3v9x0ab12cd\n"])(
  "%j is no id",
  (text) => {
    expect(isInstanceId(text)).toBe(false);
  },
);
