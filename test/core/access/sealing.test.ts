// Where sealed secrets belong: D1 holds what was sealed under these very texts.
import { expect, it } from "vitest";
import { credentialPlace, providerPlace, WEBHOOK_SECRET_PLACE } from "../../../src/core/access/sealing.ts";

it("names the places of sealed secrets as every release has named them", () => {
  expect(WEBHOOK_SECRET_PLACE).toBe("webhook");
  expect(credentialPlace("up-1")).toBe("upstream:up-1");
  expect(providerPlace("prv-1")).toBe("provider:prv-1");
});
