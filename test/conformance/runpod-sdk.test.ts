// RunPod's own JavaScript client, unmodified, against a running broker.
import { setTimeout as sleep } from "node:timers/promises";
import runpodSdk from "runpod-sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { type MockWorker, startMockWorker } from "../running/mock-worker.ts";

/** Answers `{ "echo": input }`; an input with `hold` is held until the broker hangs up. */
async function echo(body: Buffer, hungUp: AbortSignal): Promise<string> {
  const job: { input: { hold?: boolean } } = JSON.parse(body.toString("utf8"));
  if (job.input.hold === true && !hungUp.aborted) {
    await new Promise<void>((resolve) => hungUp.addEventListener("abort", () => resolve(), { once: true }));
  }
  return JSON.stringify({ echo: job.input });
}

describe("the runpod-sdk client", () => {
  let worker: MockWorker;
  let broker: RunningBroker;

  beforeAll(async () => {
    worker = await startMockWorker(echo);
    const upstream = { url: worker.url, dialect: "http", credential: null } as const;
    broker = await startBroker({
      "sdk-many": { ...upstream, slots: 10 },
      "sdk-cancel": { ...upstream, slots: 1 },
      "sdk-purge": { ...upstream, slots: 1 },
      "sdk-stream": { workers: {} },
    });
  });

  afterAll(async () => {
    await broker?.stop();
    await worker?.stop();
  });

  function endpoint(slug: string) {
    const found = runpodSdk(broker.key, { baseUrl: `${broker.url}/v2` }).endpoint(slug);
    if (found === null) throw new Error("the client refused the endpoint id");
    return found;
  }

  /** Polls as the client's users do, until the status is the wanted one. */
  async function until(slug: string, id: string, status: string) {
    for (let polls = 0; polls < 200; polls++) {
      const job = await endpoint(slug).status(id);
      if (job.status === status) return job;
      await sleep(50);
    }
    throw new Error(`job ${id} never became ${status}`);
  }

  it("runs a job and reads its result by status", async () => {
    const submitted = await endpoint("sdk-many").run({ input: { word: "run" } });
    expect(submitted).toMatchObject({ status: "IN_QUEUE", id: expect.stringMatching(/^[0-9a-f-]{36}-u1$/) });
    const job = await until("sdk-many", submitted.id, "COMPLETED");
    expect(job).toMatchObject({
      id: submitted.id,
      completed: true,
      succeeded: true,
      output: { echo: { word: "run" } },
      delayTime: expect.any(Number),
      executionTime: expect.any(Number),
    });
  });

  it("waits for a result with runSync", async () => {
    const job = await endpoint("sdk-many").runSync({ input: { word: "runsync" } });
    expect(job).toMatchObject({
      id: expect.stringMatching(/^sync-[0-9a-f-]{36}-u1$/),
      status: "COMPLETED",
      succeeded: true,
      output: { echo: { word: "runsync" } },
    });
  });

  it("waits for a running job with statusSync", async () => {
    const submitted = await endpoint("sdk-many").run({ input: { word: "status-sync" } });
    const job = await endpoint("sdk-many").statusSync(submitted.id, 20_000);
    expect(job).toMatchObject({ status: "COMPLETED", output: { echo: { word: "status-sync" } } });
  });

  it("cancels a running job, and the worker is hung up on", async () => {
    const submitted = await endpoint("sdk-cancel").run({ input: { hold: true } });
    await until("sdk-cancel", submitted.id, "IN_PROGRESS");
    expect(await endpoint("sdk-cancel").cancel(submitted.id)).toMatchObject({ id: submitted.id, status: "CANCELLED" });
    expect(await endpoint("sdk-cancel").status(submitted.id)).toMatchObject({ status: "CANCELLED", completed: true });
    await expect.poll(() => worker.inFlight(), { timeout: 30_000 }).toBe(0);
  });

  it("purges the waiting jobs and counts them in health", async () => {
    const running = await endpoint("sdk-purge").run({ input: { hold: true } });
    await until("sdk-purge", running.id, "IN_PROGRESS");
    const waiting = await Promise.all([1, 2, 3].map((n) => endpoint("sdk-purge").run({ input: { n } })));
    const before = await endpoint("sdk-purge").health();
    expect(before.jobs).toMatchObject({ inProgress: 1, inQueue: 3, completed: 0, failed: 0 });
    expect(Object.keys(before.workers).sort()).toEqual([
      "idle",
      "initializing",
      "ready",
      "running",
      "throttled",
      "unhealthy",
    ]);
    expect(await endpoint("sdk-purge").purgeQueue()).toEqual({ removed: 3, status: "completed" });
    expect((await endpoint("sdk-purge").health()).jobs).toMatchObject({ inProgress: 1, inQueue: 0 });
    for (const job of waiting) {
      expect(await endpoint("sdk-purge").status(job.id)).toMatchObject({ status: "CANCELLED" });
    }
    await endpoint("sdk-purge").cancel(running.id);
  });

  it("streams what a handler yields, to the end of the job", async () => {
    const { id } = await endpoint("sdk-stream").run({ input: { count: 3 } });
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const chunk of endpoint("sdk-stream").stream(id)) seen.push(chunk);
    })();
    const tell = await takeAsWorker();
    await tell("job-stream", { output: "t1" });
    // Before the next is told, so that it cannot have waited for the end.
    await expect.poll(() => seen).toEqual([{ output: "t1" }]);
    await tell("job-stream", { output: { text: "t2" } });
    await tell("job-stream", { output: 3 });
    await tell("job-done", { output: [] });
    await reading;
    expect(seen).toEqual([{ output: "t1" }, { output: { text: "t2" } }, { output: 3 }]);
    expect(await endpoint("sdk-stream").status(id)).toMatchObject({ output: ["t1", { text: "t2" }, 3] });
  });

  /** Takes the waiting job as a pulling worker does, and gives back what tells the broker of it. */
  async function takeAsWorker() {
    const { endpointId, key } = broker.workerKeys["sdk-stream"] ?? { endpointId: "", key: "" };
    const base = `${broker.url}/v2/${endpointId}`;
    const headers = { Authorization: key };
    const taken = await fetch(`${base}/job-take/w1?gpu=X&job_in_progress=0`, { headers });
    const { id } = z.object({ id: z.string() }).parse(await taken.json());
    return async (route: "job-stream" | "job-done", body: object): Promise<void> => {
      const url = `${base}/${route}/w1/${id}?gpu=X&isStream=${route === "job-done"}`;
      const told = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
      expect(told.status).toBe(200);
    };
  }
});
