// A worker that speaks raw sockets: it breaks HTTP, stalls, bombs and hangs up, each path in its own way.
import { createServer, type Socket } from "node:net";
import { gzipSync } from "node:zlib";

export interface RawWorker {
  readonly url: string;
  /** Connections that carried a whole request to a path. */
  calls(path: string): number;
  stop(): Promise<void>;
}

const BOMB_BYTES = 400 * 1024 * 1024;

function head(status: string, headers: string, body = ""): string {
  return `HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${body}`;
}

/** So much of the body is there before the worker resets in its middle: it has surely begun to come. */
const PART_BYTES = 1024 * 1024;

/** Once the headers are there, before the body is, or a part of it where that is in the name. */
const EARLY: Readonly<Record<string, (socket: Socket) => void>> = {
  "/reset-in-the-middle": (socket) => socket.resetAndDestroy(),
  "/reset-after-a-part": (socket) => socket.resetAndDestroy(),
  "/answers-early": (socket) => socket.end(head("418 X", "Content-Length: 2\r\nConnection: close", "no")),
  "/answers-early-with-nothing": (socket) => socket.end(head("418 X", "Content-Length: 0\r\nConnection: close")),
  "/stops-reading": (socket) => socket.pause(),
};

/** Once the whole request is there. */
const LATE: Readonly<Record<string, (socket: Socket) => void>> = {
  "/status-999": (socket) => socket.end(head("999 X", "Content-Length: 2", "{}")),
  "/status-199": (socket) => socket.end(head("199 X", "Content-Length: 2", "{}")),
  "/no-http": (socket) => socket.end("SSH-2.0-OpenSSH\r\n"),
  "/reset-after": (socket) => socket.resetAndDestroy(),
  "/closes-empty": (socket) => socket.end(head("200 OK", "Content-Type: application/json")),
  "/short-of-its-length": (socket) => socket.end(head("200 OK", "Content-Length: 100", '{"a":1}')),
  "/short-of-its-last-chunk": (socket) => socket.end(head("200 OK", "Transfer-Encoding: chunked", '7\r\n{"a":1}\r\n')),
  "/bad-gzip": (socket) => socket.end(head("200 OK", "Content-Encoding: gzip\r\nContent-Length: 2", "{}")),
  "/stacked-codings": (socket) => socket.end(head("200 OK", "Content-Encoding: gzip, gzip\r\nContent-Length: 2", "{}")),
  "/endless-header": (socket) => socket.end(head("200 OK", `X: ${"a".repeat(300_000)}\r\nContent-Length: 2`, "{}")),
  "/redirect": (socket) => socket.end(head("302 Found", "Location: /ok\r\nContent-Length: 0")),
  "/bomb": (socket) => {
    const bytes = gzipSync(Buffer.concat([Buffer.from('"'), Buffer.alloc(BOMB_BYTES, "a"), Buffer.from('"')]));
    socket.write(head("200 OK", `Content-Encoding: gzip\r\nContent-Length: ${bytes.length}`));
    socket.end(bytes);
  },
  "/drips": (socket) => {
    socket.write(head("200 OK", "Content-Length: 5000"));
    const drip = setInterval(() => socket.write("["), 200);
    socket.once("close", () => clearInterval(drip));
  },
  "/never": () => undefined,
  "/endless-headers": (socket) => {
    socket.write("HTTP/1.1 200 OK\r\n");
    const drip = setInterval(() => socket.write(`X-Long: ${"a".repeat(10_000)}\r\n`), 1);
    socket.once("close", () => clearInterval(drip));
  },
  "/breaks-off-late": (socket) => {
    socket.write(head("200 OK", "Content-Length: 100", '{"a":1}'));
    setTimeout(() => socket.resetAndDestroy(), 500);
  },
  "/ping": (socket) => socket.end(head("200 OK", "Content-Length: 2", "ok")),
  "/ok": (socket) => socket.end(head("200 OK", "Content-Length: 2", "{}")),
};

export async function startRawWorker(): Promise<RawWorker> {
  const calls = new Map<string, number>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => sockets.delete(socket));
    serve(socket, (path) => calls.set(path, (calls.get(path) ?? 0) + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the raw worker got no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    calls: (path) => calls.get(path) ?? 0,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function serve(socket: Socket, note: (path: string) => void): void {
  let request = Buffer.alloc(0);
  let answered = false;
  socket.on("data", (bytes) => {
    if (answered) return;
    request = Buffer.concat([request, bytes]);
    const end = request.indexOf("\r\n\r\n");
    if (end < 0) return;
    const text = request.subarray(0, end).toString("latin1");
    const path = /^[A-Z]+ (\S+)/.exec(text)?.[1] ?? "";
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? "0");
    const early = EARLY[path];
    if (early === undefined && request.length < end + 4 + length) return;
    if (path === "/reset-after-a-part" && request.length < end + 4 + PART_BYTES) return;
    answered = true;
    if (early === undefined) note(path);
    (early ?? LATE[path] ?? (() => socket.destroy()))(socket);
  });
}
