// Large bodies that are refused before they are whole: their senders read the answer, each time. A connection that is closed while
// its client still sends loses the answer, but not always: hence the repetition.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { REST_MAX_MS } from "../../src/core/limits.ts";
import { callBroker, startBroker, type TestEndpoints } from "../running/broker.ts";
import { startDirectBroker } from "../running/direct-broker.ts";

const MIB = 1024 * 1024;
const TIMES = 20;
const NO_JSON = new Uint8Array(9 * MIB).fill("x".charCodeAt(0));
const TOO_LARGE = new Blob(['{"input":"', new Uint8Array(15 * MIB).fill("x".charCodeAt(0)), '"}']);
const ENDPOINTS: TestEndpoints = {
  "refused-jobs": { workers: {} },
  "refused-chats": { upstream: { url: "http://127.0.0.1:1", dialect: "openai", slots: 1, credential: null } },
};

describe.each([
  { through: "the development proxy", start: startBroker },
  { through: "no proxy", start: startDirectBroker },
])("an upload through $through", ({ start }) => {
  let broker: Awaited<ReturnType<typeof start>>;

  beforeAll(async () => {
    broker = await start(ENDPOINTS);
  });

  afterAll(async () => {
    await broker?.stop();
  });

  async function post(path: string, body: Uint8Array<ArrayBuffer> | ReadableStream, key = broker.key): Promise<string> {
    const init = { method: "POST", headers: { authorization: `Bearer ${key}` }, body, duplex: "half" as const };
    const response = await fetch(`${broker.url}${path}`, init);
    return `${response.status} ${await response.text()}`;
  }

  it.each([
    ["/v2/refused-jobs/run", NO_JSON, "400", "unexpected character at byte 0"],
    ["/v2/refused-jobs/runsync", NO_JSON, "400", "unexpected character at byte 0"],
    ["/v2/refused-chats/openai/v1/chat/completions", NO_JSON, "400", "unexpected character at byte 0"],
    ["/v2/refused-jobs/run", TOO_LARGE, "413", "at most 10485760 bytes"],
    ["/v2/no-such-endpoint/run", NO_JSON, "404", "no such endpoint"],
  ])("to %s has its answer", async (path, bytes, status, text) => {
    for (let time = 0; time < TIMES; time += 1) {
      const answer = await post(path, bytes instanceof Blob ? bytes.stream() : bytes);
      expect(answer).toMatch(new RegExp(`^${status} .*${text}`));
    }
  });

  it("with a wrong key has its answer", async () => {
    for (let time = 0; time < TIMES; time += 1) {
      expect(await post("/v2/refused-jobs/run", NO_JSON, "wrong")).toMatch(/^401 /);
    }
  });

  it("that stops in its middle has its answer soon", async () => {
    const start = (controller: ReadableStreamDefaultController): void => controller.enqueue(new Uint8Array(1_000));
    const startedMs = Date.now();
    expect(await post("/v2/refused-jobs/run", new ReadableStream({ start }), "wrong")).toMatch(/^401 /);
    expect(Date.now() - startedMs).toBeLessThan(REST_MAX_MS + 3_000);
  });

  it("that never ends has its answer soon", async () => {
    const pull = async (controller: ReadableStreamDefaultController): Promise<void> => {
      await sleep(10);
      controller.enqueue(new Uint8Array(1_000));
    };
    const startedMs = Date.now();
    expect(await post("/v2/refused-jobs/run", new ReadableStream({ pull }))).toMatch(/^400 /);
    expect(Date.now() - startedMs).toBeLessThan(REST_MAX_MS + 3_000);
    expect((await callBroker(`${broker.url}/v2/refused-jobs/health`, broker.key)).status).toBe(200);
  });
});
