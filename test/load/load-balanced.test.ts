// A load-balanced endpoint of a running broker, with a real worker: streams both ways, WebSockets, slots, and clients that go.
import { readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import WebSocket from "ws";
import * as z from "zod";
import { LB_SOCKET_REST_MS } from "../../src/core/limits.ts";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { GZIPPED, type LbWorker, startLbWorker } from "../running/lb-worker.ts";
import { startPeakMeter } from "./peak.ts";

const SLOTS = 3;
const LIMIT_BYTES = 1024 * 1024;
/** More than the buffers of a connection hold. */
const WIDE_BYTES = 32 * 1024 * 1024;

let worker: LbWorker;
let broker: RunningBroker;

beforeAll(async () => {
  worker = await startLbWorker();
  const upstream = { url: worker.url, dialect: "http", slots: SLOTS, credential: null } as const;
  broker = await startBroker({
    lb: { kind: "load_balancer", bodyMaxBytes: LIMIT_BYTES, upstream },
    "lb-wide": { kind: "load_balancer", bodyMaxBytes: WIDE_BYTES, upstream },
  });
});

afterAll(async () => {
  await broker?.stop();
  await worker?.stop();
});

/** A request whose body is written by the test. */
function openRequest(path: string, method = "POST", headers: Readonly<Record<string, string>> = {}) {
  const sent = request(`${broker.url}/lb/lb${path}`, {
    method,
    headers: { authorization: `Bearer ${broker.key}`, ...headers },
  });
  sent.on("error", () => undefined);
  return sent;
}

function openSocket(path: string, protocols: string[] = [], endpoint = "lb"): WebSocket {
  const url = `${broker.url.replace("http", "ws")}/lb/${endpoint}${path}`;
  return new WebSocket(url, protocols, { headers: { authorization: `Bearer ${broker.key}` } });
}

async function connect(path: string, protocols: string[] = [], endpoint = "lb"): Promise<WebSocket> {
  const socket = openSocket(path, protocols, endpoint);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return socket;
}

function nextMessage(socket: WebSocket): Promise<{ readonly data: string; readonly isBinary: boolean }> {
  return new Promise((resolve) => {
    socket.once("message", (data, isBinary) => resolve({ data: data.toString(), isBinary }));
  });
}

function closeOf(socket: WebSocket): Promise<{ readonly code: number; readonly reason: string }> {
  return new Promise((resolve) => {
    socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    socket.once("error", () => undefined);
  });
}

async function slotsInUse(endpoint = "lb"): Promise<number> {
  const list = z.object({ workers: z.array(z.object({ running: z.number() })) });
  const { workers } = list.parse(await (await broker.call(`/v1/endpoints/${endpoint}/workers`)).json());
  return workers.reduce((sum, { running }) => sum + running, 0);
}

/** Lines of load-balanced requests, by started 100 ms. */
async function billedRequests() {
  const line = z.object({ jobId: z.string(), endpointId: z.string(), billedMs: z.number() });
  const usage = z.object({ lines: z.array(line) });
  const { lines } = usage.parse(await (await broker.call("/v1/usage?limit=1000")).json());
  return lines.filter(({ jobId, billedMs }) => jobId.startsWith("lb-") && billedMs % 100 === 0);
}

describe("a load-balanced request", () => {
  it("streams both ways at once: each piece is answered before the next one is sent", async () => {
    const sent = openRequest("/echo");
    sent.write("piece 0");
    const response = await new Promise<NodeJS.ReadableStream>((resolve) => sent.once("response", resolve));
    const pieces = response[Symbol.asyncIterator]();
    for (let at = 0; at < 5; at += 1) {
      const { value } = await pieces.next();
      expect(String(value)).toBe(`piece ${at}`);
      if (at < 4) sent.write(`piece ${at + 1}`);
    }
    sent.end();
    expect((await pieces.next()).done).toBe(true);
  });

  it("is 400 as a GET with a body, which cannot be passed on, and no worker is held to have failed", async () => {
    const sent = openRequest("/digest", "GET", { "content-length": "6" }).end("a body");
    const response = await new Promise<IncomingMessage>((resolve) => sent.once("response", resolve));
    expect(response.statusCode).toBe(400);
    expect((await response.toArray()).join("")).toMatch(/GET or HEAD with a body/);
    const empty = openRequest("/hello", "GET", { "content-length": "0" }).end();
    expect((await new Promise<IncomingMessage>((resolve) => empty.once("response", resolve))).statusCode).toBe(200);
  });

  it("brings neither the client's key to the worker, nor another coding to the client", async () => {
    const sent = openRequest("/gzip", "GET", { "accept-encoding": "gzip", "x-own": "1" }).end();
    const response = await new Promise<IncomingMessage>((resolve) => sent.once("response", resolve));
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    expect(response.headers["content-encoding"]).toBe("gzip");
    expect(gunzipSync(Buffer.concat(chunks)).toString()).toBe(GZIPPED);
    expect(worker.headersOf("/gzip")).toMatchObject({ "x-own": "1" });
    expect(worker.headersOf("/gzip")).not.toHaveProperty("authorization");
  });

  it("is one of at most as many as the worker has slots, and the others wait", async () => {
    const answers = await Promise.all(
      Array.from({ length: 5 * SLOTS }, async () => (await broker.call("/lb/lb/slow")).text()),
    );
    expect(new Set(answers)).toEqual(new Set(["done"]));
    expect(worker.maxInFlight()).toBe(SLOTS);
  });

  it("one byte over the limit is 413, and over a limit on its way back it breaks off", async () => {
    const over = await broker.call("/lb/lb/digest", Buffer.alloc(LIMIT_BYTES + 1));
    expect(over.status).toBe(413);
    const fits = await broker.call("/lb/lb/digest", Buffer.alloc(LIMIT_BYTES));
    expect(await fits.json()).toMatchObject({ bytes: LIMIT_BYTES });
    const endless = await broker.call(`/lb/lb/words?bytes=${LIMIT_BYTES + 1}`);
    await expect(endless.arrayBuffer()).rejects.toThrow();
    const announced = await broker.call(`/lb/lb/words?length&bytes=${LIMIT_BYTES + 1}`);
    expect(announced.status).toBe(502);
    expect((await (await broker.call(`/lb/lb/words?bytes=${LIMIT_BYTES}`)).arrayBuffer()).byteLength).toBe(LIMIT_BYTES);
  });

  it.each(["/ticks", "/drips"])(
    "%s ends with its client: the worker hears of it, and the slot is free",
    async (path) => {
      const abort = new AbortController();
      const headers = { authorization: `Bearer ${broker.key}` };
      const response = await fetch(`${broker.url}/lb/lb${path}`, { headers, signal: abort.signal });
      const reader = response.body?.getReader();
      expect((await reader?.read())?.value?.length).toBeGreaterThan(0);
      expect(worker.inFlight()).toBe(1);
      expect(await slotsInUse()).toBe(1);
      abort.abort();
      await expect.poll(() => worker.inFlight(), { timeout: 10_000 }).toBe(0);
      await expect.poll(() => slotsInUse(), { timeout: 10_000 }).toBe(0);
      const log = readFileSync(join(broker.folder, "broker.log"), "utf8");
      expect(log).toMatch(new RegExp(`"${response.headers.get("x-request-id")}".*"outcome":"client_left"`));
    },
  );

  it("is on the bill, by started 100 ms", async () => {
    await expect.poll(async () => (await billedRequests()).length, { timeout: 10_000 }).toBeGreaterThan(10);
  });
});

describe("a WebSocket", () => {
  it("carries texts and bytes both ways, with the subprotocol, and holds a slot until it ends", async () => {
    const socket = await connect("/socket", ["chat"]);
    expect(socket.protocol).toBe("chat");
    for (const data of ["one", "two", "é".repeat(1_000)]) {
      socket.send(data);
      expect(await nextMessage(socket)).toEqual({ data, isBinary: false });
    }
    socket.send(Buffer.from([1, 2, 3]));
    expect((await nextMessage(socket)).isBinary).toBe(true);
    expect(await slotsInUse()).toBe(1);
    expect(worker.headersOf("/socket")).not.toHaveProperty("authorization");
    socket.close(4_000, "bye");
    expect(await closeOf(socket)).toEqual({ code: 4_000, reason: "bye" });
    await expect.poll(() => worker.inFlight(), { timeout: 10_000 }).toBe(0);
    await expect.poll(() => slotsInUse(), { timeout: 10_000 }).toBe(0);
  });

  it("whose client has stopped reading, and still talks, lets go of the worker, frees its slot, is billed, and is cut off", async () => {
    const meter = startPeakMeter(broker.pid);
    const socket = await connect("/socket", [], "lb-wide");
    const closing = closeOf(socket);
    let readBytes = 0;
    socket.on("message", (data: Buffer) => {
      readBytes += data.length;
    });
    socket.send(`pour ${20 * WIDE_BYTES}`);
    await new Promise((resolve) => socket.once("message", resolve));
    socket.pause();
    const talk = setInterval(() => socket.send("y"), 10);
    await expect.poll(() => worker.inFlight(), { timeout: 20_000 }).toBe(0);
    clearInterval(talk);
    await expect.poll(() => slotsInUse("lb-wide"), { timeout: 10_000 }).toBe(0);
    // Its line is the first one of this endpoint.
    const endpoints = async () => new Set((await billedRequests()).map(({ endpointId }) => endpointId)).size;
    await expect.poll(endpoints, { timeout: 10_000 }).toBe(2);
    const grownBytes = meter.grownBytes();
    console.info(`the broker grew by ${Math.round(grownBytes / LIMIT_BYTES)} MiB`);
    expect(grownBytes).toBeLessThan(4 * WIDE_BYTES);
    await new Promise((resolve) => setTimeout(resolve, LB_SOCKET_REST_MS + 2_000));
    socket.resume();
    // Nobody keeps the rest for it any more.
    expect((await closing).code).toBe(1_006);
    expect(readBytes).toBeLessThan(2 * WIDE_BYTES);
  });

  it("whose client reads, and says nothing, is told why it ends", async () => {
    const socket = await connect("/socket");
    const closing = closeOf(socket);
    socket.send(`pour ${60 * LIMIT_BYTES}`);
    expect(await closing).toMatchObject({
      code: 1_008,
      reason: expect.stringContaining("send a message now and then"),
    });
    await expect.poll(() => slotsInUse(), { timeout: 10_000 }).toBe(0);
  });

  it("hears the worker's close with its code, and 1011 when the worker is gone without one", async () => {
    const closed = await connect("/socket");
    closed.send("close 4321 enough");
    expect(await closeOf(closed)).toEqual({ code: 4_321, reason: "enough" });
    const died = await connect("/socket");
    died.send("die");
    expect((await closeOf(died)).code).toBe(1_011);
    await expect.poll(() => slotsInUse(), { timeout: 10_000 }).toBe(0);
  });

  it("that is cut off by its client lets go of the worker", async () => {
    const socket = await connect("/socket");
    expect(worker.inFlight()).toBe(1);
    socket.terminate();
    await expect.poll(() => worker.inFlight(), { timeout: 15_000 }).toBe(0);
    await expect.poll(() => slotsInUse(), { timeout: 10_000 }).toBe(0);
  });

  it("ends with 1009 at a message over the limit", async () => {
    const socket = await connect("/socket");
    socket.send("a".repeat(LIMIT_BYTES));
    expect((await nextMessage(socket)).data).toHaveLength(LIMIT_BYTES);
    socket.send("a".repeat(LIMIT_BYTES + 1));
    expect((await closeOf(socket)).code).toBe(1_009);
  });

  it("without a key is refused before any worker is asked", async () => {
    const socket = new WebSocket(`${broker.url.replace("http", "ws")}/lb/lb/socket`);
    socket.once("error", () => undefined);
    const status = await new Promise((resolve) => {
      socket.once("unexpected-response", (_, response) => resolve(response.statusCode));
    });
    expect(status).toBe(401);
  });
});
