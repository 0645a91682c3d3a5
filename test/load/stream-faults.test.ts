// Each end of a stream, from a server that sends it in each way: the job's status, the client's last event, and the bill.
import { createServer, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { type DirectBroker, startDirectBroker } from "../running/direct-broker.ts";
import { BROKE_OFF, FORMATS, STREAM_CASES, type StreamCase, type StreamFormat } from "./stream-faults.ts";

/** As many streams at once as the upstream has slots. */
const AT_ONCE = 8;
const DONE = "data: [DONE]";
const modelSchema = z.object({ model: z.string() });
const statusSchema = z.object({ status: z.string(), error: z.unknown().optional() });
const lineSchema = z.object({ jobId: z.string(), tokens: z.looseObject({}) });
const usageSchema = z.object({ lines: z.array(lineSchema), next: z.string().nullish() });

interface Wanted {
  readonly name: string;
  readonly format: StreamFormat;
  readonly isDone: boolean;
}

/** What came of one stream. */
interface Ended {
  readonly status: number;
  readonly jobId: string;
  readonly events: readonly string[];
  readonly job: z.infer<typeof statusSchema>;
}

const table = Object.entries(STREAM_CASES).flatMap(([name, expected]) =>
  FORMATS.flatMap((format) => [false, true].map((isDone) => ({ name, format, isDone, expected }))),
);
const ended = new Map<string, Ended>();
let lines: readonly z.infer<typeof lineSchema>[] = [];
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
  const url = `http://127.0.0.1:${address.port}`;
  const upstream = { url, dialect: "openai", slots: AT_ONCE, credential: null } as const;
  broker = await startDirectBroker({ streams: { upstream, openaiRoutes: "all" } });
  const left = [...table];
  const caller = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) ended.set(keyOf(next), await stream(next));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
  const billed = table.filter((one) => expectedOf(one).tokens !== null).length;
  await vi.waitFor(
    async () => {
      lines = usageSchema.parse(await (await call("/v1/usage?limit=1000")).json()).lines;
      expect(lines.length).toBeGreaterThanOrEqual(billed);
    },
    { timeout: 20_000, interval: 200 },
  );
});

afterAll(async () => {
  await broker?.stop();
  server?.close();
  server?.closeAllConnections();
});

async function sendStream(response: ServerResponse, { name, format, isDone }: Wanted): Promise<void> {
  const text = `${STREAM_CASES[name]?.text ?? ""}${isDone ? `${DONE}\n\n` : ""}`;
  const bytes = Buffer.from(format === "crlf" ? text.replaceAll("\n", "\r\n") : text);
  const coding = format === "gzip" ? { "content-encoding": "gzip" } : {};
  response.writeHead(200, { "content-type": "text/event-stream", ...coding });
  response.socket?.setNoDelay(true);
  if (format !== "single bytes") return void response.end(format === "gzip" ? gzipSync(bytes) : bytes);
  for (const [at] of bytes.entries()) {
    response.write(bytes.subarray(at, at + 1));
    // Now and then a turn of its own, so that the bytes do not leave together.
    if (at % 50 === 0) await sleep(1);
  }
  response.end();
}

function call(path: string, body?: object): Promise<Response> {
  const headers = { authorization: `Bearer ${broker.key}`, "content-type": "application/json" };
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return fetch(`${broker.url}${path}`, { headers, ...init });
}

async function stream({ name, format, isDone, expected }: (typeof table)[number]): Promise<Ended> {
  const model = JSON.stringify({ name, format, isDone });
  const answer = await call(`/v2/streams/openai${expected.path}`, { model, stream: true });
  const events = (await answer.text()).split(/\r?\n\r?\n/).filter((text) => text.trim() !== "");
  const jobId = answer.headers.get("x-job-id") ?? "";
  const job = statusSchema.parse(await (await call(`/v2/streams/status/${jobId}`)).json());
  return { status: answer.status, jobId, events, job };
}

function keyOf({ name, format, isDone }: Wanted): string {
  return JSON.stringify([name, format, isDone]);
}

function expectedOf({ isDone, expected }: (typeof table)[number]): Pick<StreamCase, "status" | "last" | "tokens"> {
  return (isDone ? expected.withDone : null) ?? expected;
}

describe("the end of a stream", () => {
  it.each(table)("$name, in $format, with [DONE]: $isDone", (one) => {
    const { status, last, tokens } = expectedOf(one);
    const got = ended.get(keyOf(one));
    expect(got?.status).toBe(200);
    const isClosed = got?.events.at(-1) === DONE;
    expect(got?.events.at(isClosed ? -2 : -1)).toContain(last);
    // A broken chat must not look like a whole one.
    const closesItself = status === "COMPLETED" && one.expected.path === "/v1/chat/completions";
    expect(isClosed).toBe(last === BROKE_OFF ? false : one.isDone || closesItself);
    expect(got?.job.status).toBe(status);
    if (status === "FAILED") expect(String(got?.job.error)).toMatch(/boom|ended before its last event/);
    const ofJob = lines.filter(({ jobId }) => jobId === got?.jobId).map((line) => line.tokens);
    expect(ofJob).toEqual(tokens === null ? [] : [expect.objectContaining(tokens)]);
  });
});
