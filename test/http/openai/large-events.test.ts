// An event of an OpenAI server that is larger than what is held of one: its client gets it as from the server itself.
import { afterEach, expect, it, vi } from "vitest";
import { OPENAI_EVENT_HELD_MAX_BYTES } from "../../../src/core/openai/limits.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { openAiClient } from "../../support/openai-client.ts";

afterEach(() => vi.restoreAllMocks());

it.each([
  ["that is held whole", OPENAI_EVENT_HELD_MAX_BYTES - 1_000],
  ["that passes in parts", OPENAI_EVENT_HELD_MAX_BYTES + 1_000_000],
])("an event %s reaches its client, and its job is COMPLETED", async (_how, bytes) => {
  // A character of three bytes stands across every border between two parts.
  const image = "€".repeat(bytes / 3);
  const created = 'event: response.created\ndata: {"type":"response.created","response":{}}\n\n';
  const last = `event: response.completed\ndata: {"type":"response.completed","response":{"output":"${image}"}}\n\n`;
  answerUpstreams(() => new Response(`${created}${last}`, { headers: { "content-type": "text/event-stream" } }));
  const { ask, status } = await openAiClient();
  const headers = { "content-type": "application/json" };
  const answer = await ask("/v1/responses", { method: "POST", headers, body: '{"stream":true}' });
  const text = await answer.text();
  expect(text.length).toBe(created.length + last.length);
  expect(text === `${created}${last}`).toBe(true);
  const job = await status(answer.headers.get("x-job-id"));
  expect(job).toMatchObject({ status: "COMPLETED", output: expect.any(Array) });
  expect((job as { output: string[] }).output.join("") === text).toBe(true);
});
