// An OpenAI client whose job ends while its answer goes out: by a cancel, its time limit or its ttl. It is told the same,
// whether its own request carries the job to an upstream or a pulling worker has it.
import { afterEach, describe, expect, it, vi } from "vitest";
import { OPENAI_EVENT_HELD_MAX_BYTES } from "../../../src/core/openai/limits.ts";
import { Attempt } from "../../../src/dispatch/attempt.ts";
import { StreamIntake } from "../../../src/dispatch/stream-intake.ts";
import { openAnswer } from "../../support/answering.ts";
import { openAiClient } from "../../support/openai-client.ts";
import { makeReadyPulling } from "../../support/pulling.ts";
import { passTime } from "../../support/pulling-worker.ts";

const eventOf = (content: string) =>
  `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
/** So large that it is not held until its end. */
const LARGE = `data: ${"x".repeat(OPENAI_EVENT_HELD_MAX_BYTES)}`;
const CHAT = { messages: [], stream: true };
const CANCELLED = { message: "the job was cancelled", code: "cancelled" };
const TOO_LONG = { message: "the answer took longer than the endpoint lets it", code: "broke_off" };
const GONE = {
  message: "the job is gone before its answer was whole: its ttl has passed, or it ended a while ago",
  code: "broke_off",
};

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A client that has had the first part of its answer, and what happens to its job. */
interface Streaming {
  readonly answer: Response;
  send(text: string): Promise<unknown>;
  cancel(): Promise<unknown>;
  setTtl(ms: number): Promise<unknown>;
  /** So much later the broker looks at its jobs. */
  passTime(ms: number): Promise<void>;
}

/** Until then the clock is the true one. */
function passTimeFrom(endpointId: string): Streaming["passTime"] {
  return (ms) => {
    vi.useFakeTimers({ toFake: ["Date"] });
    return passTime(endpointId, ms);
  };
}

async function carriedByItsClient(first: string): Promise<Streaming> {
  // The broker's alarm, and not the carrier's own clock, is to end the job.
  vi.spyOn(Attempt.prototype, "leftMs").mockReturnValue(600_000);
  const upstream = openAnswer("text/event-stream");
  const { chat, cancel, status, tenant } = await openAiClient({ executionTimeoutMs: 5_000 });
  upstream.send(first);
  const answer = await chat(CHAT);
  const id = answer.headers.get("x-job-id") ?? "";
  return {
    answer,
    send: async (text) => upstream.send(text),
    cancel: () => cancel(id),
    setTtl: (ms) => status(`${id}?ttl=${ms}`),
    passTime: passTimeFrom(tenant.endpointId),
  };
}

async function runByAWorker(first: string): Promise<Streaming> {
  const { asClient, asWorker, takeOne, tenant } = await makeReadyPulling({ executionTimeoutMs: 5_000 });
  const asked = asClient("openai/v1/chat/completions", JSON.stringify(CHAT));
  const id = await takeOne();
  const send = (text: string) =>
    asWorker(`job-stream/WORKER/${id}?gpu=SIM&isStream=true`, { body: JSON.stringify({ output: text }) });
  await send(first);
  return {
    answer: await asked,
    send,
    cancel: () => asClient(`cancel/${id}`, "{}"),
    setTtl: (ms) => asClient(`status/${id}?ttl=${ms}`),
    passTime: passTimeFrom(tenant.endpointId),
  };
}

/** What the client reads behind these pieces. Once it has read all before a piece, that one is sent; then the job ends. */
async function restAfter(
  { answer, send }: Streaming,
  [first, ...others]: readonly [string, ...string[]],
  end: () => Promise<unknown>,
): Promise<string> {
  const coming = [...others];
  let awaited = first;
  let text = "";
  for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const wasThere = text.length >= awaited.length;
    text += part;
    if (wasThere || text.length < awaited.length) continue;
    const next = coming.shift();
    awaited += next ?? "";
    await (next === undefined ? end() : send(next));
  }
  expect(text.slice(0, awaited.length) === awaited).toBe(true);
  // A machine that is busy may take so long that a comment is sent meanwhile.
  return text.slice(awaited.length).replaceAll(": \n\n", "");
}

const eventOfError = (error: { readonly message: string; readonly code: string }) => {
  const { message, code } = error;
  return `data: ${JSON.stringify({ error: { message, type: "server_error", param: null, code } })}\n\n`;
};

describe.each([
  ["its own request carries", carriedByItsClient],
  ["a pulling worker runs", runByAWorker],
] as const)("a stream whose job %s tells its client in its last event", (_who, start) => {
  it.each([
    ["between two events", [eventOf("a")], ""],
    ["within an event", [LARGE], "\n\n"],
    ["within an event of lines that end with CR and LF", [`${LARGE}\r\n`], "\n\n"],
    ["behind an event whose last line end came alone", [`${LARGE}\n`, "\n"], ""],
    ["behind such an event of lines that end with CR and LF", [`${LARGE}\r\n`, "\r\n"], ""],
  ] as const)("of a cancel %s", async (_where, [sent, ...others], close) => {
    const streaming = await start(eventOf("first"));
    // A chunk of a worker holds a million bytes at most.
    for (let at = 0; at < sent.length; at += 900_000) await streaming.send(sent.slice(at, at + 900_000));
    const rest = await restAfter(streaming, [`${eventOf("first")}${sent}`, ...others], streaming.cancel);
    expect(rest).toBe(`${close}${eventOfError(CANCELLED)}`);
  });

  it("of its time limit", async () => {
    const streaming = await start(eventOf("a"));
    const rest = await restAfter(streaming, [eventOf("a")], () => streaming.passTime(6_000));
    expect(rest).toBe(eventOfError(TOO_LONG));
  });

  it("of its ttl", async () => {
    const streaming = await start(eventOf("a"));
    await streaming.setTtl(10_000);
    const rest = await restAfter(streaming, [eventOf("a")], () => streaming.passTime(11_000));
    expect(rest).toBe(eventOfError(GONE));
  });

  it("that its job is gone, where it reads only long after the end", async () => {
    const streaming = await start(eventOf("a"));
    await streaming.cancel();
    await streaming.passTime(61_000);
    expect(await restAfter(streaming, [eventOf("a")], async () => undefined)).toBe(eventOfError(GONE));
  });
});

it("a client of the Messages API is told by an event of that API", async () => {
  const upstream = openAnswer("text/event-stream");
  const { ask, cancel } = await openAiClient({ openaiRoutes: "all" });
  const first = 'event: message_start\ndata: {"type":"message_start","message":{}}\n\n';
  upstream.send(first);
  const headers = { "content-type": "application/json" };
  const answer = await ask("/v1/messages", { method: "POST", headers, body: JSON.stringify(CHAT) });
  await cancel(answer.headers.get("x-job-id"));
  const error = { message: CANCELLED.message, type: "server_error", param: null, code: CANCELLED.code };
  const last = `event: error\ndata: ${JSON.stringify({ type: "error", error })}\n\n`;
  expect((await answer.text()).replaceAll(": \n\n", "")).toBe(`${first}${last}`);
});

it("a stream that a bug of ours ends is no whole one", async () => {
  vi.spyOn(StreamIntake.prototype, "finish").mockRejectedValue(new Error("a bug"));
  vi.spyOn(StreamIntake.prototype, "stop").mockRejectedValue(new Error("a bug"));
  const upstream = openAnswer("text/event-stream");
  const { chat } = await openAiClient();
  upstream.send(eventOf("a"));
  upstream.close();
  const answer = await chat(CHAT);
  expect(await answer.text()).toMatch(/"error":\{"message":"[^"]+","type":"server_error".*\n\n$/s);
});

it("an answer that is no stream of events breaks off where its job ends: nobody takes a part for the whole", async () => {
  const upstream = openAnswer("audio/mpeg");
  const { ask, cancel } = await openAiClient();
  upstream.send("abc");
  const answer = await ask("/v1/audio/speech", { method: "POST", body: "{}" });
  await cancel(answer.headers.get("x-job-id"));
  await expect(answer.arrayBuffer()).rejects.toThrow();
});
