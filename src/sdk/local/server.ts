// The HTTP of a local endpoint: reads calls, writes answers, and hears of clients that leave.
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../core/failure.ts";
import type { Log } from "../log.ts";
import { jsonAnswer, type LocalAnswer, type LocalCall } from "./answer.ts";
import { answerCall, type Served } from "./routes.ts";

export interface LocalServer {
  /** Such as `http://localhost:8000`. */
  readonly url: string;
  /** Takes no more calls; those that are open have a moment to be answered. */
  close(): Promise<void>;
}

/** Node would resolve the name to one of two addresses, and not every client looks at both. */
const ADDRESSES: Readonly<Record<string, string>> = { localhost: "127.0.0.1" };
/** Longer than load balancers keep an idle connection, so that none is closed as it is used. */
const KEEP_ALIVE_MS = 75_000;
/** For answers that are about to end. */
const CLOSE_MAX_MS = 400;

/** Throws one sentence where the address cannot be had. */
export async function listen(
  { host, port }: { readonly host: string; readonly port: number },
  served: Served,
  log: Log,
): Promise<LocalServer> {
  const server = createServer((request, response) => {
    answer(request, response, served, log).catch((error: unknown) => {
      log.error("a call could not be answered", { reason: messageOf(error) });
      response.destroy();
    });
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await opened(server, ADDRESSES[host] ?? host, port).catch((error: unknown) => {
    throw new Error(
      `cannot listen on ${host}:${port}: ${messageOf(error)}; --rp_api_host and --rp_api_port name another address`,
    );
  });
  const address = server.address();
  const taken = typeof address === "object" && address !== null ? address.port : port;
  return { url: `http://${host.includes(":") ? `[${host}]` : host}:${taken}`, close: () => close(server) };
}

function opened(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  await Promise.race([closed, sleep(CLOSE_MAX_MS, undefined, { ref: false })]);
  server.closeAllConnections();
}

async function answer(request: IncomingMessage, response: ServerResponse, served: Served, log: Log): Promise<void> {
  const requestId = randomUUID();
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort();
  });
  const call: Omit<LocalCall, "path" | "base"> = {
    method: request.method ?? "GET",
    url: urlOf(request.url ?? "/"),
    headers: headersOf(request),
    readBody: (maxBytes) => readBody(request, maxBytes),
    gone: gone.signal,
  };
  const answered = await answerCall(call, served).catch((error: unknown) => {
    log.error("a call has failed by a fault of this server", { requestId, reason: String(error) });
    return jsonAnswer(500, { error: "internal error", message: `see the log of request ${requestId}` });
  });
  await write(response, answered, { requestId, isHead: call.method === "HEAD" });
}

/** Only path and query matter. What is no address is the root, where nothing is. */
function urlOf(target: string): URL {
  try {
    return new URL(target.startsWith("/") ? `http://local${target}` : target);
  } catch {
    return new URL("http://local/");
  }
}

function headersOf(request: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(request.headersDistinct)) {
    for (const value of values) headers.append(name, value);
  }
  return headers;
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array | null> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request.iterator({ destroyOnReturn: false })) {
    bytes += piece.length;
    if (bytes > maxBytes) return null;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

async function write(
  response: ServerResponse,
  { status, headers, body }: LocalAnswer,
  { requestId, isHead }: { readonly requestId: string; readonly isHead: boolean },
): Promise<void> {
  response.writeHead(status, {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "x-request-id": requestId,
    ...headers,
    ...(typeof body === "string" || body instanceof Uint8Array ? { "content-length": Buffer.byteLength(body) } : {}),
  });
  if (body === null || isHead) {
    response.end();
  } else if (typeof body === "string" || body instanceof Uint8Array) {
    response.end(body);
  } else {
    response.flushHeaders();
    for await (const piece of body) {
      if (response.destroyed) break;
      if (piece.length > 0 && !response.write(piece)) await drained(response);
    }
    response.end();
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      response.off("drain", settle);
      response.off("close", settle);
      resolve();
    };
    response.on("drain", settle);
    response.on("close", settle);
  });
}
