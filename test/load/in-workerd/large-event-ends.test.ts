// A stream with an event that is too large to be held: its job ends, and is billed, as with a small event of its kind.
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { openAnswer } from "../../support/answering.ts";
import { openAiClient } from "../../support/openai-client.ts";
import { makeReadyPulling } from "../../support/pulling.ts";

const POLL = { timeout: 10_000, interval: 10 };
const PIECE_CHARS = 500_000;
const LARGE = "x".repeat(6_000_000);
const DONE = "data: [DONE]\n\n";
const JSON_TYPE = { "content-type": "application/json" };
const linesSchema = z.object({ lines: z.array(z.object({ tokens: z.unknown() })) });

const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`;
const ch = (content: string, finish: string | null = null) =>
  event({ object: "chat.completion.chunk", choices: [{ index: 0, delta: { content }, finish_reason: finish }] });
const created = event({ type: "response.created", response: { error: null } });

/** What came of one stream: the client's text, the job's status and error, and the tokens of each line of the bill. */
interface Ended {
  readonly text: string;
  readonly status: string;
  readonly error: string;
  readonly tokens: readonly unknown[];
}

const jobSchema = z.object({ status: z.string(), error: z.string().default("") });

afterEach(() => vi.restoreAllMocks());

function pieces(text: string): string[] {
  return Array.from({ length: Math.ceil(text.length / PIECE_CHARS) }, (_, at) =>
    text.slice(at * PIECE_CHARS, (at + 1) * PIECE_CHARS),
  );
}

/** The stream of an upstream of OpenAI's kind; `cut`: its connection breaks behind the text. */
async function pushed(path: string, sent: string, cut = false): Promise<Ended> {
  const upstream = openAnswer("text/event-stream");
  const { ask, status, usage } = await openAiClient();
  for (const piece of pieces(sent)) upstream.send(piece);
  if (cut) upstream.cut();
  else upstream.close();
  const answer = await ask(path, { method: "POST", headers: JSON_TYPE, body: '{"stream":true}' });
  const text = await answer.text();
  const job = jobSchema.parse(await status(answer.headers.get("x-job-id")));
  if (!cut) await vi.waitFor(async () => expect(await usage()).toHaveLength(1), POLL);
  return { text, ...job, tokens: (await usage()).map(({ tokens }) => tokens) };
}

/** `error`: what the handler raises in the end. `lines`: of the bill, none for an error without a token before it. */
interface PulledEnd {
  readonly error?: string;
  readonly lines?: number;
}

/** The same of a worker that pulls, whose handler yields the text in pieces. */
async function pulled(path: string, sent: string, { error, lines: wanted = 1 }: PulledEnd = {}): Promise<Ended> {
  const pulling = await makeReadyPulling();
  const answer = pulling.asClient(`openai${path}`, '{"messages":[],"stream":true}');
  const id = await pulling.takeOne();
  const working = (async () => {
    for (const output of pieces(sent)) {
      await pulling.asWorker(`job-stream/WORKER/${id}?gpu=SIM&isStream=true`, { body: JSON.stringify({ output }) });
    }
    const body = JSON.stringify(error === undefined ? { output: [] } : { error });
    await pulling.asWorker(`job-done/WORKER/${id}?gpu=SIM&isStream=true`, { body });
  })();
  const text = await (await answer).text();
  await working;
  const job = jobSchema.parse(await pulling.status(id));
  const lines = async () => {
    const headers = { authorization: `Bearer ${pulling.tenant.key}` };
    const told = await exports.default.fetch(new Request("https://waybill.test/v1/usage", { headers }));
    return linesSchema.parse(await told.json()).lines;
  };
  await vi.waitFor(async () => expect(await lines()).toHaveLength(wanted), POLL);
  return { text, ...job, tokens: (await lines()).map(({ tokens }) => tokens) };
}

const CHAT = "/v1/chat/completions";
const CARRIERS = [
  ["an upstream", (path: string, sent: string) => pushed(path, sent)],
  ["a worker", (path: string, sent: string) => pulled(path, sent)],
] as const;

/** A comparison whose failure does not print megabytes. */
function expectSame(text: string, expected: string): void {
  expect(text.length).toBe(expected.length);
  expect(text === expected).toBe(true);
}

vi.setConfig({ testTimeout: 20_000 });

describe("behind a large event that breaks off, the error is an event of its own", () => {
  const begun = `${ch("a")}data: {"choices":[{"index":0,"delta":{"content":"${LARGE}`;

  it("from an upstream whose connection breaks", async () => {
    const { text } = await pushed(CHAT, begun, true);
    expect(text.slice(0, ch("a").length)).toBe(ch("a"));
    expect(text.slice(text.lastIndexOf("xx"))).toMatch(/^x*\n\ndata: \{"error":\{"message":"[^\n]+\}\n\n$/);
  });

  it("from an upstream that only stops", async () => {
    const upstream = openAnswer("text/event-stream");
    const { ask } = await openAiClient();
    for (const piece of pieces(begun)) upstream.send(piece);
    upstream.close();
    const text = await (await ask(CHAT, { method: "POST", headers: JSON_TYPE, body: '{"stream":true}' })).text();
    expect(text.slice(text.lastIndexOf("xx"))).toMatch(/^x*\n\ndata: \{"error":\{"message":"[^\n]+\}\n\n$/);
  });

  it("from a worker that fails", async () => {
    const { text } = await pulled(CHAT, begun, { error: "boom", lines: 0 });
    expect(text.slice(text.lastIndexOf("xx"))).toMatch(/^x*\n\ndata: \{"error":\{"message":"boom"[^\n]+\}\n\n$/);
  });
});

describe.each(CARRIERS)("a large error of %s fails its job, and is billed as a small one", (_carrier, carry) => {
  it.each([
    [
      "of a failed response",
      "/v1/responses",
      created,
      {
        type: "response.failed",
        response: { error: { code: "server_error", message: "boom" }, output: [{ result: LARGE }] },
      },
    ],
    ["of an event of type error", "/v1/responses", created, { type: "error", message: "boom", logs: LARGE }],
    ["in data", CHAT, ch("a"), { error: { message: "boom", logs: LARGE } }],
  ])("%s", async (_where, path, before, data) => {
    const done = path === CHAT ? DONE : "";
    const { text, status, error, tokens } = await carry(path, `${before}${event(data)}${done}`);
    expect([status, error.includes("boom")]).toEqual(["FAILED", true]);
    expectSame(text, `${before}${event(data)}${done}`);
    const small = JSON.parse(JSON.stringify(data).replace(LARGE, "x"));
    expect(tokens).toEqual((await carry(path, `${before}${event(small)}${done}`)).tokens);
  });
});

describe("a large error without an event before it fails its job", () => {
  const sent = (logs: string) => `${event({ error: { message: "boom", logs } })}${DONE}`;

  it("at an upstream, and is billed as a small one", async () => {
    const large = await pushed(CHAT, sent(LARGE));
    expect([large.status, large.error.includes("boom")]).toEqual(["FAILED", true]);
    expect(large.tokens).toEqual((await pushed(CHAT, sent("x"))).tokens);
  });

  it("at a worker", async () => {
    const { status, error } = await pulled(CHAT, sent(LARGE), { lines: 0 });
    expect([status, error.includes("boom")]).toEqual(["FAILED", true]);
  });
});

it("a large error in a form that no client of its API reads is followed by one that it does", async () => {
  const sent = `${ch("a")}${event({ type: "error", message: "boom", logs: LARGE })}`;
  const { text, status } = await pushed(CHAT, sent);
  expect(status).toBe("FAILED");
  expect(text.startsWith(sent)).toBe(true);
  expect(text.slice(sent.length)).toMatch(/^data: \{"error":\{"message":"boom"[^\n]*\}\n\n$/);
});

describe.each(CARRIERS)("a large event at the end of a stream of %s", (_carrier, carry) => {
  const told = [{ prompt: 5, completion: 6, estimated: false }];

  it("ends a chat by its finish_reason", async () => {
    const sent = `${ch("a")}${ch(LARGE, "stop")}`;
    const { text, status, tokens } = await carry(CHAT, sent);
    expectSame(text, `${sent}${DONE}`);
    expect(status).toBe("COMPLETED");
    expect(tokens).toEqual([expect.objectContaining({ completion: 2, estimated: true })]);
  });

  it.each([
    ["a text", LARGE],
    ["many values", Array(400_000).fill({ type: "image" })],
  ])("has the usage of its response behind %s", async (_what, output) => {
    const usage = { input_tokens: 5, output_tokens: 6, total_tokens: 11 };
    const sent = `${created}${event({ type: "response.completed", response: { error: null, output, usage } })}`;
    const { text, status, tokens } = await carry("/v1/responses", sent);
    expectSame(text, sent);
    expect([status, tokens]).toEqual(["COMPLETED", told]);
  });

  it.each([
    ["before its other data", (usage: object) => ({ choices: [], usage, extra: LARGE })],
    ["behind its other data", (usage: object) => ({ choices: [], extra: LARGE, usage })],
  ])("has the usage of its chat %s", async (_where, make) => {
    const usage = { prompt_tokens: 5, completion_tokens: 6 };
    const { status, tokens } = await carry(CHAT, `${ch("a", "stop")}${event(make(usage))}${DONE}`);
    expect([status, tokens]).toEqual(["COMPLETED", told]);
  });
});

it.each([
  ["within a text", CHAT, `{"type":"response.completed","choices":[{"index":0,"delta":{"content":"${LARGE}`],
  ["behind a brace of a text", CHAT, `{"choices":[{"finish_reason":"stop","delta":{"content":"${LARGE} if (x) { y }`],
  [
    "behind a usage within its response",
    "/v1/responses",
    `{"type":"response.completed","response":{"output":["${LARGE}"],"tool":{"usage":{"input_tokens":1,"output_tokens":99}}`,
  ],
])("a large event that is cut %s ends no stream, and bills no usage of it", async (_where, path, data) => {
  const upstream = openAnswer("text/event-stream");
  const { ask, status, usage } = await openAiClient();
  for (const piece of pieces(`${ch("a")}data: ${data}`)) upstream.send(piece);
  upstream.close();
  const answer = await ask(path, { method: "POST", headers: JSON_TYPE, body: '{"stream":true}' });
  expect((await answer.text()).slice(-200)).toContain("ended before its last event");
  expect(await status(answer.headers.get("x-job-id"))).toMatchObject({ status: "FAILED" });
  expect((await usage()).filter(({ tokens }) => JSON.stringify(tokens).includes("99"))).toEqual([]);
});
