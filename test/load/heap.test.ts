// The largest bodies, one after the other: the Worker holds none of them once they have passed.
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { RESULT_MAX_BYTES, RUN_BODY_MAX_BYTES, RUNSYNC_BODY_MAX_BYTES } from "../../src/core/limits.ts";
import { finishJob, type RunningBroker, startBroker } from "../running/broker.ts";
import { type MockWorker, rawInput, startMockWorker } from "../running/mock-worker.ts";
import { takePort } from "../running/port.ts";
import { digest, fragileJson, rawOutput, requestOf } from "./bodies.ts";
import { collectedHeap } from "./heap.ts";

const GROWN_MAX_BYTES = 16 * 1024 * 1024;
const ROUNDS = 5;

let reader: MockWorker;
let writer: MockWorker;
let broker: RunningBroker;
let inspectorPort: number;

beforeAll(async () => {
  reader = await startMockWorker(async (body) => JSON.stringify({ sha256: digest(rawInput(body)) }));
  writer = await startMockWorker(async () => fragileJson(RESULT_MAX_BYTES));
  inspectorPort = await takePort();
  const endpoints = {
    "heap-in": { url: reader.url, dialect: "http", slots: 1, credential: null },
    "heap-out": { url: writer.url, dialect: "http", slots: 1, credential: null },
  } as const;
  broker = await startBroker(endpoints, { inspectorPort });
});

afterAll(async () => {
  await broker?.stop();
  await Promise.all([reader?.stop(), writer?.stop()]);
});

async function run(slug: string, body: Buffer | string): Promise<Buffer> {
  const answer = await (await broker.call(`/v2/${slug}/run`, body)).json();
  return finishJob(broker, slug, z.object({ id: z.string() }).parse(answer).id);
}

/** 10 MiB by /run, 20 MiB by /runsync, and a result of 95 MiB. */
async function round(): Promise<void> {
  const large = requestOf(RUN_BODY_MAX_BYTES);
  expect(JSON.parse((await run("heap-in", large.body)).toString())).toMatchObject({
    output: { sha256: digest(large.input) },
  });
  const larger = requestOf(RUNSYNC_BODY_MAX_BYTES);
  const sync = await broker.call("/v2/heap-in/runsync?wait=60000", larger.body);
  expect(await sync.json()).toMatchObject({ output: { sha256: digest(larger.input) } });
  expect(rawOutput(await run("heap-out", '{"input":1}')).length).toBe(RESULT_MAX_BYTES);
}

it("grows V8's heap by less than 16 MiB over five rounds after a warm-up", async () => {
  await round();
  const before = await collectedHeap(inspectorPort);
  for (let done = 0; done < ROUNDS; done += 1) await round();
  const after = await collectedHeap(inspectorPort);
  const grownBytes = after.usedBytes + after.backingBytes - before.usedBytes - before.backingBytes;
  console.info(`heap after a collection: ${before.usedBytes + before.backingBytes} bytes, grown by ${grownBytes}`);
  expect(grownBytes).toBeLessThan(GROWN_MAX_BYTES);
});
