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
  expect(got).toMatchObject(PASSED);
  expect(got.cookie).toBeUndefined();
  expect(got["x-forwarded-for"]).toBeUndefined();
  expect(got.authorization).toBe("Bearer sk-upstream");
});

it("too large ones are refused by name, and no job is made", async () => {
  const { seen } = upstream();
  const { ask } = await openAiClient();
  const headers = { "content-type": "application/json", baggage: "x".repeat(8_200) };
  const answer = await ask("/v1/embeddings", { method: "POST", headers, body: "{}" });
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ error: { param: "baggage", message: expect.stringContaining("8192") } });
  expect(seen).toEqual([]);
});
