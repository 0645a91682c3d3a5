// The upstream of the bench, a process of its own so that its work is not the client's. It says of each answer how long it
// took itself, because a timer that fires a millisecond late is no cost of the broker's.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { epochUs, type StreamShape } from "./clock.ts";

/** What `POST /work` and `POST /load` take by themselves. */
const WORK_MS = 20;
/** The answer of `/load` is the same each time: what this process does for a call is a bound of the part `load`. */
const LOAD_ANSWER = Buffer.from('{"done":true}');
const LOAD_HEADERS = { "Content-Type": "application/json", "Content-Length": String(LOAD_ANSWER.length) };

/** `model` names the shape of the stream, so that a request has standard fields only. */
const chatSchema = z.object({ model: z.string().regex(/^bench-\d+-\d+-\d+$/) });

const server = createServer((request, response) => {
  if (request.url === "/load") return answerLoad(request, response);
  answer(request, response).catch((error: unknown) => {
    if (!response.headersSent) response.writeHead(500);
    response.end(JSON.stringify({ error: String(error) }));
  });
});
// Longer than a part of the bench: a connection that ends between two calls would be measured as a cost.
server.keepAliveTimeout = 120_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) process.send?.({ port: address.port });
});
// The bench has ended, by whatever means.
process.once("disconnect", () => process.exit(0));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const arrivedUs = epochUs();
  if (request.url === "/work") return work(response, arrivedUs);
  if (request.url !== "/v1/chat/completions") {
    response.writeHead(404).end(JSON.stringify({ error: `there is no ${request.url} here` }));
    return;
  }
  const { model } = chatSchema.parse(JSON.parse(Buffer.concat(chunks).toString("utf8")));
  const [firstMs = 0, chunkCount = 0, paceMs = 0] = model.split("-").slice(1).map(Number);
  await stream(response, arrivedUs, model, { firstMs, chunkCount, paceMs });
}

/** As `work`, with as little of its own as can be. */
function answerLoad(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  request.once("end", () => setTimeout(() => response.writeHead(200, LOAD_HEADERS).end(LOAD_ANSWER), WORK_MS));
}

async function work(response: ServerResponse, arrivedUs: number): Promise<void> {
  await sleep(WORK_MS);
  const headers = { "Content-Type": "application/json" };
  response.writeHead(200, headers).end(JSON.stringify({ ownUs: epochUs() - arrivedUs }));
}

/** OpenAI's stream. Each delta says when it was sent and how long after the request that was: `<epoch µs>/<µs>`. */
async function stream(response: ServerResponse, arrivedUs: number, model: string, shape: StreamShape): Promise<void> {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  const created = Math.floor(arrivedUs / 1_000_000);
  const frame = (delta: object, finish: string | null) => {
    const choices = [{ index: 0, delta, finish_reason: finish }];
    return `data: ${JSON.stringify({ id: "chatcmpl-bench", object: "chat.completion.chunk", created, model, choices })}\n\n`;
  };
  for (let n = 0; n < shape.chunkCount; n += 1) {
    await sleep(n === 0 ? shape.firstMs : shape.paceMs);
    if (response.destroyed) return;
    const sentUs = epochUs();
    response.write(frame({ content: `${sentUs}/${sentUs - arrivedUs}` }, null));
  }
  response.end(`${frame({}, "stop")}data: [DONE]\n\n`);
}
