// Slots against the clock: as many jobs at once as there are slots, and never one more.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningBroker, startBroker } from "./broker.ts";
import { type MockWorker, startMockWorker } from "./mock-worker.ts";

/** Works as long as the job says, in milliseconds. */
async function work(body: Buffer): Promise<string> {
  const job: { input: { workMs: number } } = JSON.parse(body.toString("utf8"));
  await sleep(job.input.workMs);
  return JSON.stringify("done");
}

describe("the slots of an upstream", () => {
  let wide: MockWorker;
  let narrow: MockWorker;
  let broker: RunningBroker;

  beforeAll(async () => {
    wide = await startMockWorker(work);
    narrow = await startMockWorker(work);
    broker = await startBroker({
      "slots-wide": { url: wide.url, dialect: "http", slots: 50, credential: null },
      "slots-narrow": { url: narrow.url, dialect: "http", slots: 5, credential: null },
    });
  });

  afterAll(async () => {
    await broker?.stop();
    await Promise.all([wide?.stop(), narrow?.stop()]);
  });

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
