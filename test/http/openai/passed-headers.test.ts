// Headers of a client that its OpenAI server or load-balanced worker needs.
import { afterEach, expect, it, vi } from "vitest";
import { answerUpstreams } from "../../support/broker.ts";
import { openAiClient } from "../../support/openai-client.ts";

const PASSED = {
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  tracestate: "vendor=1",
  baggage: "user=alice,plan=pro",
  "openai-beta": "assistants=v2",
  "anthropic-version": "2023-06-01",
  "idempotency-key": "abc",
};

afterEach(() => vi.restoreAllMocks());

function upstream(): { readonly seen: Headers[] } {
  const seen: Headers[] = [];
  answerUpstreams((request) => {
    seen.push(request.headers);
    return Response.json({ object: "list", data: [] });
  });
  return { seen };
}

it("the named headers reach the server, and no others", async () => {
  const { seen } = upstream();
  const { ask } = await openAiClient();
  const headers = { ...PASSED, "content-type": "application/json", cookie: "secret=1", "x-forwarded-for": "1.2.3.4" };
  await ask("/v1/embeddings", { method: "POST", headers, body: "{}" });
  const got = Object.fromEntries(seen[0] ?? []);
  const { "idempotency-key": key, ...others } = PASSED;
  expect(got).toMatchObject(others);
  expect(got["idempotency-key"]).not.toBe(key);
  expect(got.cookie).toBeUndefined();
  expect(got["x-forwarded-for"]).toBeUndefined();
  expect(got.authorization).toBe("Bearer sk-upstream");
});

it("a key is another one for each tenant, and the same for each call of one", async () => {
  const { seen } = upstream();
  const clients = [await openAiClient(), await openAiClient()];
  for (const { ask } of [...clients, ...clients]) {
    const headers = { "content-type": "application/json", "idempotency-key": "abc" };
    await ask("/v1/embeddings", { method: "POST", headers, body: "{}" });
  }
  const keys = seen.map((headers) => headers.get("idempotency-key"));
  expect(new Set(keys).size).toBe(2);
  expect(keys.slice(2)).toEqual(keys.slice(0, 2));
});

it("a version that cannot be one is refused by name, and no job is made", async () => {
  const { seen } = upstream();
  const { ask } = await openAiClient();
  const headers = { "content-type": "application/json", "openai-beta": "x".repeat(600) };
  const answer = await ask("/v1/embeddings", { method: "POST", headers, body: "{}" });
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({
    error: { param: "openai-beta", message: expect.stringContaining("512") },
  });
  expect(seen).toEqual([]);
});

it.each([
  ["too long", "x".repeat(8_193)],
  ["beyond ASCII", "k=\u00e9"],
])("baggage that is %s is left out: its client may not know that it is sent", async (_how, baggage) => {
  const { seen } = upstream();
  const { ask } = await openAiClient();
  const headers = { "content-type": "application/json", traceparent: PASSED.traceparent, baggage };
  expect((await ask("/v1/embeddings", { method: "POST", headers, body: "{}" })).status).toBe(200);
  expect([seen[0]?.get("baggage"), seen[0]?.get("traceparent")]).toEqual([null, PASSED.traceparent]);
});
