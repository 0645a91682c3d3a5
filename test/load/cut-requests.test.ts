// Requests of clients that are cut, and clients that go away, at a broker that really runs: what becomes of the job, of its
// upstream, and of the bill. Clients speak to workerd itself where the development proxy would hide that they have gone.
import { type ClientRequest, request } from "node:http";
import { text as streamText } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import type { DevServer } from "../../src/cli/dev-server.ts";
import { mayClientCarry } from "../../src/core/job/client-carry.ts";
import { LEASE_MS, LEASE_WATCH_AFTER_MS, SYNC_SPACE_EVERY_MS, WAIT_DEFAULT_MS } from "../../src/core/limits.ts";
import { OPENAI_COMMENT_EVERY_MS } from "../../src/core/openai/limits.ts";
import { callBroker, type PreparedBroker, prepareBroker } from "../running/broker.ts";
import { type DirectBroker, startDirectBroker } from "../running/direct-broker.ts";
import { type MockWorker, startMockWorker } from "../running/mock-worker.ts";
import { MODEL } from "../running/openai-answers.ts";
import { FAULTY, type OpenAiServer, type SeenRequest, startOpenAiServer } from "../running/openai-server.ts";

const statusSchema = z.object({ status: z.string() });
const tokensSchema = z.object({ prompt: z.int().positive(), completion: z.int().positive(), estimated: z.boolean() });
const lineSchema = z.object({
  attempt: z.int(),
  seconds: z.int(),
  startedAt: z.int(),
  finishedAt: z.int(),
  tokens: tokensSchema.optional(),
});
const usageSchema = z.object({ lines: z.array(lineSchema) });

interface Client {
  readonly url: string;
  readonly key: string;
}

async function readJson(client: Client, path: string): Promise<unknown> {
  const response = await callBroker(`${client.url}${path}`, client.key);
  expect(response.status).toBe(200);
  return response.json();
}

async function statusOf(client: Client, slug: string, id: string): Promise<string> {
  return statusSchema.parse(await readJson(client, `/v2/${slug}/status/${id}`)).status;
}

/** All lines of a job, once there is one. */
function linesOf(client: Client, id: string): Promise<z.infer<typeof lineSchema>[]> {
  const read = async () => {
    const { lines } = usageSchema.parse(await readJson(client, `/v1/usage?job=${id}`));
    expect(lines).not.toEqual([]);
    return lines;
  };
  return vi.waitFor(read, { timeout: 20_000, interval: 200 });
}

function jobIdOf(response: Response): string {
  const id = response.headers.get("x-job-id");
  if (id === null) throw new Error("the answer names no job");
  return id;
}

describe("a /runsync whose broker is killed while the client's own request carries it", () => {
  /** The lease's grace after a restart, the restart itself, and the second run. */
  const ENDED_MAX_MS = 90_000;
  /** Shorter than the wait, so the client's own request carries the job; longer than all of the test. */
  const EXECUTION_TIMEOUT_MS = 85_000;

  const calls: { brokenOff: boolean }[] = [];
  let worker: MockWorker;
  let prepared: PreparedBroker;
  let server: DevServer;

  beforeAll(async () => {
    worker = await startMockWorker(async (_, hungUp) => {
      const call = { brokenOff: false };
      if (calls.push(call) > 1) return '"second"';
      // The first answer is held until nobody is there any more to have it.
      await new Promise<void>((resolve) => hungUp.addEventListener("abort", () => resolve(), { once: true }));
      call.brokenOff = true;
      return '"first"';
    });
    // One attempt: a loss that counted would end the job.
    const upstream = { url: worker.url, dialect: "http", slots: 1, credential: null } as const;
    prepared = await prepareBroker({ "cut-sync": { upstream, maxAttempts: 1 } });
    server = await prepared.launch();
  });

  afterAll(async () => {
    await server?.kill9();
    await worker?.stop();
    prepared?.discard();
  });

  it("is run again by the queue, billed once, and found by its id", async () => {
    expect(mayClientCarry({ origin: null, executionTimeoutMs: EXECUTION_TIMEOUT_MS }, WAIT_DEFAULT_MS, null)).toBe(
      true,
    );
    const client = { url: server.url, key: prepared.key };
    const job = JSON.stringify({ input: {}, policy: { executionTimeout: EXECUTION_TIMEOUT_MS } });
    const response = await callBroker(`${client.url}/v2/cut-sync/runsync`, client.key, { body: job });
    const id = jobIdOf(response);
    const body = response.text();
    // Rejects while nobody awaits it yet.
    body.catch(() => undefined);
    await vi.waitFor(() => expect(calls).toHaveLength(1), { timeout: 10_000 });
    // By then a renewal is held in the broker.
    await sleep(2 * LEASE_WATCH_AFTER_MS);
    const killedAtMs = Date.now();
    await server.kill9();
    await expect(body).rejects.toThrow();
    await vi.waitFor(() => expect(calls).toEqual([{ brokenOff: true }]), { timeout: 5_000 });

    server = await prepared.launch();
    const answersAgainMs = Date.now();
    expect(await statusOf(client, "cut-sync", id)).toBe("IN_PROGRESS");
    await vi.waitFor(async () => expect(await statusOf(client, "cut-sync", id)).toBe("COMPLETED"), {
      timeout: ENDED_MAX_MS,
      interval: 500,
    });
    console.info(
      `COMPLETED ${Date.now() - killedAtMs} ms after the kill, ${Date.now() - answersAgainMs} ms after the restart`,
    );
    expect(await readJson(client, `/v2/cut-sync/status/${id}`)).toMatchObject({ id, output: "second" });
    expect(calls).toHaveLength(2);
    const lines = await linesOf(client, id);
    // Of the second run alone: nothing of the time in which nobody worked.
    expect(lines).toEqual([expect.objectContaining({ attempt: 2, seconds: 1 })]);
    expect(lines[0]?.startedAt).toBeGreaterThanOrEqual(killedAtMs + LEASE_MS);
  });
});

describe("a client that talks to workerd itself", () => {
  const SERVER_KEY = "key-of-the-openai-server";
  const WORK_MS = 17_000;
  const HEARD_MAX_MS = 1_000;
  /** Far below a lease, by which a lost slot would come back. */
  const SLOTS_FREE_MAX_MS = 8_000;
  /** Over two seconds, so that the bill shows more than its least amount. */
  const STREAMED_MS = 2_300;

  let openai: OpenAiServer;
  let worker: MockWorker;
  let broker: DirectBroker;

  beforeAll(async () => {
    openai = await startOpenAiServer(SERVER_KEY);
    worker = await startMockWorker(async () => {
      await sleep(WORK_MS);
      return '{"done":[1.0," "]}';
    });
    broker = await startDirectBroker({
      "cut-chat": { url: openai.url, dialect: "openai", slots: 4, credential: SERVER_KEY },
      "slow-sync": { url: worker.url, dialect: "http", slots: 4, credential: null },
    });
  });

  afterAll(async () => {
    await broker?.stop();
    await Promise.all([openai?.stop(), worker?.stop()]);
  });

  /** A chat on a connection of its own. */
  function chat(model: string): ClientRequest {
    const body = JSON.stringify({ model, stream: true, messages: [{ role: "user", content: "to be or not" }] });
    const headers = { Authorization: `Bearer ${broker.key}`, "Content-Type": "application/json" };
    const options = { method: "POST", agent: false, headers } as const;
    const asked = request(`${broker.url}/v2/cut-chat/openai/v1/chat/completions`, options);
    // Its connection is broken here.
    asked.on("error", () => undefined);
    return asked.end(body);
  }

  /** The id of the job of a chat, once its answer has begun. */
  function idOfBegun(asked: ClientRequest): Promise<string> {
    return new Promise((resolve, reject) => {
      asked.once("error", reject);
      asked.once("response", (response) => {
        response.once("data", () => resolve(String(response.headers["x-job-id"])));
        // Read on, so that only the leaving stops it.
        response.on("error", () => undefined).resume();
      });
    });
  }

  /** How long after this moment the upstream of a call was hung up on, ms. */
  async function heardAfterMs(call: SeenRequest, leftAtMs: number): Promise<number> {
    await vi.waitFor(() => expect(call.leftAtMs).not.toBeNull(), 20_000);
    return (call.leftAtMs ?? Number.NaN) - leftAtMs;
  }

  /** The upstream's side of the newest call, once it is there. */
  function newestCall(callsBefore: number): Promise<SeenRequest> {
    return vi.waitFor(() => {
      const call = openai.seen[callsBefore];
      if (call === undefined) throw new Error("the upstream has not been called");
      return call;
    }, 10_000);
  }

  it.each([
    ["resets its socket", "resetAndDestroy"],
    ["closes its socket", "destroy"],
  ] as const)("and %s in the middle of a streamed chat is hung up on within 1 s", async (_, leave) => {
    const callsBefore = openai.seen.length;
    const asked = chat(FAULTY.endless);
    const id = await idOfBegun(asked);
    await sleep(STREAMED_MS);
    expect(await statusOf(broker, "cut-chat", id)).toBe("IN_PROGRESS");
    const leftAtMs = Date.now();
    asked.socket?.[leave]();
    const heardMs = await heardAfterMs(await newestCall(callsBefore), leftAtMs);
    console.info(`${leave}: the upstream hears of it after ${heardMs} ms`);
    expect(heardMs).toBeLessThan(HEARD_MAX_MS);
    await vi.waitFor(async () => expect(await statusOf(broker, "cut-chat", id)).toBe("CANCELLED"), 5_000);
    const [line, ...others] = await linesOf(broker, id);
    expect(others).toEqual([]);
    expect(line?.tokens).toBeDefined();
    expect(line?.finishedAt).toBeLessThan(leftAtMs + HEARD_MAX_MS);
    expect(line?.seconds).toBe(Math.ceil(((line?.finishedAt ?? 0) - (line?.startedAt ?? 0)) / 1_000));
  });

  it("and leaves a stream that pauses is hung up on by the next comment", async () => {
    const callsBefore = openai.seen.length;
    const asked = chat(FAULTY.pauses);
    const id = await idOfBegun(asked);
    const leftAtMs = Date.now();
    asked.destroy();
    const heardMs = await heardAfterMs(await newestCall(callsBefore), leftAtMs);
    console.info(`in a pause: the upstream hears of it after ${heardMs} ms`);
    expect(heardMs).toBeLessThan(OPENAI_COMMENT_EVERY_MS + HEARD_MAX_MS);
    await vi.waitFor(async () => expect(await statusOf(broker, "cut-chat", id)).toBe("CANCELLED"), 5_000);
  });

  it("and stays through a pause reads comments, which an OpenAI client passes over", async () => {
    const raw = chat(FAULTY.pauses);
    const text = new Promise<string>((resolve, reject) => {
      raw.once("response", (response) => streamText(response).then(resolve, reject));
    });
    const sdk = new OpenAI({ apiKey: broker.key, baseURL: `${broker.url}/v2/cut-chat/openai/v1`, maxRetries: 0 });
    const messages = [{ role: "user", content: "to be or not" }] as const;
    let said = "";
    for await (const { choices } of await sdk.chat.completions.create({
      model: FAULTY.pauses,
      stream: true,
      messages: [...messages],
    })) {
      said += choices[0]?.delta.content ?? "";
    }
    expect(said).toBe("to be or not");
    expect((await text).split("\n\n").filter((event) => event.startsWith(":"))).toEqual([": "]);
  });

  it("and leaves while the broker gives its job a slot leaves the slot free", { timeout: 60_000 }, async () => {
    // More of them than slots, at any moment of the way to the upstream.
    for (let left = 0; left < 60; left += 1) {
      const asked = chat(FAULTY.endless);
      await sleep(left % 20);
      asked.destroy();
    }
    const startedMs = Date.now();
    const answer = await callBroker(`${broker.url}/v2/cut-chat/openai/v1/chat/completions`, broker.key, {
      body: JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "still here" }] }),
    });
    expect(answer.status).toBe(200);
    await answer.text();
    expect(Date.now() - startedMs).toBeLessThan(SLOTS_FREE_MAX_MS);
  });

  it("and resets its socket before the first token is hung up on within 1 s", async () => {
    const callsBefore = openai.seen.length;
    const asked = chat(FAULTY.slow);
    const call = await newestCall(callsBefore);
    const leftAtMs = Date.now();
    asked.socket?.resetAndDestroy();
    const heardMs = await heardAfterMs(call, leftAtMs);
    console.info(`resetAndDestroy before the first token: the upstream hears of it after ${heardMs} ms`);
    expect(heardMs).toBeLessThan(HEARD_MAX_MS);
  });

  it.each([
    ["its own request carries", '{"input":{},"policy":{"executionTimeout":60000}}'],
    ["a carrier of ours has", '{"input":{},"policy":{"executionTimeout":600000}}'],
  ])("and waits in a /runsync for a job that %s gets white space every 15 s, and JSON in the end", async (_, body) => {
    const startMs = Date.now();
    const response = await callBroker(`${broker.url}/v2/slow-sync/runsync`, broker.key, { body });
    const pieces: { readonly text: string; readonly atMs: number }[] = [];
    for await (const bytes of response.body ?? []) {
      pieces.push({ text: Buffer.from(bytes).toString("utf8"), atMs: Date.now() - startMs });
    }
    const [space, ...rest] = pieces;
    console.info(`pieces of the answer at ${pieces.map(({ atMs }) => atMs).join(", ")} ms`);
    expect(space?.text).toBe(" ");
    expect(space?.atMs).toBeGreaterThanOrEqual(SYNC_SPACE_EVERY_MS);
    expect(space?.atMs).toBeLessThan(SYNC_SPACE_EVERY_MS + 1_000);
    expect(rest[0]?.atMs).toBeGreaterThanOrEqual(WORK_MS);
    const text = pieces.map((piece) => piece.text).join("");
    expect(JSON.parse(text)).toMatchObject({ id: jobIdOf(response), status: "COMPLETED", output: { done: [1, " "] } });
    expect(text).toContain('"output":{"done":[1.0," "]}');
  });
});
