// A worker of a load-balanced endpoint for tests: real HTTP and WebSockets, and what it saw of its requests.
import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { type WebSocket, WebSocketServer } from "ws";

export interface LbWorker {
  readonly url: string;
  /** Requests under way now, sockets included, and the most there ever were at once. */
  inFlight(): number;
  maxInFlight(): number;
  /** Headers of the newest request to a path. */
  headersOf(path: string): IncomingHttpHeaders | undefined;
  stop(): Promise<void>;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** The text of /gzip. */
export const GZIPPED = "compressed ".repeat(100);
const PIECE = Buffer.alloc(64 * 1024, "waybill ");

const HANDLERS: Readonly<Record<string, Handler>> = {
  "/ping": (_, response) => void response.end("ok"),
  "/hello": (_, response) => void response.end("hello"),
  /** Each piece comes back as it arrives. */
  "/echo": (request, response) => {
    response.writeHead(200, { "content-type": "application/octet-stream" }).flushHeaders();
    request.pipe(response);
  },
  "/digest": async (request, response) => {
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of request) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    response.end(JSON.stringify({ bytes, sha256: hash.digest("hex") }));
  },
  /** So many bytes of eight-byte words, `?length` says whether it tells how many. */
  "/words": async (request, response) => {
    const query = new URL(request.url ?? "/", "http://worker").searchParams;
    let leftBytes = Number(query.get("bytes"));
    if (query.has("length")) response.setHeader("content-length", leftBytes);
    for (; leftBytes > 0 && !response.destroyed; leftBytes -= PIECE.length) {
      const isTaken = response.write(PIECE.subarray(0, Math.min(leftBytes, PIECE.length)));
      if (!isTaken) await drained(response);
    }
    response.end();
  },
  /** One tick each tenth of a second, until the client has gone. */
  "/ticks": (request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (request.method === "HEAD") return void response.end();
    const ticking = setInterval(() => response.write("data: tick\n\n"), 100);
    response.once("close", () => clearInterval(ticking));
  },
  /** Says that there are a million bytes, and sends ten of them each tenth of a second. */
  "/drips": (request, response) => {
    response.writeHead(200, { "content-length": 1_000_000, "content-type": "application/octet-stream" });
    if (request.method === "HEAD") return void response.end();
    const dripping = setInterval(() => response.write("ten bytes."), 100);
    response.once("close", () => clearInterval(dripping));
  },
  "/slow": (_, response) => void setTimeout(() => response.end("done"), 100),
  "/gzip": (_, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(GZIPPED)),
};

/**
 * Listens on a free port. A message to /socket comes back; `close CODE REASON` and `die` do what they say, and `pour BYTES` is
 * answered by so many, as fast as they are taken.
 */
export async function startLbWorker(): Promise<LbWorker> {
  const seen = new Map<string, IncomingHttpHeaders>();
  let inFlight = 0;
  let maxInFlight = 0;
  const begin = (path: string, request: IncomingMessage): void => {
    seen.set(path, request.headers);
    if (path === "/ping") return;
    inFlight += 1;
    maxInFlight = Math.max(maxInFlight, inFlight);
  };
  const server = createServer((request, response) => {
    const path = pathOf(request);
    begin(path, request);
    response.once("close", () => {
      if (path !== "/ping") inFlight -= 1;
    });
    request.on("error", () => response.destroy());
    const handle = HANDLERS[path] ?? ((_, missing) => void missing.writeHead(404).end());
    Promise.resolve(handle(request, response)).catch(() => response.destroy());
  });
  const sockets = new WebSocketServer({ server, maxPayload: 64 * 1024 * 1024 });
  sockets.on("connection", (socket, request) => {
    begin(pathOf(request), request);
    socket.on("error", () => undefined);
    socket.once("close", () => {
      inFlight -= 1;
    });
    socket.on("message", (data, isBinary) => {
      const [word, code, reason] = isBinary ? [] : data.toString().split(" ");
      if (word === "close") socket.close(Number(code), reason);
      else if (word === "die") socket.terminate();
      else if (word === "pour") pour(socket, Number(code));
      else socket.send(data, { binary: isBinary });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the worker got no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    inFlight: () => inFlight,
    maxInFlight: () => maxInFlight,
    headersOf: (path) => seen.get(path),
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets.clients) socket.terminate();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * Bytes that cannot be compressed. As long as the system takes each piece at once, their callbacks would follow one another before
 * anything is read: on a busy machine the worker poured 250 MiB more behind a close that it had not read.
 */
function pour(socket: WebSocket, leftBytes: number): void {
  if (leftBytes <= 0 || socket.readyState !== socket.OPEN) return;
  socket.send(randomBytes(PIECE.length), (error) => {
    if (error === undefined || error === null) setImmediate(pour, socket, leftBytes - PIECE.length);
  });
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off("drain", go).off("close", go);
      resolve();
    };
    response.on("drain", go).on("close", go);
  });
}

function pathOf(request: IncomingMessage): string {
  return new URL(request.url ?? "/", "http://worker").pathname;
}
