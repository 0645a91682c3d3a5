// A load-balanced endpoint without a worker, with a real broker, a real agent and real worker processes of the project's own SDK: its first
// request waits for the first process, many at once bring more of them, and none is left when nobody calls.
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { AgentFolder, isRunning, SECRET } from "../commands/running-agent.ts";
import { callBroker, type RunningBroker, startBroker } from "../running/broker.ts";

const IMAGE = "waybill/lb-fleet";
const GPU_TYPE = "NVIDIA RTX A4000";
const IDLE_SECONDS = 3;
const WORKERS_MAX = 3;

const withId = z.looseObject({ id: z.string() });
const workersSchema = z.looseObject({
  workers: z.array(z.looseObject({ id: z.string(), state: z.string(), running: z.int() })),
});
const usageSchema = z.looseObject({
  lines: z.array(z.looseObject({ jobId: z.string() })),
});

let broker: RunningBroker;
let folder: AgentFolder;
let endpointId: string;

async function ask(path: string, body?: object): Promise<unknown> {
  const response = await broker.call(path, body === undefined ? undefined : JSON.stringify(body));
  const answer: unknown = await response.json();
  expect(response.status, JSON.stringify(answer)).toBeLessThan(300);
  return answer;
}

beforeAll(async () => {
  folder = new AgentFolder();
  const worker = { program: process.execPath, args: [join(import.meta.dirname, "lb-fleet-worker.ts")] };
  folder.configure({ [IMAGE]: worker });
  broker = await startBroker({});
});

afterAll(async () => {
  await broker?.stop();
  await folder?.close();
});

async function makePlace(): Promise<void> {
  const agent = await folder.start();
  const provider = withId.parse(
    await ask("/v1/providers", {
      ...{ name: "agent", kind: "local", url: agent.url, credential: SECRET },
      offers: [{ gpuTypeId: GPU_TYPE, pricePerHour: "0.10" }],
    }),
  );
  const endpoint = await ask("/v1/endpoints", {
    ...{ slug: "lb-fleet", type: "LOAD_BALANCER", image: IMAGE, gpu: { pools: ["AMPERE_16"] } },
    ...{ providers: [provider.id], workers: { min: 0, max: WORKERS_MAX, idleTimeout: IDLE_SECONDS } },
    scaling: { type: "REQUEST_COUNT", requestCount: 1 },
  });
  endpointId = withId.parse(endpoint).id;
}

/** One request, and the process that has answered it. */
async function call(ms: number): Promise<number> {
  const response = await callBroker(`${broker.url}/lb/lb-fleet/work?ms=${ms}`, broker.key);
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return z.object({ pid: z.int() }).parse(JSON.parse(text)).pid;
}

/** How many requests stand in the bill. */
async function billedRequests(): Promise<number> {
  return usageSchema.parse(await ask("/v1/usage?limit=100")).lines.length;
}

async function workers() {
  return workersSchema.parse(await ask(`/v1/endpoints/${endpointId}/workers`)).workers;
}

it("goes from no worker to as many as its requests need and back to none, and bills each request once", async () => {
  await makePlace();
  expect(await workers()).toEqual([]);
  const first = await call(0);

  const pids = new Set(await Promise.all(Array.from({ length: 12 }, () => call(1_500))));
  expect(pids.size).toBe(WORKERS_MAX);
  expect(await workers()).toHaveLength(WORKERS_MAX);

  const machines = (await workers()).map(({ id }) => id).sort();

  await expect.poll(() => [first, ...pids].filter(isRunning), { timeout: 40_000, interval: 250 }).toEqual([]);
  // They are stopped, not ended, and one of them is started again before another one is made.
  expect(pids.has(await call(0))).toBe(false);
  expect((await workers()).map(({ id }) => id).sort()).toEqual(machines);

  await expect.poll(billedRequests, { timeout: 40_000, interval: 500 }).toBe(14);
});
