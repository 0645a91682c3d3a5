// One request of a server: what came over node:http goes to the app as a Request, and its Response back, both as
// streams.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Log } from "./log.ts";
import { Upload } from "./upload.ts";

/** Answers a request, as that of Hono, of Workers and of other servers does. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

/** Whose values are for one connection, which is not the app's. */
const OF_THE_CONNECTION = new Set(["connection", "keep-alive", "transfer-encoding"]);

/** Resolves when the answer is sent, or the client has gone. `isLast`: the connection is to close behind the answer. */
export async function exchange(
  handler: FetchHandler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { log, isLast }: { readonly log: Log; readonly isLast: () => boolean },
): Promise<void> {
  const left = new AbortController();
  const upload = hasBody(incoming) ? new Upload(incoming) : null;
  const request = requestOf(incoming, upload, left.signal);
  outgoing.once("close", () => {
    // A Request of Node's that was collected does not pass the signal on, and an app may have kept nothing else: this
    // listener keeps it.
    const isTold = request?.signal.aborted === true;
    if (!outgoing.writableFinished && !isTold) left.abort(goneError());
  });
  try {
    if (request === null) {
      refuse(outgoing, 400, "the request is not one that the app can be given", isLast());
      return;
    }
    const answer = await handler(request);
    if (!isResponse(answer)) throw new TypeError("the app has to return a Response");
    await send(answer, outgoing, request.method === "HEAD", isLast);
  } catch (error) {
    // What a handler throws after that is how it ends, and nobody is there to be told.
    if (left.signal.aborted) return;
    const { method = "", url = "" } = incoming;
    // No parameters: they may hold a secret of the client's.
    log.error("the app failed", { method, path: url.replace(/\?.*/s, ""), reason: shownError(error) });
    // What was sent of the answer cannot be taken back: a connection that breaks off does not pass for its end.
    if (outgoing.headersSent) outgoing.destroy();
    else refuse(outgoing, 500, "the worker failed", isLast());
  } finally {
    upload?.discard();
  }
}

/** An answer of the server's own. */
export function refuse(outgoing: ServerResponse, status: number, error: string, isLast: boolean): void {
  const headers = { "content-type": "application/json", ...(isLast && { connection: "close" }) };
  outgoing.writeHead(status, headers).end(JSON.stringify({ error }));
}

function hasBody({ method, headers }: IncomingMessage): boolean {
  // A Request of these methods can have none. What comes all the same is dropped by node:http.
  if (method === "GET" || method === "HEAD") return false;
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/** Null: no Request can say that, such as TRACE, or a host that is none. */
function requestOf(incoming: IncomingMessage, upload: Upload | null, signal: AbortSignal): Request | null {
  const { method = "GET", url = "/", rawHeaders } = incoming;
  const host = incoming.headers.host ?? "localhost";
  if (!url.startsWith("/") || /[\s/?#@\\]/.test(host)) return null;
  const headers = new Headers();
  const body = upload === null ? {} : { body: upload.stream, duplex: "half" as const };
  try {
    for (let at = 0; at < rawHeaders.length; at += 2) headers.append(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "");
    return new Request(`http://${host}${url}`, { method, headers, signal, ...body });
  } catch {
    return null;
  }
}

/** By its shape: an app may bring a Response of its own instead of Node's. */
function isResponse(answer: unknown): answer is Response {
  return typeof answer === "object" && answer !== null && "status" in answer && "headers" in answer;
}

async function send(answer: Response, outgoing: ServerResponse, isHead: boolean, isLast: () => boolean): Promise<void> {
  const reader = answer.body?.getReader();
  const cancel = (reason: unknown) => reader?.cancel(reason).catch(() => undefined);
  // A client that goes ends the app's stream, and with it a read that waits.
  const leave = () => void cancel(goneError());
  if (outgoing.destroyed) return leave();
  outgoing.once("close", leave);
  try {
    const headers = [...answer.headers].filter(([name]) => !OF_THE_CONNECTION.has(name));
    if (isLast()) headers.push(["connection", "close"]);
    outgoing.writeHead(answer.status, answer.statusText || undefined, headers.flat());
    if (reader !== undefined && !isHead) await sendBody(reader, outgoing);
    await end(outgoing);
  } catch (error) {
    await cancel(error);
    throw error;
  } finally {
    outgoing.off("close", leave);
  }
  if (isHead) await cancel(undefined);
}

async function sendBody(reader: ReadableStreamDefaultReader<Uint8Array>, outgoing: ServerResponse): Promise<void> {
  // The headers of a stream go out before its first chunk, unless that comes at once.
  const flushing = setImmediate(() => outgoing.flushHeaders());
  try {
    for (let next = await reader.read(); !next.done && !outgoing.destroyed; next = await reader.read()) {
      clearImmediate(flushing);
      if (!outgoing.write(next.value)) await untilDrained(outgoing);
    }
  } finally {
    clearImmediate(flushing);
  }
}

/** Resolves when the last byte was given to the system, or the connection is gone. */
function end(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (outgoing.destroyed) return resolve();
    outgoing.once("close", resolve).end();
  });
}

function untilDrained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      outgoing.off("drain", go).off("close", go);
      resolve();
    };
    outgoing.on("drain", go).on("close", go);
    if (outgoing.destroyed) go();
  });
}

function goneError(): DOMException {
  return new DOMException("the client has gone", "AbortError");
}

function shownError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? `${error.name}: ${error.message}`) : String(error);
}
