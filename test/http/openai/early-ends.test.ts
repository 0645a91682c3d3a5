// An OpenAI client whose job ends while its answer goes out: by a cancel, its time limit or its ttl. It is told the same, whether its own
// request carries the job to an upstream or a pulling worker has it.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { OPENAI_EVENT_HELD_MAX_BYTES } from "../../../src/core/openai/limits.ts";
import { Attempt } from "../../../src/dispatch/attempt.ts";
import { openAnswer } from "../../support/answering.ts";
import { openAiClient } from "../../support/openai-client.ts";
import { makeReadyPulling } from "../../support/pulling.ts";

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
const TTL_PASSED = { message: "the job's ttl passed before it was done", code: "timed_out" };

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

async function passTime(endpointId: string, ms: number): Promise<void> {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + ms);
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
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
    passTime: (ms) => passTime(tenant.endpointId, ms),
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
    passTime: (ms) => passTime(tenant.endpointId, ms),
  };
}

/** What comes behind the first part; the client begins to read only now. */
async function restOf(answer: Response, first: string): Promise<string> {
  const text = await answer.text();
  expect(text.slice(0, first.length) === first).toBe(true);
  return text.slice(first.length);
}

/** Reads the first part, and then lets the test end the job. */
async function restAfter(streaming: Streaming, first: string, end: () => Promise<unknown>): Promise<string> {
  let text = "";
  for await (const part of streaming.answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const wasThere = text.length >= first.length;
    text += part;
    if (!wasThere && text.length >= first.length) await end();
  }
  expect(text.slice(0, first.length) === first).toBe(true);
  return text.slice(first.length);
}

const eventOfError = (error: { readonly message: string; readonly code: string }) => {
  const { message, code } = error;
  return `data: ${JSON.stringify({ error: { message, type: "server_error", param: null, code } })}\n\n`;
};

describe.each([
  ["its own request carries", carriedByItsClient, GONE],
  ["a pulling worker runs", runByAWorker, TTL_PASSED],
] as const)("a stream whose job %s tells its client in its last event", (_who, start, ofTtl) => {
  it.each([
    ["between two events", eventOf("a"), ""],
    ["within an event", LARGE, "\n\n"],
    ["behind an event whose last line end came alone", `${LARGE}\n\n`, ""],
  ])("of a cancel %s", async (_where, sent, close) => {
    const streaming = await start(eventOf("first"));
    const first = `${eventOf("first")}${sent}`;
    // A chunk of a worker holds a million bytes at most.
    const body = sent.endsWith("\n") ? sent.slice(0, -1) : sent;
    for (let at = 0; at < body.length; at += 900_000) await streaming.send(body.slice(at, at + 900_000));
    if (body !== sent) await streaming.send("\n");
    expect(await restAfter(streaming, first, streaming.cancel)).toBe(`${close}${eventOfError(CANCELLED)}`);
  });

  it("of its time limit", async () => {
    const streaming = await start(eventOf("a"));
    const rest = await restAfter(streaming, eventOf("a"), () => streaming.passTime(6_000));
    expect(rest).toBe(eventOfError(TOO_LONG));
  });

  it("of its ttl", async () => {
    const streaming = await start(eventOf("a"));
    await streaming.setTtl(10_000);
    const rest = await restAfter(streaming, eventOf("a"), () => streaming.passTime(11_000));
    expect(rest).toBe(eventOfError(ofTtl));
  });

  it("that its job is gone, where it read on only long after the end", async () => {
    const large = eventOf("x".repeat(600_000));
    const streaming = await start(large);
    for (let n = 0; n < 4; n += 1) await streaming.send(large);
    await scheduler.wait(2_000);
    await streaming.cancel();
    await scheduler.wait(500);
    await streaming.passTime(61_000);
    const rest = await restOf(streaming.answer, large);
    expect(rest.endsWith(eventOfError(GONE))).toBe(true);
  });
});

it("an answer that is no stream of events breaks off where its job ends: nobody takes a part for the whole", async () => {
  const upstream = openAnswer("audio/mpeg");
  const { ask, cancel } = await openAiClient();
  upstream.send("abc");
  const answer = await ask("/v1/audio/speech", { method: "POST", body: "{}" });
  await cancel(answer.headers.get("x-job-id"));
  await expect(answer.arrayBuffer()).rejects.toThrow();
});
