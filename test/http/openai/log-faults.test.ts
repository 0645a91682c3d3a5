// OpenAI clients whose job another carrier has, when that one is lost, trims its words, or gives everything in one piece.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { openAnswer } from "../../support/answering.ts";
import { openAiClient } from "../../support/openai-client.ts";
import { makeReadyPulling, type Pulling } from "../../support/pulling.ts";

const POLL = { timeout: 10_000, interval: 10 };
const SOON = { timeout: 2_000, interval: 10 };
const eventOf = (content: string) =>
  `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
const USAGE =
  'data: {"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":1}}\n\n';
const DONE = "data: [DONE]\n\n";
const ERROR = { error: { message: "no such model", type: "NotFoundError", param: null, code: 404 } };

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function chat(pulling: Pulling, body: object): Promise<Response> {
  return pulling.asClient("openai/v1/chat/completions", JSON.stringify({ messages: [], ...body }));
}

function post(pulling: Pulling, id: string, chunk: unknown): Promise<Response> {
  return pulling.asWorker(`job-stream/WORKER/${id}?gpu=SIM&isStream=true`, { body: JSON.stringify({ output: chunk }) });
}

/** The worker says that it runs nothing, so that the job is lost, and waits for another one. */
async function lose(pulling: Pulling): Promise<Promise<Response>> {
  // It is believed only of jobs that it has had for a second.
  await scheduler.wait(1_100);
  return pulling.take();
}

describe("a stream whose worker is lost", () => {
  it("in the middle ends with an error event at once, and is not run again", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { stream: true });
    const id = await pulling.takeOne();
    await post(pulling, id, eventOf("a"));
    const reader = (await answer).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(eventOf("a"));
    void lose(pulling);
    const next = await Promise.race([reader?.read(), scheduler.wait(4_000)]);
    expect(new TextDecoder().decode(next?.value)).toContain('"error":{"message":"the worker was lost');
    expect((await reader?.read())?.done).toBe(true);
    await vi.waitFor(async () => expect((await pulling.status(id)).status).toBe("CANCELLED"), SOON);
  });

  it("within its first event is told by the next worker from its beginning", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { stream: true });
    const id = await pulling.takeOne();
    await post(pulling, id, 'data: {"object":"chat');
    await scheduler.wait(1_100);
    expect(await pulling.takeOne()).toBe(id);
    await post(pulling, id, `${eventOf("b")}${DONE}`);
    await pulling.done(id, JSON.stringify({ output: [`${eventOf("b")}${DONE}`] }));
    expect(await (await answer).text()).toBe(`${eventOf("b")}${DONE}`);
  });
});

describe("a worker's stream", () => {
  it("whose last event has no blank line behind it is as whole as any", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { stream: true });
    const id = await pulling.takeOne();
    await post(pulling, id, `${eventOf("a")}${USAGE}data: [DONE]`);
    await pulling.done(id, '{"output":[]}');
    expect(await (await answer).text()).toBe(`${eventOf("a")}${DONE}`);
  });

  it("that ends with the usage shows it to nobody who did not ask", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { stream: true });
    const id = await pulling.takeOne();
    await post(pulling, id, `${eventOf("a")}${USAGE.trimEnd()}`);
    await pulling.done(id, '{"output":[]}');
    expect(await (await answer).text()).toBe(`${eventOf("a")}${DONE}`);
  });

  it("that comes in one piece shows it to nobody either", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { stream: true });
    const id = await pulling.takeOne();
    const pieces = [eventOf("a").slice(0, 9), `${eventOf("a").slice(9)}${USAGE}`, DONE.trimEnd()];
    await pulling.done(id, JSON.stringify({ output: pieces }));
    expect(await (await answer).text()).toBe(`${eventOf("a")}${DONE}`);
  });

  it("reaches its client to the last chunk, though the broker does not answer the reader for a moment", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { stream: true });
    const id = await pulling.takeOne();
    await post(pulling, id, eventOf("a"));
    const reader = (await answer).body?.getReader();
    await reader?.read();
    // By now its next question is held by the broker.
    await scheduler.wait(200);
    const read = EndpointBroker.prototype.readStream;
    let isOverloaded = true;
    vi.spyOn(EndpointBroker.prototype, "readStream").mockImplementation(async function (this: EndpointBroker, call) {
      const page = await read.call(this, call);
      if (isOverloaded) throw Object.assign(new Error("overloaded"), { overloaded: true });
      return page;
    });
    await post(pulling, id, eventOf("b"));
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(eventOf("b"));
    await post(pulling, id, eventOf("c"));
    await pulling.done(id, '{"output":[]}');
    await scheduler.wait(700);
    isOverloaded = false;
    let rest = "";
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
      rest += new TextDecoder().decode(part.value);
    }
    expect(rest).toBe(`${eventOf("c")}${DONE}`);
  });
});

describe("an event that is too large to be held", () => {
  it.each([false, true])("is passed on as it comes (begun: %s)", async (begun) => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { stream: true });
    const id = await pulling.takeOne();
    const pieces = [begun ? eventOf("a") : "", "data: ", ...Array(12).fill("x".repeat(500_000)), "\n\n", DONE];
    const posting = (async () => {
      for (const piece of pieces) await post(pulling, id, piece);
      await pulling.done(id, '{"output":[]}');
    })();
    expect((await answer).status).toBe(200);
    expect(await (await answer).text()).toBe(pieces.join(""));
    await posting;
    expect((await pulling.status(id)).status).toBe("COMPLETED");
  });
});

describe("a worker's answer", () => {
  it.each([
    ["a list of one", { output: [ERROR] }, false],
    ["a list of one, to a client of events", { output: [ERROR] }, true],
    ["a JSON text", { output: JSON.stringify(ERROR) }, false],
  ])("that is an error in %s has its status", async (_how, result, stream) => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { stream });
    const id = await pulling.takeOne();
    await pulling.done(id, JSON.stringify(result));
    expect((await answer).status).toBe(404);
    expect(await (await answer).json()).toMatchObject(ERROR);
  });

  it.each([
    ["no base64", { content_type: "audio/mpeg", body_base64: "%%%%" }],
    ["of no type", { content_type: "audio/mpeg\nx-evil: 1", body_base64: "AAAA" }],
  ])("of bytes that are %s is one clear 502", async (_how, output) => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, {});
    const id = await pulling.takeOne();
    await pulling.done(id, JSON.stringify({ output }));
    expect((await answer).status).toBe(502);
    expect(await (await answer).json()).toMatchObject({ error: { code: "bad_answer" } });
  });

  it("keeps the numbers of a body in a list as they were", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, {});
    const id = await pulling.takeOne();
    await pulling.done(id, '{"output":[ {"seed":12345678901234567890,"x":1.0} ]}');
    expect((await (await answer).text()).trim()).toBe('{"seed":12345678901234567890,"x":1.0}');
  });
});

describe("a client that waits", () => {
  it.each([true, false])("is told of its job's ttl by 504 (stream: %s)", async (stream) => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { stream });
    const id = await pulling.takeOne();
    await pulling.asClient(`status/${id}?ttl=10000`);
    await scheduler.wait(200);
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 11_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(pulling.tenant.endpointId));
    expect((await answer).status).toBe(504);
    expect(await (await answer).json()).toMatchObject({ error: { code: "timed_out" } });
  });

  it.each([true, false])("and goes away takes its job with it at once (stream: %s)", async (stream) => {
    openAnswer("application/json");
    const { chat: ask, health } = await openAiClient();
    const [holding, leaving] = [new AbortController(), new AbortController()];
    const holder = ask({ messages: [] }, holding.signal).catch(() => null);
    await vi.waitFor(async () => expect(await health()).toMatchObject({ jobs: { inProgress: 1 } }), POLL);
    const answer = ask({ messages: [], stream }, leaving.signal).catch(() => null);
    await vi.waitFor(async () => expect(await health()).toMatchObject({ jobs: { inQueue: 1 } }), POLL);
    await scheduler.wait(200);
    leaving.abort();
    await vi.waitFor(async () => expect(await health()).toMatchObject({ jobs: { inQueue: 0 } }), SOON);
    holding.abort();
    await Promise.all([answer, holder]);
  });

  it("is told not to come again when its job was cancelled", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, {});
    const id = await pulling.takeOne();
    await pulling.asClient(`cancel/${id}`, "{}");
    expect((await answer).status).toBe(409);
    expect((await answer).headers.get("x-should-retry")).toBe("false");
  });
});
