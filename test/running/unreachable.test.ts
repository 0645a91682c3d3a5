// Upstreams that cannot be reached, each in its own way, with the real network: what a waiting client reads of them.
import { createServer as createPlain } from "node:http";
import type { Server } from "node:net";
import { createServer as createTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { type RunningBroker, startBroker } from "./broker.ts";
import { takePort } from "./port.ts";

const idSchema = z.object({ id: z.string() });
const jobSchema = z.object({
  status: z.string(),
  error: z.string().optional(),
  queue: z.object({ detail: z.string() }).optional(),
});

/** Each serves the handshake of its own protocol alone; the TLS server has no certificate, so its handshakes fail. */
const servers = {
  plain: createPlain((_request, response) => response.end("{}")),
  tls: createTls(() => undefined),
};

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("a server got no port");
  return address.port;
}

describe("an upstream that cannot be reached", () => {
  let broker: RunningBroker;

  beforeAll(async () => {
    const ports = { plain: await portOf(servers.plain), tls: await portOf(servers.tls), closed: await takePort() };
    const urls = {
      "closed-port": `http://127.0.0.1:${ports.closed}/`,
      "no-host": "http://no-such-host.invalid/",
      "tls-to-plain": `https://127.0.0.1:${ports.plain}/`,
      "tls-fails": `https://localhost:${ports.tls}/`,
      "tls-no-host": "https://no-such-host.invalid/",
      "plain-to-tls": `http://127.0.0.1:${ports.tls}/`,
    };
    const endpoint = (url: string) =>
      ({ upstream: { url, dialect: "http", slots: 1, credential: null }, maxAttempts: 1 }) as const;
    broker = await startBroker(Object.fromEntries(Object.entries(urls).map(([slug, url]) => [slug, endpoint(url)])));
  });

  afterAll(async () => {
    await broker?.stop();
    servers.plain.close();
    servers.tls.close();
  });

  it.each([
    ["closed-port", "The upstream could not be reached: the connection was refused."],
    ["no-host", "The upstream could not be reached: its host name was not found."],
    ["tls-to-plain", "The upstream could not be reached: the TLS handshake failed, so it may speak http:"],
    ["tls-fails", "The upstream could not be reached: the TLS handshake failed"],
    ["tls-no-host", "The upstream could not be reached: its host name was not found, or the TLS handshake failed"],
    ["plain-to-tls", "the upstream closed the connection without an answer; it ended, or it speaks https:"],
  ])("at %s is described as what it is", async (slug, words) => {
    const { id } = idSchema.parse(await (await broker.call(`/v2/${slug}/run`, '{"input":1}')).json());
    await vi.waitFor(
      async () => {
        const { error, queue } = jobSchema.parse(await (await broker.call(`/v2/${slug}/status/${id}`)).json());
        expect(error ?? queue?.detail).toContain(words);
      },
      { timeout: 30_000, interval: 200 },
    );
  });
});
