// Requests that are no request of any route.
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { createApp } from "../../src/http/app.ts";

it("`OPTIONS *`, whose URL is none, is 404", async () => {
  const request = new Request("https://waybill.test/", { method: "OPTIONS" });
  Object.defineProperty(request, "url", { value: "*" });
  expect((await createApp().fetch(request, env, createExecutionContext())).status).toBe(404);
});
