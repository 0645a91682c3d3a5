// OpenAI clients of a stream whose first token is long in coming, and of endpoints where nobody could send one.
import { afterEach, describe, expect, it, vi } from "vitest";
import { OPENAI_SILENT_MAX_MS } from "../../../src/core/openai/limits.ts";
import { openAnswer } from "../../support/answering.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { openAiClient } from "../../support/openai-client.ts";
import { makePulling, makeReadyPulling } from "../../support/pulling.ts";

const POLL = { timeout: 15_000, interval: 20 };
const COMMENT = ": \n\n";
const EVENT = 'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n';
const DONE = "data: [DONE]\n\n";
const BODY = { messages: [], stream: true };
const SILENT_MS = OPENAI_SILENT_MAX_MS + 700;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a stream whose server is silent", { timeout: 30_000 }, () => {
  it("begins with a comment after a few seconds, and goes on with the server's events", async () => {
    const upstream = openAnswer("text/event-stream");
    const { chat, status } = await openAiClient();
    const answer = await chat(BODY);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toContain("text/event-stream");
    const reader = answer.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(COMMENT);
    upstream.send(EVENT);
    upstream.close();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(EVENT);
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(DONE);
    expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "COMPLETED" });
  });

  it.each(["/v1/responses"])("gets its comment on %s", async (path) => {
    openAnswer("text/event-stream");
    const { ask } = await openAiClient({ openaiRoutes: "all" });
    const headers = { "content-type": "application/json" };
    const answer = await ask(path, { method: "POST", headers, body: JSON.stringify(BODY) });
    const reader = answer.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(COMMENT);
    await reader?.cancel();
  });

  it("is told of a late error by an event, and its job is FAILED", async () => {
    answerUpstreams(async () => {
      await scheduler.wait(SILENT_MS);
      return Response.json({ error: { message: "too long", code: "context_length_exceeded" } }, { status: 400 });
    });
    const { chat, status } = await openAiClient();
    const answer = await chat(BODY);
    const text = await answer.text();
    expect([answer.status, text.startsWith(COMMENT)]).toEqual([200, true]);
    const event: unknown = JSON.parse(text.split("data: ")[1] ?? "");
    expect(event).toMatchObject({ error: { message: "too long", code: "context_length_exceeded" } });
    expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "FAILED" });
  });

  it("has the true status of an error that comes before the comment", async () => {
    answerUpstreams(() => Response.json({ error: { message: "no such model" } }, { status: 404 }));
    const { chat } = await openAiClient();
    expect((await chat(BODY)).status).toBe(404);
  });

  it("is answered by the next attempt where the first one fails late", async () => {
    let calls = 0;
    answerUpstreams(async () => {
      calls += 1;
      if (calls > 1) return new Response(EVENT, { headers: { "content-type": "text/event-stream" } });
      await scheduler.wait(SILENT_MS);
      return new Response("down", { status: 500 });
    });
    const { chat, status } = await openAiClient({ maxAttempts: 2 });
    const answer = await chat(BODY);
    expect((await answer.text()).replaceAll(COMMENT, "")).toBe(`${EVENT}${DONE}`);
    expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "COMPLETED" });
  });

  it("gets one event of an answer that comes in one piece", async () => {
    answerUpstreams(async () => {
      await scheduler.wait(SILENT_MS);
      const message = { role: "assistant", content: "hi" };
      return Response.json({ object: "chat.completion", choices: [{ index: 0, message, finish_reason: "stop" }] });
    });
    const { chat } = await openAiClient();
    const text = await (await chat(BODY)).text();
    expect(text).toContain('"delta":{"role":"assistant","content":"hi"}');
    expect(text.endsWith(DONE)).toBe(true);
  });

  it("ends with an error where its server sends no events after all", async () => {
    answerUpstreams(async () => {
      await scheduler.wait(SILENT_MS);
      return new Response("abc", { headers: { "content-type": "audio/mpeg" } });
    });
    const { chat } = await openAiClient();
    const text = await (await chat(BODY)).text();
    expect(text).toBe(
      `${COMMENT}data: {"error":{"message":"the worker's answer is no stream of events","type":"server_error","param":null}}\n\n`,
    );
  });
});

it("a client that closes before the first byte is noticed, and its job is CANCELLED", { timeout: 30_000 }, async () => {
  const upstream = openAnswer("text/event-stream");
  const { chat, status } = await openAiClient();
  const answer = await chat(BODY);
  await answer.body?.cancel();
  await vi.waitFor(
    async () => expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "CANCELLED" }),
    POLL,
  );
  await vi.waitFor(() => expect(upstream.isAborted()).toBe(true), POLL);
});

it("a request that waits for a slot gets its comment, too", { timeout: 30_000 }, async () => {
  const pulling = await makeReadyPulling();
  const ask = () => pulling.asClient("openai/v1/chat/completions", JSON.stringify(BODY));
  const first = ask();
  const id = await pulling.takeOne();
  const second = await ask();
  expect(second.status).toBe(200);
  const reader = second.body?.getReader();
  expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(COMMENT);
  await reader?.cancel();
  await pulling.done(id, '{"output":[]}');
  await (await first).text();
});

describe("an endpoint that has no worker and no upstream", () => {
  it.each([true, false])("answers 503 at once and names what is missing (stream: %s)", async (stream) => {
    const { chat, status } = await openAiClient({ upstreams: [] });
    const startMs = Date.now();
    const answer = await chat({ messages: [], stream });
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({
      error: {
        code: "no_worker",
        message: expect.stringMatching(/no worker and no upstream.* Add an upstream, or start a worker/),
      },
    });
    expect(Date.now() - startMs).toBeLessThan(OPENAI_SILENT_MAX_MS);
    expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "CANCELLED" });
  });

  it("which has a key for workers, waits for one that may be starting again, and not for one that never called", {
    timeout: 30_000,
  }, async () => {
    const pulling = await makePulling();
    vi.useFakeTimers({ toFake: ["Date"] });
    const ask = () => pulling.asClient("openai/v1/chat/completions", JSON.stringify({ messages: [] }));
    // The broker has just started: its workers may call in a moment.
    const first = ask();
    expect(await Promise.race([first, scheduler.wait(500)])).toBeUndefined();
    await pulling.ping();
    vi.setSystemTime(Date.now() + 4 * 60_000);
    // The worker is forgotten, but may be starting again.
    const second = ask();
    expect(await Promise.race([second, scheduler.wait(1_000)])).toBeUndefined();
    vi.setSystemTime(Date.now() + 2 * 60_000);
    expect((await ask()).status).toBe(503);
  });
});
