// The OpenAI routes when something between client, broker and server goes wrong, or is unusual.
import { afterEach, describe, expect, it, vi } from "vitest";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { OPENAI_COMMENT_EVERY_MS } from "../../../src/core/openai/limits.ts";
import { openAnswer } from "../../support/answering.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { openAiClient } from "../../support/openai-client.ts";
import { makeReadyPulling } from "../../support/pulling.ts";

const POLL = { timeout: 10_000, interval: 10 };
const ANSWER = { object: "chat.completion", choices: [{ index: 0, message: { role: "assistant", content: "hi" } }] };

afterEach(() => vi.restoreAllMocks());

describe("an answer of an OpenAI server", () => {
  it("reaches its client though the broker's answer to the finish was lost", async () => {
    answerUpstreams(() => Response.json(ANSWER));
    const { chat, status } = await openAiClient();
    const finish = EndpointBroker.prototype.finish;
    let lost = 0;
    vi.spyOn(EndpointBroker.prototype, "finish").mockImplementation(async function (this: EndpointBroker, call) {
      const finished = await finish.call(this, call);
      lost += 1;
      if (lost === 1) throw new Error("the answer was lost");
      return finished;
    });
    const answer = await chat({ messages: [] });
    expect(lost).toBe(2);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual(ANSWER);
    expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "COMPLETED", output: ANSWER });
  });

  it("keeps its own status and the headers that matter, but no others", async () => {
    const headers = { "openai-processing-ms": "7", "x-ratelimit-remaining-requests": "9", server: "uvicorn" };
    answerUpstreams(() => Response.json({ id: "file-1" }, { status: 201, headers }));
    const { ask } = await openAiClient({ openaiRoutes: "all" });
    const answer = await ask("/v1/files/x", { method: "POST", body: "{}" });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("openai-processing-ms")).toBe("7");
    expect(answer.headers.get("x-ratelimit-remaining-requests")).toBe("9");
    expect(answer.headers.get("server")).toBeNull();
    expect(await answer.json()).toEqual({ id: "file-1" });
  });

  it("without a body is an answer, and is asked for once", async () => {
    let calls = 0;
    answerUpstreams(() => {
      calls += 1;
      return new Response(null, { status: 204 });
    });
    const { ask } = await openAiClient({ openaiRoutes: "all" });
    const answer = await ask("/v1/files/x", { method: "DELETE" });
    expect([answer.status, await answer.text(), calls]).toEqual([204, "", 1]);
  });
});

describe("a request without a body", () => {
  it.each([
    ["JSON", "application/json"],
    ["another type", "application/octet-stream"],
  ])("of %s that says so is passed on as one", async (_name, type) => {
    const upstream = openAnswer("application/json");
    const { ask } = await openAiClient({ maxAttempts: 1, openaiRoutes: "all" });
    upstream.send("{}");
    upstream.close();
    const headers = { "content-type": type, "content-length": "0" };
    const answer = await ask("/v1/batches/b1/cancel", { method: "POST", headers, body: "" });
    expect(answer.status).toBe(200);
    expect(upstream.requests).toMatchObject([{ method: "POST", body: "" }]);
  });
});

it("speech that pauses keeps its bytes: only a stream of events has a place for comments", {
  timeout: 20_000,
}, async () => {
  const upstream = openAnswer("audio/mpeg");
  const { ask } = await openAiClient();
  upstream.send("abc");
  const answer = await ask("/v1/audio/speech", { method: "POST", body: "{}" });
  const text = answer.text();
  await scheduler.wait(OPENAI_COMMENT_EVERY_MS + 500);
  upstream.send("def");
  upstream.close();
  expect(await text).toBe("abcdef");
});

it("events with ids get no blank line in a pause: OpenAI's Python client takes one for another event", {
  timeout: 20_000,
}, async () => {
  const upstream = openAnswer("text/event-stream");
  const { chat } = await openAiClient();
  const events = ["1", "2"].map(
    (id) => `id: ${id}\ndata: {"choices":[{"delta":{"content":"${id}"},"finish_reason":"stop"}]}\n\n`,
  );
  upstream.send(events[0] ?? "");
  const answer = await chat({ messages: [], stream: true });
  const text = answer.text();
  await scheduler.wait(OPENAI_COMMENT_EVERY_MS + 500);
  upstream.send(events[1] ?? "");
  upstream.close();
  expect(await text).toBe(`${events.join(": \n")}data: [DONE]\n\n`);
});

it("speech that breaks off in the middle is a broken answer, not a short one", async () => {
  const upstream = openAnswer("audio/mpeg");
  const { ask, status } = await openAiClient();
  upstream.send("abc");
  upstream.cut();
  const answer = await ask("/v1/audio/speech", { method: "POST", body: "{}" });
  expect(answer.status).toBe(200);
  await expect(answer.arrayBuffer()).rejects.toThrow();
  await vi.waitFor(
    async () => expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "FAILED" }),
    POLL,
  );
  expect(upstream.requests).toHaveLength(1);
});

describe("a client that goes away", () => {
  it("is noticed at once by a server that says nothing", async () => {
    const upstream = openAnswer("text/event-stream");
    const { chat, status } = await openAiClient();
    upstream.send('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
    const answer = await chat({ messages: [], stream: true });
    const reader = answer.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await vi.waitFor(() => expect(upstream.isAborted()).toBe(true), { timeout: 1_000, interval: 10 });
    await vi.waitFor(
      async () => expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "CANCELLED" }),
      POLL,
    );
  });

  it.each([
    ["openai", false],
    ["http", false],
    ["runpod", true],
  ] as const)("before the first byte of a server of dialect %s ends the job at once", async (dialect, local) => {
    let isHere = false;
    answerUpstreams(async (request) => {
      isHere = true;
      while (!request.signal.aborted) await scheduler.wait(5);
      throw new Error("aborted");
    });
    const { chat, health } = await openAiClient({ upstreams: [{ dialect, local }] });
    const leaving = new AbortController();
    const answer = chat({ messages: [] }, leaving.signal).catch(() => null);
    await vi.waitFor(() => expect(isHere).toBe(true), POLL);
    // By now its renewal is held by the broker.
    await scheduler.wait(2_000);
    expect(await health()).toMatchObject({ jobs: { inProgress: 1 } });
    leaving.abort();
    await vi.waitFor(async () => expect(await health()).toMatchObject({ jobs: { inProgress: 0 } }), {
      timeout: 1_000,
      interval: 10,
    });
    await answer;
  });
});

describe("a job of /run on an OpenAI server", () => {
  it.each(["/v1/../../admin", "/v1/%2e%2e/%2E%2e/admin", "/v1\\..\\..\\admin"])(
    "cannot leave the path of the server by the route %s",
    async (route) => {
      const urls: string[] = [];
      answerUpstreams((request) => {
        urls.push(request.url);
        return Response.json({});
      });
      const upstreams = [{ url: "http://127.0.0.1:9/tenants/a/openai/v1", dialect: "openai" as const }];
      const { run } = await openAiClient({ upstreams });
      const job = await run(JSON.stringify({ openai_route: route, openai_input: { a: 1 } }));
      expect(job).toMatchObject({ status: "FAILED" });
      expect(urls).toEqual([]);
    },
  );
});

describe("a job of /run", () => {
  const BODY = '{"messages":[],"seed":12345678901234567890,"temperature":1.0}';

  it.each([
    ["openai_input", `{"openai_route":"/v1/chat/completions","openai_input": ${BODY} }`],
    ["messages", BODY],
  ])("with %s gives the server the very text of its client", async (_how, input) => {
    const bodies: string[] = [];
    answerUpstreams(async (request) => {
      bodies.push((await request.text()).replace(/ /g, ""));
      return Response.json(ANSWER);
    });
    const { run } = await openAiClient();
    expect(await run(input)).toMatchObject({ status: "COMPLETED" });
    expect(bodies).toEqual([BODY]);
  });

  it("may not have a longer execution timeout than one HTTP call to an OpenAI server can take", async () => {
    const { runs } = await openAiClient();
    const answer = await runs({ input: {}, policy: { executionTimeout: 840_001 } });
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain("policy.executionTimeout");
  });
});

describe("a model's name", () => {
  it("may have a slash in it, which OpenAI's clients escape", async () => {
    const urls: string[] = [];
    answerUpstreams((request) => {
      urls.push(request.url);
      return Response.json({ id: "m" });
    });
    const { ask } = await openAiClient();
    expect((await ask("/v1/models/meta-llama%2FLlama-3")).status).toBe(200);
    expect(urls).toEqual(["http://127.0.0.1:9/v1/models/meta-llama%2FLlama-3"]);
  });

  it.each(["..%2f..%2fadmin", "a%2f%2e%2e%2fb", "%2f", "a%2f%2fb", "a%5cb"])(
    "is no way to other places of the server: %s",
    async (name) => {
      const calls = answerUpstreams(() => Response.json({}));
      const { ask } = await openAiClient();
      expect((await ask(`/v1/models/${name}`)).status).toBe(404);
      expect(calls).not.toHaveBeenCalled();
    },
  );
});

it("an upload that is kept in R2 meanwhile reaches the server byte for byte", async () => {
  const sent = Uint8Array.from({ length: 1_000_001 }, (_, at) => (at * 31 + (at >> 8)) % 256);
  let got: Uint8Array | null = null;
  answerUpstreams(async (request) => {
    got = new Uint8Array(await request.arrayBuffer());
    return Response.json({ text: "hi" });
  });
  const { ask } = await openAiClient();
  const headers = { "content-type": "multipart/form-data; boundary=x" };
  const answer = await ask("/v1/audio/transcriptions", { method: "POST", headers, body: sent });
  expect(await answer.json()).toEqual({ text: "hi" });
  expect(got).toEqual(sent);
});

describe("a large answer", () => {
  const LARGE = 21 * 1024 * 1024;

  it("of an OpenAI server reaches its client whole", async () => {
    answerUpstreams(() => Response.json({ data: "x".repeat(LARGE) }));
    const { ask } = await openAiClient();
    const answer = await ask("/v1/embeddings", { method: "POST", body: "{}" });
    expect(answer.status).toBe(200);
    let bytes = 0;
    for await (const piece of answer.body ?? []) bytes += piece.length;
    expect(bytes).toBe(LARGE + '{"data":""}'.length);
  });
});

it("a bug of ours in the middle of an answer breaks it off, and leaves no client hanging", async () => {
  const pulling = await makeReadyPulling();
  const body = JSON.stringify({ messages: [], stream: true });
  const answer = pulling.asClient("openai/v1/chat/completions", body);
  const id = await pulling.takeOne();
  const event = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n';
  const post = () =>
    pulling.asWorker(`job-stream/WORKER/${id}?gpu=SIM&isStream=true`, { body: JSON.stringify({ output: event }) });
  await post();
  const reader = (await answer).body?.getReader();
  await reader?.read();
  vi.spyOn(EndpointBroker.prototype, "readStream").mockRejectedValue(new Error("a bug"));
  await post();
  const readOn = async (): Promise<string> => {
    for (;;) if ((await reader?.read())?.done !== false) return "ended";
  };
  const end = readOn().catch(() => "broken");
  expect(await Promise.race([end, scheduler.wait(3_000)])).toBe("broken");
});

describe("a stream whose time is over", () => {
  it("is billed, and tells its client so in its last event", async () => {
    const upstream = openAnswer("text/event-stream");
    const { chat, status, usage } = await openAiClient({ executionTimeoutMs: 5_000 });
    upstream.send('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
    const answer = await chat({ messages: [], stream: true });
    expect(await answer.text()).toContain('"error":{"message":"the answer took longer than the endpoint lets it"');
    expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "FAILED" });
    await vi.waitFor(async () => expect(await usage()).toMatchObject([{ seconds: 5 }]), POLL);
  }, 15_000);
});
