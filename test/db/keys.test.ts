// What is read of keys and of their tenants.
import { expect, it } from "vitest";
import { parseLimits } from "../../src/db/keys.ts";

it("limits of an operation that this release does not know are left out, and those that it knows hold", () => {
  const run = { calls: 5, open: 2 };
  expect(parseLimits(JSON.stringify({ run, "later-operation": { calls: 1, open: 1, more: true } }))).toEqual({ run });
  expect(parseLimits(null)).toBeNull();
});
