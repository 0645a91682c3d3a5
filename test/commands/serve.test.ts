// Servers of the installed package in processes of their own, under each Node that it is for: their start, their
// health, their end.
import { once } from "node:events";
import { type IncomingMessage, request as openRequest } from "node:http";
import { createServer } from "node:net";
import { text } from "node:stream/consumers";
import { beforeAll, describe, expect, it } from "vitest";
import { takePort } from "../running/port.ts";
import { InstalledPackage, NODES, type Program } from "./installed-package.ts";

/** Each line of its input is what its prestart hook waits for, or what releases a request. */
const APP = `
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { serve } from "waybill/worker";

const lines = createInterface({ input: process.stdin });
const line = async (wanted) => {
  for (;;) {
    const [given] = await once(lines, "line");
    if (given === wanted) return;
  }
};
const app = new Hono();
app.post("/echo", (c) => c.body(c.req.raw.body));
app.get("/cookies", (c) => {
  c.header("set-cookie", "a=1", { append: true });
  c.header("set-cookie", "b=2", { append: true });
  return c.json({ path: c.req.path });
});
app.get("/held", async (c) => {
  console.log("held");
  await line("release");
  return c.text("whole");
});
app.get("/events", (c) =>
  streamSSE(c, async (stream) => {
    c.req.raw.signal.addEventListener("abort", () => console.log("left: " + c.req.raw.signal.reason.message));
    await stream.writeSSE({ data: "one" });
    await line("never");
  }),
);
app.get("/fails", () => {
  throw new Error("a fault");
});
app.onError((error) => {
  throw error;
});
await serve(app, {
  drainMs: Number(process.env.DRAIN_MS ?? 60_000),
  prestart: async () => {
    await line("ready");
    if (process.env.FAILS !== undefined) throw new RangeError("no GPU");
  },
});
`;

const installed = new InstalledPackage();

beforeAll(() => installed.lend("hono"));

it("a server that nobody asks any more ends with 0 all the same, after Waybill would have asked", async () => {
  const port = await takePort();
  const program = installed.start(process.execPath, APP, { PORT: String(port) });
  await printedBy(program, "the server starts");
  program.stdin.write("ready\n");
  await printedBy(program, "the server is ready");
  await fetch(`http://127.0.0.1:${port}/ping`);
  const beganMs = performance.now();
  program.signal("SIGTERM");
  expect(await program.ended).toBe(0);
  expect(performance.now() - beganMs).toBeGreaterThan(10_000);
});

describe.each(NODES)("a server of the package under Node $release", ({ node }) => {
  async function start(env: Readonly<Record<string, string>> = {}) {
    const port = await takePort();
    const program = installed.start(node, APP, { PORT: String(port), ...env });
    await printedBy(program, "the server starts");
    return { program, url: `http://127.0.0.1:${port}`, port };
  }

  async function startReady(env: Readonly<Record<string, string>> = {}) {
    const started = await start(env);
    started.program.stdin.write("ready\n");
    await printedBy(started.program, "the server is ready");
    return started;
  }

  const statusOf = async (url: string) => (await fetch(`${url}/ping`)).status;

  it("starts, serves, and ends with 0 when its last request has its answer", async () => {
    const { program, url, port } = await start();
    expect([await statusOf(url), (await fetch(`${url}/cookies`)).status]).toEqual([204, 503]);
    program.stdin.write("ready\n");
    await printedBy(program, "the server is ready");
    const answer = await fetch(`${url}/cookies`);
    expect([await statusOf(url), await answer.json(), answer.headers.getSetCookie()]).toEqual([
      200,
      { path: "/cookies" },
      ["a=1", "b=2"],
    ]);
    const upload = openRequest({ port, path: "/echo", method: "POST" });
    upload.flushHeaders();
    const [echo]: IncomingMessage[] = await once(upload, "response");
    if (echo === undefined) throw new Error("no answer came");
    upload.write("one");
    expect(String((await once(echo, "data"))[0])).toBe("one");
    upload.end("two");
    expect(await text(echo)).toBe("two");

    const held = fetch(`${url}/held`);
    await printedBy(program, "held");
    program.signal("SIGTERM");
    await printedBy(program, "ends when its requests are done reason=SIGTERM requests=1");
    expect(await statusOf(url)).toBe(503);
    program.stdin.write("release\n");
    expect(await (await held).text()).toBe("whole");
    expect(await program.ended).toBe(0);
  });

  it("tells the app when a client leaves, and shows nobody its faults", async () => {
    const { program, url } = await startReady();
    const leaving = new AbortController();
    const events = await fetch(`${url}/events`, { signal: leaving.signal });
    const first = await events.body?.getReader().read();
    expect(Buffer.from(first?.value ?? []).toString()).toBe("data: one\n\n");
    leaving.abort();
    await printedBy(program, "left: the client has gone");
    const answer = await fetch(`${url}/fails`);
    expect([answer.status, await answer.json()]).toEqual([500, { error: "the worker failed" }]);
    await printedBy(program, "the app failed method=GET path=/fails reason=Error: a fault");
    program.signal("SIGINT");
    expect(await program.ended).toBe(0);
  });

  it("cuts off what takes longer than drainMs", async () => {
    const { program, url } = await startReady({ DRAIN_MS: "100" });
    const held = fetch(`${url}/held`).catch((error: unknown) => error);
    await printedBy(program, "held");
    program.signal("SIGTERM");
    expect(await program.ended).toBe(0);
    expect(await held).toBeInstanceOf(Error);
    expect(program.printed()).toContain("requests that took too long were cut off requests=1");
  });

  it("ends at once with 1 at a second signal", async () => {
    const { program, url } = await startReady();
    const held = fetch(`${url}/held`).catch((error: unknown) => error);
    await printedBy(program, "held");
    program.signal("SIGTERM");
    await printedBy(program, "ends when its requests are done");
    program.signal("SIGTERM");
    expect(await program.ended).toBe(1);
    expect(await held).toBeInstanceOf(Error);
  });

  it("ends with 0 at a signal while it starts", async () => {
    const { program } = await start();
    program.signal("SIGTERM");
    expect(await program.ended).toBe(0);
  });

  it("is unhealthy where its hook fails, and ends with 1 when that was heard", async () => {
    const { program, url } = await start({ FAILS: "yes" });
    program.stdin.write("ready\n");
    await printedBy(program, "the worker cannot work check=prestart reason=RangeError: no GPU");
    expect(await statusOf(url)).toBe(503);
    expect(await program.ended).toBe(1);
  });

  it("ends with 1 and one line where it cannot listen", async () => {
    const port = await takePort();
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(port, resolve));
    const programs = [String(port), "eighty"].map((given) => installed.start(node, APP, { PORT: given }));
    expect(await Promise.all(programs.map(({ ended }) => ended))).toEqual([1, 1]);
    expect(programs.map((program) => program.printed())).toEqual([
      expect.stringMatching(/^ERROR \| listen EADDRINUSE: .*\n$/),
      "ERROR | PORT must be a port, a whole number up to 65535\n",
    ]);
    taken.close();
  });
});

async function printedBy(program: Program, words: string): Promise<void> {
  await expect.poll(() => program.printed(), { timeout: 30_000 }).toContain(words);
}
