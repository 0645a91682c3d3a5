// A client that closes its connection in order while its OpenAI server is silent, seen through real sockets: only a
// write can show that it has gone, and until then nothing of an answer has been written.
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import * as z from "zod";
import { OPENAI_COMMENT_EVERY_MS, OPENAI_SILENT_MAX_MS } from "../../src/core/openai/limits.ts";
import { type DirectBroker, startDirectBroker } from "../running/direct-broker.ts";

/** The first comment finds the connection closed, and the second one fails. */
const NOTICED_MAX_MS = OPENAI_SILENT_MAX_MS + OPENAI_COMMENT_EVERY_MS + 4_000;
const requestsSchema = z.object({ requests: z.array(z.object({ id: z.string(), status: z.string() })) });

let server: Server;
let broker: DirectBroker;
const seen = { calls: 0, left: 0 };

beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume();
    seen.calls += 1;
    response.on("close", () => {
      seen.left += 1;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server got no port");
  const upstream = { url: `http://127.0.0.1:${address.port}`, dialect: "openai", slots: 8, credential: null } as const;
  broker = await startDirectBroker({ silent: upstream });
});

afterAll(async () => {
  await broker?.stop();
  server?.close();
  server?.closeAllConnections();
});

it("is noticed, and its job ends with it", async () => {
  const url = new URL(broker.url);
  const body = JSON.stringify({ model: "m", messages: [], stream: true });
  const socket = connect(Number(url.port), url.hostname);
  socket.write(
    [
      "POST /v2/silent/openai/v1/chat/completions HTTP/1.1",
      `host: ${url.host}`,
      `authorization: Bearer ${broker.key}`,
      "content-type: application/json",
      `content-length: ${body.length}`,
      "",
      body,
    ].join("\r\n"),
  );
  await vi.waitFor(() => expect(seen.calls).toBe(1), { timeout: 10_000 });
  await sleep(200);
  // Nothing has come that could be unread, so that this sends a FIN and no RST.
  socket.destroy();
  const headers = { authorization: `Bearer ${broker.key}` };
  const states = async () => {
    const answer = await fetch(`${broker.url}/v2/silent/requests`, { headers });
    return requestsSchema.parse(await answer.json()).requests.map(({ status }) => status);
  };
  await vi.waitFor(async () => expect(await states()).toEqual(["CANCELLED"]), {
    timeout: NOTICED_MAX_MS,
    interval: 200,
  });
  await vi.waitFor(() => expect(seen.left).toBe(1), { timeout: 5_000 });
});
