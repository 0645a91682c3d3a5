// Each end of a stream, from a server that sends it in each way: the job's status, the client's last event, and the bill.
import { createServer, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { type DirectBroker, startDirectBroker } from "./direct-broker.ts";
import { FORMATS, STREAM_CASES, type StreamFormat } from "./stream-faults.ts";

const POLL_MS = 100;
const DONE = "data: [DONE]";
const modelSchema = z.object({ model: z.string() });
const statusSchema = z.object({ status: z.string(), error: z.unknown().optional() });
const lineSchema = z.object({ jobId: z.string(), tokens: z.looseObject({}) });
const usageSchema = z.object({ lines: z.array(lineSchema), next: z.string().nullish() });

let server: Server;
let broker: DirectBroker;

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const { model } = modelSchema.parse(JSON.parse(Buffer.concat(pieces).toString()));
    await sendStream(response, JSON.parse(model));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server got no port");
  const upstream = { url: `http://127.0.0.1:${address.port}`, dialect: "openai", slots: 8, credential: null } as const;
  broker = await startDirectBroker({ streams: { upstream, openaiRoutes: "all" } });
});

afterAll(async () => {
  await broker?.stop();
  server?.close();
  server?.closeAllConnections();
});

interface Wanted {
  readonly name: string;
  readonly format: StreamFormat;
  readonly isDone: boolean;
}

async function sendStream(response: ServerResponse, { name, format, isDone }: Wanted): Promise<void> {
  const text = `${STREAM_CASES[name]?.text ?? ""}${isDone ? `${DONE}\n\n` : ""}`;
  const bytes = Buffer.from(format === "crlf" ? text.replaceAll("\n", "\r\n") : text);
  const coding = format === "gzip" ? { "content-encoding": "gzip" } : {};
  response.writeHead(200, { "content-type": "text/event-stream", ...coding });
  response.socket?.setNoDelay(true);
  if (format === "single bytes") {
    for (const [at] of bytes.entries()) {
      response.write(bytes.subarray(at, at + 1));
      // A turn of its own for some, so that they do not leave together.
      if (at % 50 === 0) await sleep(1);
    }
    response.end();
  } else response.end(format === "gzip" ? gzipSync(bytes) : bytes);
}

function call(path: string, body?: object): Promise<Response> {
  const headers = { authorization: `Bearer ${broker.key}`, "content-type": "application/json" };
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return fetch(`${broker.url}${path}`, { headers, ...init });
}

async function usageOf(jobId: string): Promise<object | null> {
  const { lines } = usageSchema.parse(await (await call("/v1/usage?limit=1000")).json());
  return lines.find((line) => line.jobId === jobId)?.tokens ?? null;
}

const table = Object.entries(STREAM_CASES).flatMap(([name, expected]) =>
  FORMATS.flatMap((format) => [false, true].map((isDone) => ({ name, format, isDone, expected }))),
);

describe("the end of a stream", () => {
  it.concurrent.each(table)("$name, in $format, with [DONE]: $isDone", async ({ name, format, isDone, expected }) => {
    const { status, last, tokens } = (isDone ? expected.withDone : null) ?? expected;
    const model = JSON.stringify({ name, format, isDone });
    const answer = await call(`/v2/streams/openai${expected.path}`, { model, stream: true });
    expect(answer.status).toBe(200);
    const events = (await answer.text()).split(/\r?\n\r?\n/).filter((text) => text.trim() !== "");
    const isClosed = events.at(-1) === DONE;
    expect(events.at(isClosed ? -2 : -1)).toContain(last);
    // A broken chat must not look like a whole one.
    expect(isClosed).toBe(
      last.includes("ended before")
        ? false
        : isDone || (status === "COMPLETED" && expected.path === "/v1/chat/completions"),
    );
    const id = answer.headers.get("x-job-id") ?? "";
    const job = statusSchema.parse(await (await call(`/v2/streams/status/${id}`)).json());
    expect(job.status).toBe(status);
    if (status === "FAILED") expect(String(job.error)).toMatch(/boom|ended before its last event/);
    for (let tries = 0; tokens !== null && (await usageOf(id)) === null && tries < 100; tries += 1)
      await sleep(POLL_MS);
    if (tokens === null) expect(await usageOf(id)).toBeNull();
    else expect(await usageOf(id)).toMatchObject(tokens);
  });
});
