// The OpenAI routes over upstreams that speak OpenAI: the client's own request carries the job.
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { Carrier } from "../../../src/dispatch/carrier.ts";
import { openAnswer } from "../../support/answering.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { openAiClient as client } from "../../support/openai-client.ts";

const POLL = { timeout: 10_000, interval: 10 };
const ANSWER = {
  id: "c1",
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
};

afterEach(() => vi.restoreAllMocks());

function chunk(content: string, more: object = {}): string {
  return `data: ${JSON.stringify({ object: "chat.completion.chunk", choices: [{ index: 0, delta: { content } }], ...more })}\n\n`;
}

const USAGE = `data: ${JSON.stringify({ object: "chat.completion.chunk", choices: [], usage: ANSWER.usage })}\n\n`;

describe("a chat completion", () => {
  it("passes on the call as it was made and the answer as it came, and is a job of its own", async () => {
    const requests: Request[] = [];
    answerUpstreams((request) => {
      requests.push(request);
      return Response.json(ANSWER, { headers: { "openai-processing-ms": "7", "set-cookie": "a=b" } });
    });
    const { chat, status, tenant } = await client();
    const answer = await chat({ model: "m", messages: [{ role: "user", content: "é" }], seed: 1.0 });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual(ANSWER);
    const [request] = requests;
    expect(request?.url).toBe("http://127.0.0.1:9/v1/chat/completions");
    expect(request?.headers.get("authorization")).toBe("Bearer sk-upstream");
    expect(request?.headers.get("content-type")).toBe("application/json");
    expect(JSON.stringify([...(request?.headers ?? [])])).not.toContain(tenant.key);
    expect(answer.headers.get("set-cookie")).toBeNull();
    expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "COMPLETED", output: ANSWER });
  });

  it("keeps the metadata of OpenAI's own request, which gives the job no tags", async () => {
    const bodies: unknown[] = [];
    answerUpstreams(async (request) => {
      bodies.push(await request.json());
      return Response.json(ANSWER);
    });
    const { chat } = await client();
    const asked = { messages: [], metadata: { order: 7 } };
    expect((await chat(asked)).status).toBe(200);
    expect(bodies).toEqual([asked]);
  });

  it("costs two calls of its broker and no message", async () => {
    answerUpstreams(() => Response.json(ANSWER));
    const { chat, tenant } = await client();
    await (await chat({ messages: [] })).text();
    const calls = vi.spyOn(EndpointBroker.prototype, "submit");
    const finishes = vi.spyOn(EndpointBroker.prototype, "finish");
    const others = vi.spyOn(EndpointBroker.prototype, "wait");
    const carried = vi.spyOn(Carrier.prototype, "carry");
    const send = vi.spyOn(env.DISPATCH, "send");
    await (await chat({ messages: [] })).text();
    expect([calls, finishes, others, carried, send].map(({ mock }) => mock.calls.length)).toEqual([1, 1, 0, 0, 0]);
    expect(tenant.endpointId).toBeTruthy();
  });

  it("keeps the tokens on the job's line", async () => {
    answerUpstreams(() => Response.json(ANSWER));
    const { chat, usage } = await client();
    await (await chat({ messages: [] })).text();
    const tokens = { prompt: 3, completion: 2, estimated: false };
    await vi.waitFor(async () => expect(await usage()).toEqual([{ seconds: 1, tokens }]), POLL);
  });
});

describe("a streamed chat", () => {
  it("reaches the client chunk by chunk, while no log is written, and its aggregate is the output", async () => {
    const appends = vi.spyOn(EndpointBroker.prototype, "appendChunks");
    const upstream = openAnswer("text/event-stream; charset=utf-8");
    const { chat, status } = await client();
    upstream.send(chunk("a"));
    const answer = await chat({ messages: [], stream: true });
    expect(answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const reader = answer.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(chunk("a"));
    upstream.send(chunk("b"));
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(chunk("b"));
    upstream.send("data: [DONE]\n\n");
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("data: [DONE]\n\n");
    expect((await reader?.read())?.done).toBe(true);
    const job = await status(answer.headers.get("x-job-id"));
    expect(job).toMatchObject({ status: "COMPLETED", output: [chunk("a"), chunk("b"), "data: [DONE]\n\n"] });
    expect(appends).not.toHaveBeenCalled();
  });

  it("asks for usage in the client's name, and does not show it what it did not ask for", async () => {
    const upstream = openAnswer("text/event-stream");
    const { chat, usage } = await client();
    upstream.send(chunk("a", { usage: null }));
    upstream.send(USAGE);
    upstream.send("data: [DONE]\n\n");
    const text = await (await chat({ messages: [], stream: true })).text();
    expect(JSON.parse(upstream.requests[0]?.body ?? "")).toEqual({
      messages: [],
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(text).toBe(`${chunk("a")}data: [DONE]\n\n`);
    const tokens = { prompt: 3, completion: 2, estimated: false };
    await vi.waitFor(async () => expect(await usage()).toEqual([{ seconds: 1, tokens }]), POLL);
  });

  it("shows the usage to a client that asked", async () => {
    const upstream = openAnswer("text/event-stream");
    const { chat } = await client();
    for (const part of [chunk("a", { usage: null }), USAGE, "data: [DONE]\n\n"]) upstream.send(part);
    const text = await (await chat({ messages: [], stream: true, stream_options: { include_usage: true } })).text();
    expect(text).toBe(`${chunk("a", { usage: null })}${USAGE}data: [DONE]\n\n`);
  });

  it("is counted by what was sent when its usage never comes", async () => {
    const upstream = openAnswer("text/event-stream");
    const { chat, usage } = await client();
    const last =
      'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n';
    for (const part of [chunk("a"), chunk("b"), chunk("c"), last]) upstream.send(part);
    upstream.close();
    const text = await (await chat({ messages: [], stream: true })).text();
    expect(text).toBe(`${chunk("a")}${chunk("b")}${chunk("c")}${last}data: [DONE]\n\n`);
    const promptBytes = (upstream.requests[0]?.body ?? "").trim().length;
    await vi.waitFor(async () => {
      const [line] = await usage();
      expect(line?.tokens).toMatchObject({ completion: 3, estimated: true });
    }, POLL);
    expect(promptBytes).toBeGreaterThan(0);
  });

  it("that breaks off in the middle ends with an error event, is not run again and costs nothing", async () => {
    const upstream = openAnswer("text/event-stream");
    const { chat, status, usage } = await client();
    upstream.send(chunk("a"));
    upstream.cut();
    const answer = await chat({ messages: [], stream: true });
    const text = await answer.text();
    expect(text.startsWith(chunk("a"))).toBe(true);
    expect(text.slice(chunk("a").length)).toContain('"error":{"message":"the upstream\'s answer was cut short"');
    expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "FAILED" });
    expect(upstream.requests).toHaveLength(1);
    expect(await usage()).toEqual([]);
  });

  it("that breaks off before its first event is run again", async () => {
    let calls = 0;
    answerUpstreams(() => {
      calls += 1;
      const headers = { "content-type": "text/event-stream" };
      return new Response(calls === 1 ? "" : `${chunk("a")}data: [DONE]\n\n`, { headers });
    });
    const { chat } = await client();
    expect(await (await chat({ messages: [], stream: true })).text()).toBe(`${chunk("a")}data: [DONE]\n\n`);
    expect(calls).toBe(2);
  });

  it("ends with its client: the call is dropped, the job is CANCELLED, and billed until then", async () => {
    const upstream = openAnswer("text/event-stream");
    const { chat, status, usage } = await client();
    upstream.send(chunk("a"));
    const answer = await chat({ messages: [], stream: true });
    const reader = answer.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    upstream.send(chunk("b"));
    await vi.waitFor(() => expect(upstream.isAborted()).toBe(true), POLL);
    const id = answer.headers.get("x-job-id");
    await vi.waitFor(async () => expect(await status(id)).toMatchObject({ status: "CANCELLED" }), POLL);
    await vi.waitFor(
      async () => expect(await usage()).toMatchObject([{ seconds: 1, tokens: { estimated: true } }]),
      POLL,
    );
  });
});

describe("an error of the worker", () => {
  it.each([
    [404, { error: { message: "The model `x` does not exist.", type: "NotFoundError", param: "model", code: 404 } }],
    [400, { object: "error", message: "too long", type: "BadRequestError", param: null, code: 400 }],
    [422, { detail: "Not a number" }],
    [403, { error: { message: "this model does not exist for you", type: "permission_error" } }],
  ])("%i keeps its status and has OpenAI's shape", async (code, body) => {
    answerUpstreams(() => Response.json(body, { status: code }));
    const { chat } = await client();
    const answer = await chat({ messages: [] });
    expect(answer.status).toBe(code);
    const shape = z.object({ error: z.object({ message: z.string().min(1), type: z.string() }) });
    expect(shape.parse(await answer.json()).error.message).toMatch(/does not exist|too long|Not a number/);
  });

  it("500 is tried again, and then told as it is", async () => {
    let calls = 0;
    answerUpstreams(() => {
      calls += 1;
      return Response.json({ error: { message: "CUDA out of memory", type: "InternalServerError" } }, { status: 500 });
    });
    const { chat } = await client();
    const answer = await chat({ messages: [] });
    expect(answer.status).toBe(500);
    expect(await answer.json()).toMatchObject({ error: { message: "CUDA out of memory" } });
    expect(calls).toBe(2);
  });

  it.each([
    ["text that is no JSON", () => new Response("<html>", { headers: { "content-type": "application/json" } })],
    ["nothing", () => new Response("", { headers: { "content-type": "application/json" } })],
    ["a redirect", () => new Response(null, { status: 307, headers: { location: "http://elsewhere.test/" } })],
    ["a refused credential", () => new Response("no", { status: 401 })],
  ])("%s is one clear 502", async (_name, respond) => {
    answerUpstreams(respond);
    const { chat } = await client({ maxAttempts: 1 });
    const answer = await chat({ messages: [] });
    expect(answer.status).toBe(502);
    const shape = z.object({ error: z.object({ message: z.string().min(1), type: z.string(), code: z.string() }) });
    expect(shape.parse(await answer.json()).error.type).toBe("server_error");
  });
});

describe("a wrong request", () => {
  it.each([
    ["without a key", { headers: { authorization: "" } }, 401],
    ["that is no JSON", { method: "POST", headers: { "content-type": "application/json" }, body: "{" }, 400],
    ["that is no object", { method: "POST", headers: { "content-type": "application/json" }, body: "[1]" }, 400],
    ["of another method", { method: "OPTIONS" }, 405],
  ])("%s is refused in OpenAI's shape", async (_name, init, code) => {
    const { ask } = await client();
    const answer = await ask("/v1/chat/completions", init);
    expect(answer.status).toBe(code);
    expect(await answer.json()).toMatchObject({
      error: { message: expect.any(String), type: "invalid_request_error" },
    });
  });
});

describe("any other path", () => {
  it("and method goes to the server as it is, with its query", async () => {
    const upstream = openAnswer("application/json");
    const { ask } = await client();
    upstream.send('{"data":[]}');
    upstream.close();
    expect(await (await ask("/v1/models?limit=2")).json()).toEqual({ data: [] });
    expect(upstream.requests).toMatchObject([{ method: "GET", url: "http://127.0.0.1:9/v1/models?limit=2", body: "" }]);
  });

  it("takes bodies and gives answers that are no JSON, byte for byte", async () => {
    const sent = crypto.getRandomValues(new Uint8Array(10_001));
    const given = crypto.getRandomValues(new Uint8Array(20_002));
    const got: { body: ArrayBuffer; type: string | null }[] = [];
    answerUpstreams(async (request) => {
      got.push({ body: await request.arrayBuffer(), type: request.headers.get("content-type") });
      return new Response(given, { headers: { "content-type": "audio/mpeg" } });
    });
    const { ask, status } = await client();
    const headers = { "content-type": "multipart/form-data; boundary=x" };
    const answer = await ask("/v1/audio/transcriptions", { method: "POST", headers, body: sent });
    expect(answer.headers.get("content-type")).toBe("audio/mpeg");
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(given);
    expect(got.map(({ type }) => type)).toEqual(["multipart/form-data; boundary=x"]);
    expect(new Uint8Array(got[0]?.body ?? new ArrayBuffer(0))).toEqual(sent);
    await vi.waitFor(async () => {
      expect(await status(answer.headers.get("x-job-id"))).toMatchObject({
        status: "COMPLETED",
        output: { content_type: "audio/mpeg", body_base64: btoa(String.fromCharCode(...given)) },
      });
    }, POLL);
  });
});
