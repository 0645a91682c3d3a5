// Servers behind an OpenAI route that break HTTP, hang up, bomb or redirect, on real sockets: the client gets one clear 502 with
// a code, in OpenAI's shape, and never a connection that hangs.
import { once } from "node:events";
import { IncomingMessage, request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { type RawWorker, startRawWorker } from "./raw-worker.ts";

const HOSTILE = [
  "/status-999",
  "/status-199",
  "/no-http",
  "/reset-after",
  "/reset-in-the-middle",
  "/closes-empty",
  "/short-of-its-length",
  "/short-of-its-last-chunk",
  "/bad-gzip",
  "/stacked-codings",
  "/endless-header",
  "/endless-headers",
  "/redirect",
  "/breaks-off-late",
  "/bomb",
] as const;

const errorSchema = z.object({
  error: z.object({ message: z.string().min(1), type: z.literal("server_error"), code: z.string().min(1) }),
});

let worker: RawWorker;
let broker: RunningBroker;

beforeAll(async () => {
  worker = await startRawWorker();
  const upstream = { url: worker.url, dialect: "openai", slots: 5, credential: null } as const;
  const endpoint = { upstream, maxAttempts: 1, openaiRoutes: "all" } as const;
  broker = await startBroker(Object.fromEntries([...HOSTILE, "/ok"].map((path) => [slugOf(path), endpoint])));
});

afterAll(async () => {
  await broker?.stop();
  await worker?.stop();
});

/** An endpoint for each: what one does to its upstream's health is not the next one's. */
function slugOf(path: string): string {
  return `openai${path.replaceAll("/", "-")}`;
}

function call(path: string, body: string): Promise<Response> {
  return fetch(`${broker.url}/v2/${slugOf(path)}/openai${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${broker.key}`, "content-type": "application/json" },
    body,
    signal: AbortSignal.timeout(60_000),
  });
}

/** No client that keeps to the Fetch standard sends one. */
async function getWithBody(slug: string): Promise<[number | undefined, string]> {
  const headers = { authorization: `Bearer ${broker.key}`, "content-type": "application/json", "content-length": "2" };
  const sent = request(`${broker.url}/v2/${slug}/openai/v1/models`, { method: "GET", headers });
  sent.end("{}");
  const [answer] = z.tuple([z.instanceof(IncomingMessage)]).parse(await once(sent, "response"));
  return [answer.statusCode, (await answer.toArray()).join("")];
}

describe("a hostile server behind an OpenAI route", () => {
  it.each(HOSTILE)("%s gives its client a 502 with a code", async (path) => {
    // Larger than what a socket takes at once, so that a server can hang up within it.
    const body = JSON.stringify({ messages: [], pad: path === "/reset-in-the-middle" ? "x".repeat(6_000_000) : "" });
    const response = await call(path, body);
    expect([response.status, errorSchema.safeParse(await response.json()).success]).toEqual([502, true]);
    expect(response.headers.get("location")).toBeNull();
  });

  it("is not taken from its clients by a GET with a body, which is refused at once", async () => {
    const started = Date.now();
    expect(await getWithBody(slugOf("/ok"))).toEqual([400, expect.stringContaining('"param":"body"')]);
    expect(Date.now() - started).toBeLessThan(2_000);
    expect((await call("/ok", "{}")).status).toBe(200);
  });

  it("leaves others able to serve", async () => {
    expect(await (await call("/ok", "{}")).text()).toBe("{}");
  });
});
