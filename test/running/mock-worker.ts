// A worker of the dialect `http` for tests: each job is posted to it, and its answer is the output.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

export interface MockWorker {
  readonly url: string;
  /** Jobs being worked on now, and the most there ever were at once. */
  inFlight(): number;
  maxInFlight(): number;
  stop(): Promise<void>;
}

/** What a job's handler gets: the raw body that the broker posted, and a signal that ends when the broker hangs up. */
export type Handler = (body: Buffer, hungUp: AbortSignal) => Promise<string | Buffer>;

/** Listens on a free port. What `handle` returns is answered as it is: it must be JSON text. */
export async function startMockWorker(handle: Handler): Promise<MockWorker> {
  let inFlight = 0;
  let maxInFlight = 0;
  const server = createServer((request, response) => {
    inFlight += 1;
    maxInFlight = Math.max(maxInFlight, inFlight);
    void work(handle, request, response).finally(() => {
      inFlight -= 1;
    });
  });
  server.keepAliveTimeout = 75_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the mock worker got no port");
  return {
    url: `http://127.0.0.1:${address.port}/work`,
    inFlight: () => inFlight,
    maxInFlight: () => maxInFlight,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function work(handle: Handler, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hungUp = new AbortController();
  response.once("close", () => hungUp.abort());
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const output = await handle(Buffer.concat(chunks), hungUp.signal);
    response.writeHead(200, { "Content-Type": "application/json" }).end(output);
  } catch (error) {
    if (!response.headersSent) response.writeHead(500).end(JSON.stringify({ error: String(error) }));
  }
}

/**
 * The raw bytes of `input` in a posted job `{"id":…,"input":…}` that has no other fields. The broker may put spaces behind
 * the first brace and before the last one (src/outbound/send-body.ts): they stand around the value and are no part of it.
 */
export function rawInput(body: Buffer): Buffer {
  const mark = Buffer.from('"input":');
  const start = body.indexOf(mark);
  if (start < 0 || body.at(-1) !== "}".charCodeAt(0)) throw new Error("the posted body is not a job with an input");
  let end = body.length - 1;
  while (body.at(end - 1) === " ".charCodeAt(0)) end -= 1;
  return body.subarray(start + mark.length, end);
}
