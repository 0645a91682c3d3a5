// A deployment without its secrets says so in one sentence, and nothing else works.
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { createApp } from "../../src/http/app.ts";

it("names what is missing in its configuration, and no value", async () => {
  const request = new Request("https://waybill.test/");
  const broken = { ...env, PEPPER: "short", ENCRYPTION_KEY: "not-a-key" };
  const response = await createApp().fetch(request, broken, createExecutionContext());
  expect(response.status).toBe(500);
  const text = await response.text();
  expect(text).toContain("PEPPER must have at least 32 characters");
  expect(text).toContain("ENCRYPTION_KEY must be 32 bytes");
  expect(text).not.toContain("not-a-key");
});
