// A running broker and its jobs: as many at once as there are slots and never one more, and clients that hang up.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { callBroker, type RunningBroker, startBroker } from "./broker.ts";
import { type MockWorker, rawInput, startMockWorker } from "./mock-worker.ts";

const jobIdOf = z.object({ id: z.string() });

/** Works as long as the job says, in milliseconds. */
async function work(body: Buffer): Promise<string> {
  const job: { input: { workMs: number } } = JSON.parse(body.toString("utf8"));
  await sleep(job.input.workMs);
  return JSON.stringify("done");
}

let wide: MockWorker;
let narrow: MockWorker;
let broker: RunningBroker;
/** Inputs that reached the narrow worker, each as often as it was called with it. */
const received: string[] = [];

beforeAll(async () => {
  wide = await startMockWorker(work);
  narrow = await startMockWorker((body) => {
    received.push(rawInput(body).toString());
    return work(body);
  });
  broker = await startBroker({
    "slots-wide": { url: wide.url, dialect: "http", slots: 50, credential: null },
    "slots-narrow": { url: narrow.url, dialect: "http", slots: 5, credential: null },
  });
});

afterAll(async () => {
  await broker?.stop();
  await Promise.all([wide?.stop(), narrow?.stop()]);
});

describe("the slots of an upstream", () => {
  /** Submits jobs together and resolves with the milliseconds until the last one is COMPLETED. */
  async function runAll(slug: string, count: number, workMs: number): Promise<number> {
    const startMs = Date.now();
    const body = JSON.stringify({ input: { workMs } });
    const ids = await Promise.all(
      Array.from({ length: count }, async () => {
        const answer: { id: string } = await (await broker.call(`/v2/${slug}/run`, body)).json();
        return answer.id;
      }),
    );
    await Promise.all(
      ids.map(async (id) => {
        let status = "";
        while (status !== "COMPLETED") {
          const job: { status: string } = await (await broker.call(`/v2/${slug}/status-sync/${id}?wait=20000`)).json();
          expect(["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]).toContain(job.status);
          status = job.status;
        }
      }),
    );
    return Date.now() - startMs;
  }

  it("run 50 jobs of 5 s within 8 s when there are 50 of them", async () => {
    expect(await runAll("slots-wide", 50, 5_000)).toBeLessThan(8_000);
    expect(wide.maxInFlight()).toBe(50);
  });

  it("never hold more than 5 jobs when there are 5 of them", async () => {
    const tookMs = await runAll("slots-narrow", 15, 1_000);
    expect(narrow.maxInFlight()).toBe(5);
    expect(tookMs).toBeGreaterThanOrEqual(3_000);
  });
});

describe("a client that hangs up", () => {
  /** Posts a job and breaks the connection once the worker has it. */
  async function hangUpOn(route: string, input: string): Promise<void> {
    const hangUp = new AbortController();
    const call = callBroker(`${broker.url}/v2/slots-narrow/${route}`, broker.key, {
      body: `{"input":${input}}`,
      headers: { "Idempotency-Key": input.replace(/\W/g, "") },
      signal: hangUp.signal,
    });
    await expect.poll(() => received.filter((one) => one === input).length, { timeout: 10_000 }).toBe(1);
    hangUp.abort();
    // Its status line has come already.
    await expect(call.then((answer) => answer.text())).rejects.toThrow();
  }

  it.each([
    ["in the middle of its runsync", "runsync?wait=60000", '{"workMs":3000,"who":"a"}'],
    ["just as its runsync ends", "runsync?wait=1000", '{"workMs":1000,"who":"b"}'],
  ])("%s leaves one upstream call and a readable result", async (_, route, input) => {
    await hangUpOn(route, input);
    // The client comes back with the same key: it joins the job that it had left.
    const again = await callBroker(`${broker.url}/v2/slots-narrow/runsync?wait=20000`, broker.key, {
      body: `{"input":${input}}`,
      headers: { "Idempotency-Key": input.replace(/\W/g, "") },
    });
    const answer: unknown = await again.json();
    expect(answer).toMatchObject({ status: "COMPLETED", output: "done" });
    const status = await broker.call(`/v2/slots-narrow/status/${jobIdOf.parse(answer).id}`);
    expect(await status.json()).toMatchObject({ status: "COMPLETED", output: "done" });
    expect(received.filter((one) => one === input)).toHaveLength(1);
  });

  it("in the middle of a status-sync leaves the job to the next reader", async () => {
    const submitted = await broker.call("/v2/slots-narrow/run", '{"input":{"workMs":1500,"who":"c"}}');
    const { id } = jobIdOf.parse(await submitted.json());
    const hangUp = new AbortController();
    const path = `${broker.url}/v2/slots-narrow/status-sync/${id}?wait=20000`;
    const held = callBroker(path, broker.key, { signal: hangUp.signal });
    await expect.poll(() => received.some((one) => one.includes('"c"')), { timeout: 10_000 }).toBe(true);
    hangUp.abort();
    await expect(held).rejects.toThrow();
    expect(await (await callBroker(path, broker.key)).json()).toMatchObject({ status: "COMPLETED", output: "done" });
  });
});
