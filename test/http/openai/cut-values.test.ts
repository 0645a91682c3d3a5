// OpenAI clients of a worker whose values are too large for a row of the log: what was cut there reaches them whole.
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { OPENAI_EVENT_HELD_MAX_BYTES } from "../../../src/core/openai/limits.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { makeReadyPulling, type Pulling } from "../../support/pulling.ts";
import { makeTenant } from "../../support/tenant.ts";

const POLL = { timeout: 10_000, interval: 10 };
const MIB = 1024 * 1024;
const DONE = "data: [DONE]\n\n";
const chunkOf = (content: string, reason: string | null = null) => ({
  object: "chat.completion.chunk",
  choices: [{ index: 0, delta: { content }, finish_reason: reason }],
});
const eventOf = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
/** Characters of three bytes, escapes and quotation marks stand across every border between two pieces. */
const textOf = (bytes: number) => '€"\n'.repeat(bytes / 7);
const LARGE = chunkOf(textOf(1.5 * MIB));
const STOP = chunkOf("", "stop");

afterEach(() => vi.restoreAllMocks());

/** A client's request whose job worker `w1` holds, and what the worker posts for it. */
async function asked(path: string, body: object) {
  const pulling = await makeReadyPulling();
  const answer = pulling.asClient(`openai/v1/${path}`, JSON.stringify(body));
  const id = await pulling.takeOne();
  return { ...pulling, answer, id, ...workerOf(pulling, id) };
}

function workerOf({ asWorker }: Pulling, id: string, workerId = "w1") {
  const postRaw = (output: string) =>
    asWorker(`job-stream/WORKER/${id}?gpu=SIM&isStream=true`, { body: `{"output":${output}}`, workerId });
  return {
    postRaw,
    post: (value: unknown) => postRaw(JSON.stringify(value)),
    /** Ends the job without an aggregate: its output is made of the chunks. */
    end: () => asWorker(`job-done/WORKER/${id}?gpu=SIM&isStream=true`, { body: '{"output":[]}', workerId }),
  };
}

const askedForEvents = () => asked("chat/completions", { messages: [], stream: true });

/** Large texts are compared here, because a failed comparison by the test runner would print them. */
function expectSame(text: string, wanted: string): void {
  // On a busy machine a stream may be silent for so long that a comment is sent, which clients pass over.
  const events = text.replaceAll(/^: \n\n/gm, "");
  expect(events.length).toBe(wanted.length);
  expect(events === wanted).toBe(true);
}

describe("a stream with a value over 1 MiB", () => {
  it.each([
    ["that is held whole", 1.5 * MIB],
    ["that passes in parts", OPENAI_EVENT_HELD_MAX_BYTES + MIB],
  ])("%s has it as one event between the others", async (_how, bytes) => {
    const job = await askedForEvents();
    const chunks = [chunkOf("a"), chunkOf(textOf(bytes)), chunkOf("b"), STOP];
    const posting = (async () => {
      for (const chunk of chunks) expect((await job.post(chunk)).status).toBe(200);
      await job.end();
    })();
    expectSame(await (await job.answer).text(), `${chunks.map(eventOf).join("")}${DONE}`);
    await posting;
    expect((await job.status(job.id)).status).toBe("COMPLETED");
  });

  it("has the event as soon as the value is stored", async () => {
    const job = await askedForEvents();
    await job.post(LARGE);
    const reader = (await job.answer).body?.getReader();
    const decoder = new TextDecoder();
    let text = "";
    while (text.length < eventOf(LARGE).length) text += decoder.decode((await reader?.read())?.value, { stream: true });
    expectSame(text, eventOf(LARGE));
    await job.end();
    expect(decoder.decode((await reader?.read())?.value)).toBe(DONE);
  });

  it("has it on one line, though its JSON has line ends as white space", async () => {
    const job = await askedForEvents();
    const list = Array.from({ length: 150_000 }, (_, n) => `${n}`);
    await job.postRaw(JSON.stringify({ ...chunkOf("a"), list }, null, 2).replaceAll("\n", "\r\n"));
    await job.post(STOP);
    await job.end();
    const text = await (await job.answer).text();
    const events = text.split("\n\n").map((event) => event.replace(/^data: /, ""));
    expect(events.map((event) => /[\r\n]/.test(event))).toEqual([false, false, false, false]);
    expectSame(JSON.stringify(JSON.parse(events[0] ?? "")), JSON.stringify({ ...chunkOf("a"), list }));
    expect(events.slice(1)).toEqual([JSON.stringify(STOP), "[DONE]", ""]);
  });

  it("takes two of them for two", async () => {
    const job = await askedForEvents();
    const chunks = [LARGE, LARGE, STOP];
    for (const chunk of chunks) await job.post(chunk);
    await job.end();
    expectSame(await (await job.answer).text(), `${chunks.map(eventOf).join("")}${DONE}`);
  });

  it("does not show the usage in it to a client that did not ask", async () => {
    const job = await askedForEvents();
    const usage = { object: "chat.completion.chunk", choices: [], usage: { total_tokens: 1 }, pad: textOf(1.5 * MIB) };
    for (const chunk of [chunkOf("a"), STOP, usage]) await job.post(chunk);
    await job.end();
    expectSame(await (await job.answer).text(), `${eventOf(chunkOf("a"))}${eventOf(STOP)}${DONE}`);
  });

  it("has nothing twice when the worker repeats a post that was refused in its middle", async () => {
    const job = await askedForEvents();
    const append = EndpointBroker.prototype.appendPiece;
    let refusals = 1;
    vi.spyOn(EndpointBroker.prototype, "appendPiece").mockImplementation(async function (this: EndpointBroker, call) {
      if (call.index !== 1 || refusals === 0) return append.call(this, call);
      refusals -= 1;
      return "lost";
    });
    await job.post(chunkOf("a"));
    expect((await job.post(LARGE)).status).toBe(503);
    expect((await job.post(LARGE)).status).toBe(200);
    await job.post(STOP);
    await job.end();
    expectSame(await (await job.answer).text(), `${[chunkOf("a"), LARGE, STOP].map(eventOf).join("")}${DONE}`);
  });

  it("has nothing twice when its worker is lost in the middle of the value", async () => {
    const job = await askedForEvents();
    const append = EndpointBroker.prototype.appendPiece;
    const spy = vi.spyOn(EndpointBroker.prototype, "appendPiece").mockImplementation(async function (
      this: EndpointBroker,
      call,
    ) {
      return call.index === 0 ? append.call(this, call) : "lost";
    });
    expect((await job.post(LARGE)).status).toBe(503);
    spy.mockRestore();
    // A worker that says it runs nothing is believed only of jobs that it has had for a second.
    await scheduler.wait(1_100);
    expect(await job.takeOne()).toBe(job.id);
    for (const chunk of [LARGE, STOP]) await job.post(chunk);
    await job.end();
    expectSame(await (await job.answer).text(), `${eventOf(LARGE)}${eventOf(STOP)}${DONE}`);
  });

  it("is read from a pushed stream, too, by a client that waited for a slot", async () => {
    const upstreams = [{ url: "http://127.0.0.1:9/", dialect: "http" as const, slots: 1 }];
    const { key, endpointId } = await makeTenant({ upstreams });
    const chunks = [chunkOf("a"), LARGE, chunkOf("b"), chunkOf(textOf(3 * MIB)), STOP];
    const events = chunks.map(eventOf).join("");
    let isFree = false;
    answerUpstreams(async (request) => {
      if ((await request.text()).includes("holds the slot")) {
        while (!isFree) await scheduler.wait(5);
        return Response.json({});
      }
      return new Response(`${events}${DONE}`, { headers: { "content-type": "text/event-stream" } });
    });
    const ask = (path: string, body?: object) => {
      const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
      const init = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
      return exports.default.fetch(new Request(`https://waybill.test/v2/${endpointId}/${path}`, init));
    };
    const health = async () => (await ask("health")).json();
    await ask("run", { input: "holds the slot" });
    await vi.waitFor(async () => expect(await health()).toMatchObject({ jobs: { inProgress: 1 } }), POLL);
    const answer = ask("openai/v1/chat/completions", { messages: [], stream: true });
    await vi.waitFor(async () => expect(await health()).toMatchObject({ jobs: { inQueue: 1 } }), POLL);
    isFree = true;
    expectSame(await (await answer).text(), `${events}${DONE}`);
  });

  it("is read from the output where the broker did not give the chunks until the job was over", async () => {
    const job = await askedForEvents();
    let isOver = false;
    const { readStream, wait } = EndpointBroker.prototype;
    vi.spyOn(EndpointBroker.prototype, "readStream").mockImplementation(async function (this: EndpointBroker, call) {
      if (!isOver) throw Object.assign(new Error("overloaded"), { overloaded: true });
      return readStream.call(this, call);
    });
    vi.spyOn(EndpointBroker.prototype, "wait").mockImplementation(async function (this: EndpointBroker, call) {
      const state = await wait.call(this, call);
      isOver = state.ok && state.value.status === "COMPLETED";
      return state;
    });
    const chunks = [chunkOf("a"), LARGE, chunkOf("b"), LARGE, STOP];
    for (const chunk of chunks) await job.post(chunk);
    await job.end();
    expectSame(await (await job.answer).text(), `${chunks.map(eventOf).join("")}${DONE}`);
  });
});

describe("a string over 1 MiB", () => {
  it("is event text, as any string is", async () => {
    const job = await askedForEvents();
    const text = `${eventOf(chunkOf("a"))}${eventOf(LARGE)}${eventOf(STOP)}`;
    await job.post(text);
    await job.end();
    expectSame(await (await job.answer).text(), `${text}${DONE}`);
  });
});

describe("an answer that is one value over 1 MiB", () => {
  it.each([
    ["images/generations", { created: 1, data: [{ b64_json: "iVBORw0K".repeat(MIB / 4) }] }],
    [
      "chat/completions",
      { object: "chat.completion", choices: [{ index: 0, message: { content: textOf(2 * MIB) } }], usage: {} },
    ],
  ])("of %s is the value", async (path, value) => {
    const job = await asked(path, { messages: [], prompt: "a" });
    await job.post(value);
    await job.end();
    const answer = await job.answer;
    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-job-id")).toBe(job.id);
    expectSame(await answer.text(), JSON.stringify(value));
    const { output } = z.object({ output: z.array(z.string()) }).parse(await job.status(job.id));
    expectSame(output.join(""), JSON.stringify(value));
  });

  it("has its numbers and white space as the worker wrote them", async () => {
    const job = await asked("chat/completions", { messages: [] });
    const raw = `{ "seed": 12345678901234567890,\n"x": 1.0, "pad": "${"x".repeat(MIB)}" }`;
    await job.postRaw(raw);
    await job.end();
    expectSame(await (await job.answer).text(), raw);
  });

  it("is that of the attempt that has ended, not of one before it", async () => {
    const job = await asked("chat/completions", { messages: [] });
    await job.post({ lost: textOf(1.5 * MIB) });
    await scheduler.wait(1_100);
    expect(await job.takeOne()).toBe(job.id);
    const value = { kept: textOf(2.5 * MIB) };
    await job.post(value);
    await job.end();
    expectSame(await (await job.answer).text(), JSON.stringify(value));
  });

  it("is not made of strings of the worker's own, though they are pieces of JSON", async () => {
    const job = await asked("chat/completions", { messages: [] });
    const json = JSON.stringify({ pad: "x".repeat(2 * MIB) });
    for (const at of [0, MIB - 3, 2 * MIB - 6]) await job.post(json.slice(at, at + MIB - 3));
    await job.end();
    expect((await job.answer).status).toBe(502);
    expect(await (await job.answer).json()).toMatchObject({ error: { code: "bad_answer" } });
  });

  it("is the worker's own aggregate where it has sent one", async () => {
    const job = await asked("chat/completions", { messages: [] });
    await job.post({ streamed: textOf(1.5 * MIB) });
    const aggregate = { pad: textOf(2 * MIB) };
    await job.done(job.id, JSON.stringify({ output: [aggregate] }));
    expectSame(await (await job.answer).text(), JSON.stringify(aggregate));
  });

  it("is 503 where the broker does not give its chunks", async () => {
    const job = await asked("chat/completions", { messages: [] });
    vi.spyOn(EndpointBroker.prototype, "readStream").mockRejectedValue(
      Object.assign(new Error("overloaded"), { overloaded: true }),
    );
    await job.post({ pad: textOf(1.5 * MIB) });
    await job.end();
    expect((await job.answer).status).toBe(503);
    expect(await (await job.answer).json()).toMatchObject({ error: { code: "unavailable" } });
  });
});
