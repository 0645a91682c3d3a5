// A load-balanced endpoint of a running broker, whose worker is an app of Hono's that the installed package serves.
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { takePort } from "../running/port.ts";
import { InstalledPackage, type Program } from "./installed-package.ts";

const APP = `
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { serve } from "waybill/worker";

const app = new Hono();
app.post("/sum", async (c) => c.json({ sum: (await c.req.json()).reduce((a, b) => a + b, 0) }));
app.get("/events", (c) =>
  streamSSE(c, async (stream) => {
    const { signal } = c.req.raw;
    signal.addEventListener("abort", () => console.log("the client has left"));
    // The broker learns that a client has left by what it sends it.
    for (; !signal.aborted; await sleep(100)) await stream.writeSSE({ data: "tick" });
  }),
);
app.get("/held", async (c) => {
  console.log("held");
  await once(process.stdin, "data");
  return c.text(process.env.NAME);
});
app.get("/name", (c) => c.text(process.env.NAME));
await serve(app, { prestart: () => sleep(200) });
`;

const installed = new InstalledPackage();
let broker: RunningBroker;
let port: number;

beforeAll(async () => {
  port = await takePort();
  installed.lend("hono");
  const upstream = { url: `http://127.0.0.1:${port}`, dialect: "http", slots: 4, credential: null } as const;
  broker = await startBroker({ app: { kind: "load_balancer", upstream } });
});

afterAll(() => broker?.stop());

const call = (path: string, init: RequestInit = {}) =>
  fetch(`${broker.url}/lb/app${path}`, { ...init, headers: { authorization: `Bearer ${broker.key}` } });

const start = (name: string) => installed.start(process.execPath, APP, { PORT: String(port), NAME: name });

it("waits for the worker to be ready, streams, tells it who leaves, and loses no request to its restart", async () => {
  const early = call("/sum", { method: "POST", body: "[1, 2, 3]" });
  const first = start("first");
  expect(await (await early).json()).toEqual({ sum: 6 });

  const leaving = new AbortController();
  const events = await call("/events", { signal: leaving.signal });
  const chunk = await events.body?.getReader().read();
  expect(Buffer.from(chunk?.value ?? []).toString()).toBe("data: tick\n\n");
  leaving.abort();
  await printedBy(first, "the client has left");

  const held = call("/held");
  await printedBy(first, "held");
  first.signal("SIGTERM");
  await printedBy(first, "ends when its requests are done");
  expect(await (await call("/name")).text()).toBe("first");
  first.stdin.write("go on\n");
  expect(await (await held).text()).toBe("first");
  expect(await first.ended).toBe(0);

  const next = call("/name");
  const second = start("second");
  expect(await (await next).text()).toBe("second");
  second.signal("SIGTERM");
  expect(await second.ended).toBe(0);
});

async function printedBy(program: Program, words: string): Promise<void> {
  await expect.poll(() => program.printed(), { timeout: 30_000 }).toContain(words);
}
