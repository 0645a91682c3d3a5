// The server of a load-balanced endpoint's worker over real sockets: what an app is given, and what its client gets.
import { once } from "node:events";
import { Agent, type IncomingMessage, request as openRequest } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Hono } from "hono";
import { afterEach, describe, expect, it } from "vitest";
import { AppServer } from "../../src/sdk/app-server.ts";
import type { FetchHandler } from "../../src/sdk/exchange.ts";
import { makeLog } from "../../src/sdk/log.ts";
import { readServePlace, type ServePlace } from "../../src/sdk/serve-place.ts";

const MIB = 1024 * 1024;
let stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(stops.map((stop) => stop()));
  stops = [];
});

interface Served {
  readonly server: AppServer;
  readonly port: number;
  readonly url: string;
  readonly lines: string[];
}

async function listen(handler: FetchHandler, place: Partial<ServePlace> = {}): Promise<Served> {
  const lines: string[] = [];
  const log = makeLog({ isJson: true, level: "INFO", write: (line) => lines.push(line) });
  const server = new AppServer(handler, { port: 0, healthPort: null, healthPath: "/ping", ...place }, log);
  const port = await server.listen();
  stops.push(() => server.drain(0));
  return { server, port, url: `http://127.0.0.1:${port}`, lines };
}

async function served(handler: FetchHandler): Promise<Served> {
  const one = await listen(handler);
  one.server.ready();
  return one;
}

/** A request whose body is written by the test. */
function openUpload(port: number, path = "/", headers: Readonly<Record<string, string>> = {}) {
  const sent = openRequest({ port, path, method: "POST", agent: false, headers });
  sent.on("error", () => undefined);
  sent.flushHeaders();
  return sent;
}

async function answerOf(sent: ReturnType<typeof openUpload>): Promise<IncomingMessage> {
  const [answer] = await once(sent, "response");
  return answer;
}

/** The bytes of an answer to bytes: what no client of Node's lets through. */
async function exchangeBytes(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(bytes);
  return await text(socket);
}

function deferred() {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe("an app behind the server", () => {
  it("is given method, address, headers and body, and its answer comes back whole", async () => {
    const app = new Hono();
    app.put("/items/:id", async (c) => {
      const { id } = c.req.param();
      return c.json({ id, q: c.req.query("q"), tag: c.req.header("x-tag"), body: await c.req.json() }, 201, {
        "x-it": "é",
      });
    });
    const { url } = await served((request) => app.fetch(request));
    const answer = await fetch(`${url}/items/a%2Fb?q=1+2`, {
      method: "PUT",
      headers: { "x-tag": "t" },
      body: JSON.stringify({ n: 1 }),
    });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("x-it")).toBe("é");
    expect(await answer.json()).toEqual({ id: "a/b", q: "1 2", tag: "t", body: { n: 1 } });
  });

  it("is given the host that was asked, and each of several headers of one name", async () => {
    const { port } = await served((request) => new Response(`${request.url} ${request.headers.get("x-many")}`));
    const bytes = "GET /a//b?c HTTP/1.1\r\nHost: gpu.example\r\nX-Many: 1\r\nX-Many: 2\r\nConnection: close\r\n\r\n";
    expect(await exchangeBytes(port, bytes)).toContain("http://gpu.example/a//b?c 1, 2");
  });

  it("has no body in a GET, nor in a POST that sends none", async () => {
    const { url } = await served((request) => new Response(String(request.body === null)));
    expect(await (await fetch(url)).text()).toBe("true");
    expect(await (await fetch(url, { method: "POST" })).text()).toBe("true");
  });

  it.each([
    "GET http://other/ HTTP/1.1\r\nHost: x",
    "OPTIONS * HTTP/1.1\r\nHost: x",
    "TRACE / HTTP/1.1\r\nHost: x",
    "GET / HTTP/1.1\r\nHost: a/b",
  ])("is not given a request that none can be made of: %j", async (head) => {
    const { port } = await served(() => new Response("given"));
    expect(await exchangeBytes(port, `${head}\r\nConnection: close\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 400 .*the app can be given/s,
    );
  });

  it("answers HEAD with the headers alone, and ends the body that it would have had", async () => {
    const cancelled = deferred();
    const body = () => new ReadableStream({ cancel: () => cancelled.resolve() }, { highWaterMark: 0 });
    const { port } = await served(() => new Response(body(), { headers: { "content-length": "7" } }));
    const bytes = await exchangeBytes(port, "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(bytes).toMatch(/^HTTP\/1\.1 200 OK\r\ncontent-length: 7\r\n/);
    expect(bytes.endsWith("\r\n\r\n")).toBe(true);
    await cancelled.promise;
  });

  it.each([204, 304])("answers %i without a body or a word about one", async (status) => {
    const { port } = await served(() => new Response(null, { status }));
    const bytes = await exchangeBytes(port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(bytes.startsWith(`HTTP/1.1 ${status} `)).toBe(true);
    expect(bytes).not.toMatch(/transfer-encoding|content-length/i);
    expect(bytes.endsWith("\r\n\r\n")).toBe(true);
  });

  it("sets each of several cookies in a line of its own, and its own words beside the status", async () => {
    const headers = new Headers([
      ["set-cookie", "a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT"],
      ["set-cookie", "b=2"],
    ]);
    const { port } = await served(() => new Response("x", { status: 418, statusText: "Short And Stout", headers }));
    const bytes = await exchangeBytes(port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(bytes).toMatch(/^HTTP\/1\.1 418 Short And Stout\r\n/);
    expect(bytes.match(/^set-cookie: .*$/gm)).toEqual([
      "set-cookie: a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT",
      "set-cookie: b=2",
    ]);
  });

  it("decides nothing about the connection, as where it hands on the answer of another server", async () => {
    const { url } = await served(async (request) => {
      if (new URL(request.url).pathname === "/own") return new Response("own");
      return new Response((await fetch(`${url}/own`)).body, {
        headers: { "transfer-encoding": "chunked", connection: "close" },
      });
    });
    const answer = await fetch(url);
    expect([await answer.text(), answer.headers.get("connection")]).toEqual(["own", "keep-alive"]);
  });
});

describe("streams through the server", () => {
  it("go both ways at once: each piece comes back before the next one is sent", async () => {
    const { port } = await served((request) => new Response(request.body));
    const sent = openUpload(port);
    const answer = await answerOf(sent);
    for (const piece of ["one", "two", "three"]) {
      sent.write(piece);
      const [chunk] = await once(answer, "data");
      expect(String(chunk)).toBe(piece);
    }
    sent.end();
    await once(answer, "end");
  });

  it("send the headers before the first chunk is there", async () => {
    const { url } = await served(() => new Response(new ReadableStream()));
    const answer = await fetch(url);
    expect(answer.status).toBe(200);
    await answer.body?.cancel();
  });

  it("carry 32 MiB each way unchanged", async () => {
    const { url } = await served(async (request) => new Response(await request.arrayBuffer()));
    const bytes = new Uint8Array(32 * MIB).map((_, at) => (at * 31) >> 8);
    const back = await (await fetch(url, { method: "POST", body: bytes })).arrayBuffer();
    expect(Buffer.compare(Buffer.from(back), bytes)).toBe(0);
  });

  it("take no more of a body than the app reads", async () => {
    const begun = deferred();
    const { port } = await served(async (request) => {
      const reader = request.body?.getReader();
      await reader?.read();
      begun.resolve();
      return await new Promise<Response>(() => undefined);
    });
    const sent = openUpload(port);
    let taken = 0;
    // Until the connection takes no more for as long as a quarter of a second.
    const piece = Buffer.alloc(256 * 1024);
    for (let isTaken = true; isTaken && taken < 256 * MIB; taken += piece.length) {
      isTaken = await Promise.race([
        new Promise<boolean>((resolve) => sent.write(piece, () => resolve(true))),
        new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 250)),
      ]);
    }
    await begun.promise;
    expect(taken).toBeLessThan(64 * MIB);
    sent.destroy();
  });

  it("ask the app for no more than the client reads", async () => {
    let made = 0;
    const pull = (controller: ReadableStreamDefaultController) => {
      made += 1;
      controller.enqueue(new Uint8Array(256 * 1024));
    };
    const { port } = await served(() => new Response(new ReadableStream({ pull })));
    const sent = openUpload(port);
    const answer = await answerOf(sent);
    answer.pause();
    let before = -1;
    // Until nothing was made for a quarter of a second.
    while (before !== made && made < 1024) {
      before = made;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    expect(made).toBeLessThan(256);
    sent.destroy();
  });

  it("leave the connection fit for the next request, whatever the app has read of a body", async () => {
    const cut: unknown[] = [];
    const { port } = await served(async (request) => {
      const reader = request.body?.getReader();
      const { pathname } = new URL(request.url);
      if (pathname === "/some") await reader?.read();
      if (pathname === "/cancel") await reader?.cancel();
      if (pathname === "/late") setTimeout(() => reader?.read().catch((error: unknown) => cut.push(error)), 0);
      return new Response(pathname);
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    for (const path of ["/none", "/some", "/cancel", "/late", "/none"]) {
      const sent = openRequest({ port, path, method: "POST", agent });
      sent.end(Buffer.alloc(4 * MIB));
      const answer = await answerOf(sent);
      ports.add(answer.socket.localPort);
      expect(await text(answer)).toBe(path);
    }
    agent.destroy();
    expect(ports.size).toBe(1);
    expect(cut.map(String)).toEqual(["Error: the request was answered before its body was read"]);
  });
});

describe("a client that leaves", () => {
  /** Resolves when the app knows, with the reason. */
  async function leaving(
    handle: (request: Request) => Response | Promise<Response>,
    leave: (port: number) => Promise<void>,
  ) {
    let tell: (reason: unknown) => void = () => undefined;
    const told = new Promise((resolve) => {
      tell = resolve;
    });
    const { port, lines, server } = await served((request) => {
      request.signal.addEventListener("abort", () => tell(request.signal.reason));
      return handle(request);
    });
    await leave(port);
    const reason = await told;
    return { reason: String(reason), lines, server };
  }

  it("fires the signal of its request, which is no error of the app, before there is an answer", async () => {
    const asked = deferred();
    const { reason, lines, server } = await leaving(
      (request) => {
        asked.resolve();
        return new Promise((_, reject) =>
          request.signal.addEventListener("abort", () => reject(request.signal.reason)),
        );
      },
      async (port) => {
        const sent = openUpload(port);
        await asked.promise;
        sent.destroy();
      },
    );
    expect(reason).toBe("AbortError: the client has gone");
    expect(lines).toEqual([]);
    expect(server.running).toBe(0);
  });

  it("fires it in the middle of the answer, and cancels the app's stream", async () => {
    const cancelled = deferred();
    const { reason, lines } = await leaving(
      () =>
        new Response(
          new ReadableStream({ start: (c) => c.enqueue(Buffer.from("x")), cancel: () => cancelled.resolve() }),
        ),
      async (port) => {
        const sent = openUpload(port);
        await once(await answerOf(sent), "data");
        sent.destroy();
      },
    );
    await cancelled.promise;
    expect(reason).toContain("the client has gone");
    expect(lines).toEqual([]);
  });

  it("breaks off the body that the app reads", async () => {
    const read: string[] = [];
    const { lines } = await leaving(
      async (request) => {
        read.push(await request.text().catch((error: unknown) => `broken off: ${error instanceof Error}`));
        return new Response();
      },
      async (port) => {
        const sent = openUpload(port, "/", { "content-length": "100" });
        await new Promise((resolve) => sent.write("half", resolve));
        sent.destroy();
      },
    );
    await expect.poll(() => read).toEqual(["broken off: true"]);
    expect(lines).toEqual([]);
  });

  it("fires a signal of which nothing but the listener was kept, before the answer and while it is sent", async () => {
    setFlagsFromString("--expose-gc");
    const collect: () => void = runInNewContext("gc");
    for (const answer of [() => new Promise<Response>(() => undefined), () => new Response(new ReadableStream())]) {
      const asked = deferred();
      const told = deferred();
      const { port } = await served(({ signal }) => {
        signal.addEventListener("abort", told.resolve);
        asked.resolve();
        return answer();
      });
      const sent = openUpload(port);
      await asked.promise;
      for (let times = 0; times < 3; times += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        collect();
      }
      sent.destroy();
      await told.promise;
    }
  });

  it("does not fire it once the whole answer is sent", async () => {
    let signal: AbortSignal | undefined;
    const { url } = await served((request) => {
      signal = request.signal;
      return new Response("whole");
    });
    await (await fetch(url, { headers: { connection: "close" } })).text();
    expect(signal?.aborted).toBe(false);
  });
});

describe("an app that fails", () => {
  it.each([
    [
      "throws",
      () => {
        throw new Error("secret of the app");
      },
    ],
    ["rejects", () => Promise.reject(new Error("secret of the app"))],
    ["returns no Response", () => JSON.parse('"secret of the app"')],
    ["returns an answer that none can be sent of", () => Response.error()],
    [
      "returns a body that was read",
      async () => {
        const used = new Response("secret of the app");
        await used.text();
        return used;
      },
    ],
  ])("and %s is 500 for the client, without a word of it, and one line in the log", async (_how, handler) => {
    const { url, lines } = await served(handler);
    const answer = await fetch(`${url}/path?key=hidden`);
    expect([answer.status, await answer.json()]).toEqual([500, { error: "the worker failed" }]);
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        requestId: null,
        level: "ERROR",
        message: "the app failed",
        method: "GET",
        path: "/path",
        reason: expect.any(String),
      },
    ]);
    expect(lines.join()).not.toContain("hidden");
  });

  it("in the middle of its answer breaks the connection off, so that no part passes for the whole", async () => {
    const { url, lines } = await served(
      () =>
        new Response(
          new ReadableStream({
            pull: (controller) => {
              controller.enqueue(Buffer.from("part"));
              controller.error(new Error("no more"));
            },
          }),
        ),
    );
    await expect(fetch(url).then((answer) => answer.text())).rejects.toThrow();
    await expect.poll(() => lines).toEqual([expect.stringContaining("no more")]);
  });
});

describe("the health of a worker", () => {
  const healthOf = async ({ url }: Served, path = "/ping") => (await fetch(`${url}${path}`)).status;

  it("is 204 while it starts, when it takes no request, and 200 when it is ready", async () => {
    const one = await listen(() => new Response("taken"));
    expect([await healthOf(one), await healthOf(one, "/ping?x=1"), await healthOf(one, "/other")]).toEqual([
      204, 204, 503,
    ]);
    one.server.ready();
    expect([await healthOf(one), await healthOf(one, "/other")]).toEqual([200, 200]);
    expect((await fetch(`${one.url}/ping`, { method: "HEAD" })).status).toBe(200);
    expect(await (await fetch(`${one.url}/ping`, { method: "POST" })).text()).toBe("taken");
  });

  it("is told at another path and port, where the environment says so", async () => {
    const spare = await listen(() => new Response());
    await spare.server.drain(0);
    const one = await listen((request) => new Response(new URL(request.url).pathname), {
      healthPort: spare.port,
      healthPath: "/healthz",
    });
    one.server.ready();
    expect(await healthOf(spare, "/healthz")).toBe(200);
    expect(await healthOf(spare, "/ping")).toBe(404);
    expect(await (await fetch(`${one.url}/ping`)).text()).toBe("/ping");
  });

  it("is 503 where the worker cannot work, which ends when somebody has heard of it", async () => {
    const one = await listen(() => new Response());
    const failed = one.server.fail(60_000);
    expect(await healthOf(one)).toBe(503);
    await failed;
    await expect(healthOf(one)).rejects.toThrow();
  });

  it("ends unheard after its time", async () => {
    const one = await listen(() => new Response());
    await one.server.fail(1);
    await expect(healthOf(one)).rejects.toThrow();
  });
});

describe("a server that drains", () => {
  it("is unhealthy at once, ends what runs and what still comes, and closes connections behind answers", async () => {
    const asked = deferred();
    const release = deferred();
    const one = await served(async (request) => {
      if (new URL(request.url).pathname === "/held") {
        asked.resolve();
        await release.promise;
      }
      return new Response("whole");
    });
    const held = fetch(`${one.url}/held`);
    await asked.promise;
    const drained = one.server.drain(60_000);
    const health = await fetch(`${one.url}/ping`);
    expect([health.status, health.headers.get("connection")]).toEqual([503, "close"]);
    const late = await fetch(`${one.url}/late`);
    expect([await late.text(), late.headers.get("connection")]).toEqual(["whole", "close"]);
    release.resolve();
    const answer = await held;
    expect([await answer.text(), answer.headers.get("connection")]).toEqual(["whole", "close"]);
    expect(await drained).toBe(0);
    await expect(fetch(one.url)).rejects.toThrow();
  });

  it("goes on until whoever asks for its health has heard, and has had the time to send what it held", async () => {
    const one = await served(() => new Response("whole"));
    await fetch(`${one.url}/ping`);
    const drained = one.server.drain(60_000);
    expect(await (await fetch(one.url)).text()).toBe("whole");
    const askedMs = performance.now();
    expect((await fetch(`${one.url}/ping`)).status).toBe(503);
    expect(await drained).toBe(0);
    expect(performance.now() - askedMs).toBeGreaterThanOrEqual(500);
    await expect(fetch(one.url)).rejects.toThrow();
  });

  it("cuts off what takes longer than it may, and says how many", async () => {
    const asked = deferred();
    const left = deferred();
    const { server, url } = await served((request) => {
      request.signal.addEventListener("abort", left.resolve);
      asked.resolve();
      return new Promise(() => undefined);
    });
    const held = fetch(url).catch((error: unknown) => error);
    await asked.promise;
    expect(await server.drain(1)).toBe(1);
    await left.promise;
    expect(await held).toBeInstanceOf(Error);
  });

  it("does not wait for connections that send nothing", async () => {
    const { server, port, url } = await served(() => new Response("x"));
    const silent = connect(port, "127.0.0.1");
    await once(silent, "connect");
    const kept = new Agent({ keepAlive: true });
    const sent = openRequest({ port, agent: kept }).end();
    await text(await answerOf(sent));
    const closed = once(silent, "close");
    expect(await server.drain(60_000)).toBe(0);
    silent.resume();
    await closed;
    await expect(fetch(url)).rejects.toThrow();
    kept.destroy();
  });
});

describe("where a server listens", () => {
  it.each([
    [{}, undefined, { port: 80, healthPort: null, healthPath: "/ping" }],
    [
      { PORT: "", PORT_HEALTH: " ", HEALTH_CHECK_PATH: "" },
      undefined,
      { port: 80, healthPort: null, healthPath: "/ping" },
    ],
    [
      { PORT: "8000", PORT_HEALTH: "8001", HEALTH_CHECK_PATH: "/up" },
      undefined,
      { port: 8_000, healthPort: 8_001, healthPath: "/up" },
    ],
    [{ PORT: "8000", PORT_HEALTH: "8000" }, undefined, { port: 8_000, healthPort: null, healthPath: "/ping" }],
    [{ PORT: "8000" }, 9_000, { port: 9_000, healthPort: null, healthPath: "/ping" }],
  ])("by %j and %j", (variables, port, place) => {
    expect(readServePlace(variables, port)).toEqual(place);
  });

  it.each([
    [{ PORT: "http" }, undefined, "PORT must be a port"],
    [{ PORT: "65536" }, undefined, "PORT must be a port"],
    [{ PORT_HEALTH: "-1" }, undefined, "PORT_HEALTH must be a port"],
    [{}, 1.5, "port must be a port"],
    [{ HEALTH_CHECK_PATH: "ping" }, undefined, "HEALTH_CHECK_PATH must begin with a slash"],
  ])("not by %j and %j", (variables, port, sentence) => {
    expect(() => readServePlace(variables, port)).toThrow(sentence);
  });
});
