// The client of the bench: one POST on a connection that is kept, and the times of its answer. All routes are measured with it,
// so what it costs itself is in all figures alike.
import { Agent, type IncomingMessage, request } from "node:http";
import * as z from "zod";
import { epochUs } from "./clock.ts";

/** A route: where it is, and what makes a call of it. */
export interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What one call cost beside the upstream's own time, ms. */
export interface StreamTimes {
  /** From the call to its first chunk, less the upstream's own time to it. */
  readonly firstAddedMs: number;
  /** Of each later chunk, from its sending by the upstream to its arrival. */
  readonly transitsMs: readonly number[];
  /** From the call to the end of its answer. */
  readonly totalMs: number;
}

const answerSchema = z.object({ ownUs: z.number() });
const jobSchema = z.object({ status: z.literal("COMPLETED"), output: answerSchema }).transform(({ output }) => output);
const workSchema = z.union([jobSchema, answerSchema]);

/** A figure of the upstream's in a chunk: when it was sent, and how long after the request had arrived. */
const MARK = /"content":"(\d+)\/(\d+)"/g;

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

/** Closes the kept connections. */
export function closeConnections(): void {
  agent.destroy();
}

/** One call; how much longer it took than the upstream itself, ms. */
export async function timeCall(target: Target): Promise<number> {
  const startUs = epochUs();
  const response = await post(target);
  const text = await readText(response);
  const totalUs = epochUs() - startUs;
  const parsed = response.statusCode === 200 ? workSchema.safeParse(JSON.parse(text)) : null;
  if (parsed?.success !== true) throw new Error(refusal(target, response, text));
  return (totalUs - parsed.data.ownUs) / 1_000;
}

/** One streamed call of `chunkCount` chunks. */
export async function timeStream(target: Target, chunkCount: number): Promise<StreamTimes> {
  const startUs = epochUs();
  const response = await post(target);
  if (response.statusCode !== 200) throw new Error(refusal(target, response, await readText(response)));
  const arrivals: { readonly sentUs: number; readonly ownUs: number; readonly atUs: number }[] = [];
  const pieces: string[] = [];
  let unread = "";
  response.setEncoding("utf8");
  response.on("data", (piece: string) => {
    const atUs = epochUs();
    pieces.push(piece);
    unread += piece;
    let readTo = 0;
    for (const mark of unread.matchAll(MARK)) {
      arrivals.push({ sentUs: Number(mark[1]), ownUs: Number(mark[2]), atUs });
      readTo = mark.index + mark[0].length;
    }
    unread = unread.slice(readTo);
  });
  await ended(response);
  const totalMs = (epochUs() - startUs) / 1_000;
  const [first, ...later] = arrivals;
  if (first === undefined || arrivals.length !== chunkCount || !pieces.join("").includes("data: [DONE]")) {
    throw new Error(`${arrivals.length} of ${chunkCount} chunks came: ${refusal(target, response, pieces.join(""))}`);
  }
  return {
    firstAddedMs: (first.atUs - startUs - first.ownUs) / 1_000,
    transitsMs: later.map(({ sentUs, atUs }) => (atUs - sentUs) / 1_000),
    totalMs,
  };
}

function post({ url, headers, body }: Target): Promise<IncomingMessage> {
  const length = { "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    const asked = request(url, { method: "POST", agent, headers: { ...headers, ...length } }, resolve);
    asked.once("error", reject);
    asked.end(body);
  });
}

function ended(response: IncomingMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    response.once("end", resolve);
    response.once("error", reject);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  const pieces: string[] = [];
  response.setEncoding("utf8");
  response.on("data", (piece: string) => pieces.push(piece));
  await ended(response);
  return pieces.join("");
}

function refusal({ url }: Target, { statusCode }: IncomingMessage, text: string): string {
  return `${url} answered ${statusCode}: ${text.slice(0, 500)}`;
}
