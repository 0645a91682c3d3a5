// Servers that refuse `stream_options`, which the client has not sent: what works directly works through Waybill.
import { afterEach, describe, expect, it, vi } from "vitest";
import { answerUpstreams } from "../../support/broker.ts";
import { openAiClient } from "../../support/openai-client.ts";

const POLL = { timeout: 10_000, interval: 10 };
const EVENTS = [
  { choices: [{ index: 0, delta: { content: "hel" }, finish_reason: null }] },
  { choices: [{ index: 0, delta: { content: "lo" }, finish_reason: "stop" }] },
];
const STREAM = `${EVENTS.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")}data: [DONE]\n\n`;
const FULL_MB = 300_000;

afterEach(() => vi.restoreAllMocks());

/** A server that refuses the field with this status, and any request that has the field `bad`. */
function strictServer(status: number): { readonly bodies: string[] } {
  const bodies: string[] = [];
  answerUpstreams(async (request) => {
    const text = await request.text();
    bodies.push(text);
    const body = JSON.parse(text);
    if ("stream_options" in body || "bad" in body) {
      return Response.json({ detail: [{ loc: ["body", "x"], msg: "Extra inputs are not permitted" }] }, { status });
    }
    return new Response(STREAM, { headers: { "content-type": "text/event-stream" } });
  });
  return { bodies };
}

describe.each([400, 422])("a server that refuses stream_options with %i", (status) => {
  it("is asked again without it, and its tokens are estimated", async () => {
    const { bodies } = strictServer(status);
    const { chat, usage } = await openAiClient();
    const answer = await chat({ messages: [], stream: true });
    expect([answer.status, await answer.text()]).toEqual([200, STREAM]);
    expect(bodies).toHaveLength(2);
    expect(JSON.parse(bodies[1] ?? "")).toEqual({ messages: [], stream: true });
    await vi.waitFor(
      async () => expect(await usage()).toMatchObject([{ tokens: { completion: 2, estimated: true } }]),
      POLL,
    );
  });

  it("is not asked for it again", async () => {
    const { bodies } = strictServer(status);
    const { chat } = await openAiClient();
    for (const name of ["first", "second"]) await (await chat({ model: name, stream: true })).text();
    expect(bodies.map((text) => JSON.parse(text))).toEqual([
      expect.objectContaining({ model: "first", stream_options: { include_usage: true } }),
      { model: "first", stream: true },
      { model: "second", stream: true },
    ]);
  });

  it("gets a body from R2 without it", async () => {
    const { bodies } = strictServer(status);
    const { chat } = await openAiClient();
    const body = { prompt: "x".repeat(FULL_MB), stream: true };
    const answer = await chat(body);
    expect([answer.status, await answer.text()]).toEqual([200, STREAM]);
    expect(JSON.parse(bodies[1] ?? "")).toEqual(body);
  });
});

it("a request that is refused without stream_options too gets the server's own answer", async () => {
  const { bodies } = strictServer(422);
  const { chat } = await openAiClient();
  const answer = await chat({ bad: 1, stream: true });
  expect(answer.status).toBe(422);
  expect(bodies).toHaveLength(2);
});

it("a server that takes stream_options for one model is asked without them for another", async () => {
  const models: string[] = [];
  answerUpstreams(async (request) => {
    const body = JSON.parse(await request.text());
    models.push(body.model);
    if (body.model === "strict" && "stream_options" in body) return Response.json({ error: {} }, { status: 400 });
    return new Response(STREAM, { headers: { "content-type": "text/event-stream" } });
  });
  const { chat } = await openAiClient();
  for (const model of ["open", "strict"]) expect((await chat({ model, stream: true })).status).toBe(200);
  expect(models).toEqual(["open", "strict", "strict"]);
});

it("a client's own stream_options are the client's: a refusal of them is passed on", async () => {
  const { bodies } = strictServer(422);
  const { chat } = await openAiClient();
  const answer = await chat({ stream_options: { include_usage: false }, stream: true });
  expect([answer.status, bodies.length]).toEqual([422, 1]);
});
