// The OpenAI routes over RunPod workers, which get a job with openai_route and openai_input, and over busy upstreams, whose
// clients wait for another carrier (docs/wire.md 2.1).
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { answerUpstreams } from "../../support/broker.ts";
import { makeReadyPulling, type Pulling } from "../../support/pulling.ts";
import { makeTenant } from "../../support/tenant.ts";

const POLL = { timeout: 10_000, interval: 10 };
const EVENT = 'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n';
const USAGE =
  'data: {"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":1}}\n\n';
const DONE = "data: [DONE]\n\n";
const NOT_FOUND = `{'error': {'message': "The model 'x' does not exist", 'type': 'NotFoundError', 'param': None, 'code': 404}}`;

afterEach(() => vi.restoreAllMocks());

function chat(pulling: Pulling, body: object): Promise<Response> {
  return pulling.asClient("openai/v1/chat/completions", JSON.stringify(body));
}

const jobSchema = z.object({ id: z.string(), input: z.unknown() });

async function taken(pulling: Pulling): Promise<z.infer<typeof jobSchema>> {
  const answer = await pulling.take();
  expect(answer.status).toBe(200);
  return jobSchema.parse(await answer.json());
}

function post(pulling: Pulling, id: string, chunk: unknown): Promise<Response> {
  const body = JSON.stringify({ output: chunk });
  return pulling.asWorker(`job-stream/WORKER/${id}?gpu=SIM&isStream=true`, { body });
}

async function tokensOf(tenantKey: string): Promise<unknown[]> {
  const headers = { authorization: `Bearer ${tenantKey}` };
  const answer = await exports.default.fetch(new Request("https://waybill.test/v1/usage", { headers }));
  const schema = z.object({ lines: z.array(z.object({ tokens: z.unknown() })) });
  return schema.parse(await answer.json()).lines.map(({ tokens }) => tokens);
}

describe("a pulling worker", () => {
  it("gets the route and the body as RunPod's gateway gives them, and its dict is the answer", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { model: "m", messages: [], seed: 1 });
    const { id, input } = await taken(pulling);
    expect(input).toEqual({
      openai_route: "/v1/chat/completions",
      openai_input: { model: "m", messages: [], seed: 1 },
    });
    const output = { object: "chat.completion", choices: [], usage: { prompt_tokens: 2, completion_tokens: 3 } };
    await pulling.done(id, JSON.stringify({ output: [output] }));
    expect(await (await answer).json()).toEqual(output);
    const tokens = [{ prompt: 2, completion: 3, estimated: false }];
    await vi.waitFor(async () => expect(await tokensOf(pulling.tenant.key)).toEqual(tokens), POLL);
  });

  it("is asked for its models with an empty body", async () => {
    const pulling = await makeReadyPulling();
    const answer = pulling.asClient("openai/v1/models");
    const { id, input } = await taken(pulling);
    expect(input).toEqual({ openai_route: "/v1/models", openai_input: {} });
    await pulling.done(id, '{"output":"{\\"data\\": []}"}');
    expect(await (await answer).text()).toBe('{"data": []}');
  });

  it("streams event text that is cut anywhere, without the usage that the client did not ask for", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { messages: [], stream: true });
    const { id, input } = await taken(pulling);
    expect(input).toMatchObject({ openai_input: { stream_options: { include_usage: true } } });
    const text = `${EVENT}${EVENT}${USAGE}${DONE}`;
    const cuts = [10, EVENT.length + 3, text.length - 20, text.length];
    await post(pulling, id, text.slice(0, cuts[0]));
    await post(pulling, id, text.slice(cuts[0], cuts[1]));
    const response = await answer;
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const reader = response.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(EVENT);
    await post(pulling, id, text.slice(cuts[1], cuts[2]));
    await post(pulling, id, text.slice(cuts[2]));
    await pulling.asWorker(`job-done/WORKER/${id}?gpu=SIM&isStream=true`, { body: '{"output":[]}' });
    let rest = "";
    for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) {
      rest += new TextDecoder().decode(read.value);
    }
    expect(rest).toBe(`${EVENT}${DONE}`);
    const tokens = [{ prompt: 7, completion: 1, estimated: false }];
    await vi.waitFor(async () => expect(await tokensOf(pulling.tenant.key)).toEqual(tokens), POLL);
  });

  it("that never tells its usage is counted by what it sent, and by the size of the prompt", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { messages: [], stream: true });
    const { id } = await taken(pulling);
    await post(pulling, id, `${EVENT}${EVENT}`);
    await pulling.done(id, JSON.stringify({ output: [`${EVENT}${EVENT}`] }));
    expect(await (await answer).text()).toBe(`${EVENT}${EVENT}${DONE}`);
    const body = '{"messages":[],"stream":true,"stream_options":{"include_usage":true}}';
    const tokens = [{ prompt: Math.ceil(body.length / 4), completion: 2, estimated: true }];
    await vi.waitFor(async () => expect(await tokensOf(pulling.tenant.key)).toEqual(tokens), POLL);
  });

  it("that answers a client of events in one piece gives it one event", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { messages: [], stream: true });
    const { id } = await taken(pulling);
    const output = { object: "chat.completion", choices: [{ index: 0, message: { content: "hi" } }] };
    await pulling.done(id, JSON.stringify({ output }));
    const text = await (await answer).text();
    expect(text.endsWith(DONE)).toBe(true);
    expect(JSON.parse(text.split("\n")[0]?.slice(6) ?? "")).toEqual({
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta: { content: "hi" } }],
    });
  });

  it.each([
    ["as Python's repr of a dict", JSON.stringify({ error: NOT_FOUND }), 404, "The model 'x' does not exist"],
    [
      "in its output",
      '{"output":{"error":{"message":"too long","type":"BadRequestError","code":400}}}',
      400,
      "too long",
    ],
    ["as a text", '{"error":"boom"}', 500, "boom"],
    ["whose words read like ours", '{"error":"the upstream is not mine"}', 500, "the upstream is not mine"],
  ])("tells an error %s, and its client sees it in OpenAI's shape", async (_how, body, status, message) => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { messages: [] });
    const { id } = await taken(pulling);
    await pulling.done(id, body);
    expect((await answer).status).toBe(status);
    expect(await (await answer).json()).toMatchObject({ error: { message, param: null } });
  });

  it("that fails in the middle of its stream ends it with an error event", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { messages: [], stream: true });
    const { id } = await taken(pulling);
    await post(pulling, id, `${EVENT}data: {"half`);
    await pulling.done(id, '{"error":"CUDA error"}');
    const text = await (await answer).text();
    expect(text.startsWith(EVENT)).toBe(true);
    expect(text.slice(EVENT.length)).toMatch(/^data: \{"error":\{"message":"CUDA error"/);
    expect(text).not.toContain("half");
  });

  it("is told to stop when its client goes away, and the job is CANCELLED", async () => {
    const pulling = await makeReadyPulling();
    const answer = chat(pulling, { messages: [], stream: true });
    const { id } = await taken(pulling);
    const stops = pulling.asWorker("job-stop/WORKER?gpu=SIM");
    await post(pulling, id, EVENT);
    const reader = (await answer).body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await post(pulling, id, EVENT);
    await vi.waitFor(async () => expect((await pulling.status(id)).status).toBe("CANCELLED"), POLL);
    expect(JSON.stringify(await (await stops).json())).toContain(id);
  });
});

describe("a client that comes while every slot is busy", () => {
  it("waits, and then reads its stream from the log, in the same form", async () => {
    const upstreams = [{ url: "http://127.0.0.1:9/", dialect: "openai" as const, slots: 1 }];
    const { key, endpointId } = await makeTenant({ upstreams });
    let isFree = false;
    answerUpstreams(async (request) => {
      const body = await request.text();
      if (body.includes("first")) while (!isFree) await scheduler.wait(5);
      const events = `${EVENT}${USAGE}${DONE}`;
      return new Response(events, { headers: { "content-type": "text/event-stream" } });
    });
    const ask = (content: string) =>
      exports.default.fetch(
        new Request(`https://waybill.test/v2/${endpointId}/openai/v1/chat/completions`, {
          method: "POST",
          headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
          body: JSON.stringify({ messages: [{ role: "user", content }], stream: true }),
        }),
      );
    const health = async () => {
      const headers = { authorization: `Bearer ${key}` };
      const answer = await exports.default.fetch(
        new Request(`https://waybill.test/v2/${endpointId}/health`, { headers }),
      );
      return answer.json();
    };
    const first = ask("first");
    await vi.waitFor(async () => expect(await health()).toMatchObject({ jobs: { inProgress: 1, inQueue: 0 } }), POLL);
    const second = ask("second");
    await vi.waitFor(async () => expect(await health()).toMatchObject({ jobs: { inProgress: 1, inQueue: 1 } }), POLL);
    isFree = true;
    expect(await (await first).text()).toBe(`${EVENT}${DONE}`);
    expect(await (await second).text()).toBe(`${EVENT}${DONE}`);
    const tokens = { prompt: 7, completion: 1, estimated: false };
    await vi.waitFor(async () => expect(await tokensOf(key)).toEqual([tokens, tokens]), POLL);
  });
});
