// Pulling workers at a broker: takes, leases that the worker carries without knowing, losses, cancels.
import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  IDLE_GRACE_MS,
  LOST_IN_A_ROW_MAX,
  UNDELIVERED_MAX,
  WORKER_LEASE_MS,
  WORKER_PING_INTERVAL_MS,
} from "../../../src/core/limits.ts";
import { makeBroker, submission, workerKey } from "../../support/broker.ts";
import { OUTPUT, passTime, pullOnly, statusOf, pullingWorker as worker } from "../../support/pulling-worker.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a take", () => {
  it("brings a waiting job, whose result ends it", async () => {
    const { broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    const job = await w1.takeOne();
    expect(job).toMatchObject({ jobId: call.jobId, input: { kind: "inline" } });
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_PROGRESS", workerId: "w1" });
    expect(await w1.done(call.jobId)).toBe("accepted");
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "COMPLETED", workerId: "w1", retries: 0 });
  });

  it("that is held is answered by a submit at once", async () => {
    const { broker } = await makeBroker(pullOnly);
    const taking = worker(broker, "w1").takeOne();
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(1));
    const call = submission();
    const startedMs = Date.now();
    await broker.submit(call);
    expect((await taking).jobId).toBe(call.jobId);
    expect(Date.now() - startedMs).toBeLessThan(500);
  });

  it("gives no more jobs than the key has slots, whatever the worker asks for", async () => {
    const { broker } = await makeBroker({ ...pullOnly, workerKeys: [workerKey({ id: "key1", slots: 2 })] });
    for (let n = 0; n < 4; n += 1) await broker.submit(submission());
    expect(await worker(broker, "w1").take({ wanted: 4 })).toHaveLength(2);
    expect(await broker.depth({ tenantId: "owner" })).toEqual({ waiting: 2, running: 2 });
  });

  it("whose client has gone gives its job back, uncounted", async () => {
    const { broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    const { jobId, lease } = await w1.takeOne({ pollId: "poll-1" });
    await broker.abandonTake({ ...w1.name, pollId: "poll-1", leases: [{ jobId, lease }] });
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_QUEUE", retries: 0 });
    expect((await worker(broker, "w2").takeOne()).jobId).toBe(call.jobId);
  });

  it("that its client has left is offered no job", async () => {
    const { broker } = await makeBroker(pullOnly);
    const w1 = worker(broker, "w1");
    const taking = w1.take({ pollId: "poll-2" });
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(1));
    await broker.abandonTake({ ...w1.name, pollId: "poll-2", leases: [] });
    expect(await taking).toEqual([]);
    const call = submission();
    await broker.submit(call);
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_QUEUE" });
  });

  it("with a key that the endpoint does not have is refused", async () => {
    const { broker } = await makeBroker(pullOnly);
    const call = { keyId: "other", workerId: "w1", pollId: "p", wanted: 1, idle: true, gpu: null, version: null };
    expect(await broker.takeJobs(call)).toMatchObject({ ok: false, failure: { kind: "unauthorized" } });
  });
});

describe("the fence of worker and job", () => {
  it("calls a large result accepted again when the same report comes once more", async () => {
    const { broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    const output = { kind: "r2", key: `${call.jobId}/output`, sizeBytes: 3 } as const;
    const report = { ...w1.name, jobId: call.jobId, outcome: { kind: "completed", output }, refresh: false } as const;
    expect(await broker.report(report)).toBe("accepted");
    expect(await broker.report(report)).toBe("accepted");
    const other = { ...report, outcome: { kind: "completed", output: { ...output, key: "another" } } } as const;
    expect(await broker.report(other)).toBe("late");
  });

  it("refuses a doubled report, one of another worker, and one under another key", async () => {
    const keys = [workerKey({ id: "key1" }), workerKey({ id: "key2" })];
    const { broker } = await makeBroker({ ...pullOnly, workerKeys: keys });
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    expect(await worker(broker, "w2").done(call.jobId)).toBe("late");
    expect(await worker(broker, "w1", "key2").done(call.jobId)).toBe("late");
    expect(await w1.done(call.jobId)).toBe("accepted");
    expect(await w1.done(call.jobId)).toBe("late");
    expect(await w1.done(submission().jobId)).toBe("unknown_job");
  });

  it("gives a lost job to its former worker only after that has said that it runs nothing", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker({ ...pullOnly, maxAttempts: 5 });
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    // Heartbeats go on, but do not name the job any more.
    vi.setSystemTime(Date.now() + 1_000);
    await w1.ping([call.jobId]);
    await passTime(endpointId, WORKER_LEASE_MS + 1_000);
    await w1.ping();
    await passTime(endpointId, 5_000);
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_QUEUE", retries: 1 });
    const busy = w1.take({ idle: false, pollId: "busy" });
    await passTime(endpointId, 1_000);
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_QUEUE" });
    expect((await w1.takeOne()).jobId).toBe(call.jobId);
    await broker.abandonTake({ ...w1.name, pollId: "busy", leases: [] });
    await busy;
  });
});

describe("a worker that loses its job", () => {
  it("by beginning anew loses it to the next attempt, and after the last one to RunPod's error", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    vi.setSystemTime(Date.now() + IDLE_GRACE_MS);
    const again = w1.takeOne();
    await vi.waitFor(async () => expect(await statusOf(broker, call.jobId)).toMatchObject({ retries: 1 }));
    await passTime(endpointId, 2_500);
    expect((await again).jobId).toBe(call.jobId);
    vi.setSystemTime(Date.now() + IDLE_GRACE_MS);
    void w1.take();
    await vi.waitFor(async () =>
      expect(await statusOf(broker, call.jobId)).toMatchObject({
        status: "FAILED",
        error: "job timed out after 1 retries",
        retries: 1,
      }),
    );
  });

  it("is asked once more when it calls itself idle right after it was handed a job", async () => {
    const { broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    const startedMs = Date.now();
    expect(await w1.take()).toEqual([]);
    expect(Date.now() - startedMs).toBeLessThan(IDLE_GRACE_MS + 1_000);
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_PROGRESS", retries: 0 });
  });

  it("by silence loses it within three heartbeats, and is named for it", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    await passTime(endpointId, 9_000);
    await w1.ping([call.jobId]);
    await passTime(endpointId, WORKER_LEASE_MS - 1_000);
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_PROGRESS" });
    await passTime(endpointId, 1_500);
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_QUEUE", retries: 1 });
    expect(await broker.listWorkers({ tenantId: "owner" })).toMatchObject([
      { id: "w1", state: "UNHEALTHY", reason: "It fell silent while it held a job." },
    ]);
  });

  it("by silence is named for it, though it still called a moment after it got the job", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker(pullOnly);
    await broker.submit(submission());
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    // The first heartbeat of a process and its first take are under way at the same time.
    await passTime(endpointId, 5);
    await w1.ping();
    await passTime(endpointId, WORKER_LEASE_MS - 2);
    expect(await broker.listWorkers({ tenantId: "owner" })).toMatchObject([{ id: "w1", state: "UNHEALTHY" }]);
  });

  it("by silence is named for it, though the edge goes on with a call that it made before", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker(pullOnly);
    await broker.submit(submission());
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    await passTime(endpointId, 25_000);
    // Its client may have gone since, of which the edge was told nothing.
    expect(await broker.awaitStops({ ...w1.name, holdMs: 0, again: true })).toEqual([]);
    await passTime(endpointId, WORKER_LEASE_MS - 25_000 + 500);
    expect(await broker.listWorkers({ tenantId: "owner" })).toMatchObject([{ id: "w1", state: "UNHEALTHY" }]);
  });

  it("that it never showed to have got costs no attempt, a few times", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker({ ...pullOnly, maxAttempts: 1 });
    const call = submission();
    await broker.submit(call);
    for (let lost = 0; lost <= UNDELIVERED_MAX; lost += 1) {
      await worker(broker, `w${lost}`).takeOne();
      expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_PROGRESS", retries: 0 });
      await passTime(endpointId, WORKER_LEASE_MS + 600);
    }
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "FAILED" });
  });

  it("leaves it to a sick peer's place only as long as that peer is sound", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { broker } = await makeBroker({ ...pullOnly, maxAttempts: 5 });
    const sick = worker(broker, "sick");
    await sick.ping();
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    await sick.ping([], "Its fitness check _gpu_check failed.");
    vi.setSystemTime(Date.now() + IDLE_GRACE_MS);
    const again = w1.take({ pollId: "again" });
    await vi.waitFor(async () => expect(await statusOf(broker, call.jobId)).toMatchObject({ retries: 1 }));
    vi.setSystemTime(Date.now() + 5_000);
    await w1.ping();
    expect(await again).toMatchObject([{ jobId: call.jobId }]);
  });

  it("again and again is tried with one job at a time, and every waiting job says why", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { broker } = await makeBroker({ ...pullOnly, maxAttempts: 1 });
    const w1 = worker(broker, "w1");
    for (let lost = 0; lost < LOST_IN_A_ROW_MAX; lost += 1) {
      await broker.submit(submission());
      await w1.takeOne();
      vi.setSystemTime(Date.now() + IDLE_GRACE_MS);
    }
    const call = submission();
    const taking = w1.take({ pollId: "crashed" });
    await vi.waitFor(async () =>
      expect(await broker.listWorkers({ tenantId: "owner" })).toMatchObject([{ state: "UNHEALTHY" }]),
    );
    await broker.submit(call);
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_QUEUE", queue: { reason: "CRASH_LOOP" } });
    await broker.abandonTake({ ...w1.name, pollId: "crashed", leases: [] });
    await taking;
  });

  it("by a second process of its id is told so", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker({ ...pullOnly, maxAttempts: 5 });
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    vi.setSystemTime(Date.now() + 5_000);
    const second = w1.take({ pollId: "second" });
    await vi.waitFor(async () => expect(await statusOf(broker, call.jobId)).toMatchObject({ retries: 1 }));
    // The first one's heartbeat names the job still. It is not told to stop: then nothing would prove that there are two.
    await w1.ping([call.jobId]);
    expect(await broker.awaitStops({ ...w1.name, holdMs: 0 })).toEqual([]);
    expect(await w1.done(call.jobId)).toBe("late");
    expect(await broker.listWorkers({ tenantId: "owner" })).toMatchObject([
      { reason: "Two processes use this worker id: give each its own RUNPOD_POD_ID." },
    ]);
    await broker.abandonTake({ ...w1.name, pollId: "second", leases: [] });
    await second;
    await passTime(endpointId, 5_000);
  });
});

describe("a running job", () => {
  it("shows what its handler tells, until it ends", async () => {
    const { broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    const output = new TextEncoder().encode('"50%"');
    expect(await broker.progress({ ...w1.name, jobId: call.jobId, output })).toBe("accepted");
    expect(await statusOf(broker, call.jobId)).toMatchObject({ output: { kind: "inline", bytes: output } });
    await w1.done(call.jobId);
    expect(await broker.progress({ ...w1.name, jobId: call.jobId, output })).toBe("late");
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "COMPLETED", output: OUTPUT });
  });

  it("that is cancelled is handed to job-stop once, and billed to that moment", async () => {
    const { broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    const stopping = broker.awaitStops({ ...w1.name, holdMs: 5_000 });
    await broker.cancel({ tenantId: "owner", jobId: call.jobId });
    expect(await stopping).toEqual([call.jobId]);
    expect(await broker.awaitStops({ ...w1.name, holdMs: 1 })).toEqual([]);
    expect(await w1.done(call.jobId)).toBe("late");
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "CANCELLED", executionMs: expect.any(Number) });
  });

  it("that is cancelled right after a restart of the broker is handed to job-stop all the same", async () => {
    const { endpointId, broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
    await broker.cancel({ tenantId: "owner", jobId: call.jobId });
    expect(await broker.awaitStops({ ...w1.name, holdMs: 1 })).toEqual([call.jobId]);
  });

  it("that is still named after its stop was told is told once more, for its answer may be lost", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    await broker.cancel({ tenantId: "owner", jobId: call.jobId });
    expect(await broker.awaitStops({ ...w1.name, holdMs: 1 })).toEqual([call.jobId]);
    await w1.ping([call.jobId]);
    vi.setSystemTime(Date.now() + WORKER_PING_INTERVAL_MS + 1);
    await w1.ping([call.jobId]);
    expect(await broker.awaitStops({ ...w1.name, holdMs: 1 })).toEqual([call.jobId]);
  });

  it("is not stopped for a heartbeat that its report has overtaken", async () => {
    const { broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    await w1.done(call.jobId);
    await w1.ping([call.jobId]);
    expect(await broker.awaitStops({ ...w1.name, holdMs: 1 })).toEqual([]);
  });

  it("that was taken away in an earlier life of the broker is stopped when a heartbeat names it", async () => {
    const { endpointId, broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    await broker.cancel({ tenantId: "owner", jobId: call.jobId });
    await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
    await w1.ping([call.jobId]);
    expect(await broker.awaitStops({ ...w1.name, holdMs: 1 })).toEqual([call.jobId]);
  });

  it("that an older worker is never told to stop frees its slot by the next heartbeats", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    await broker.cancel({ tenantId: "owner", jobId: call.jobId });
    const next = submission();
    await broker.submit(next);
    const busy = w1.takeOne({ idle: false });
    await w1.ping();
    expect(await statusOf(broker, next.jobId)).toMatchObject({ status: "IN_QUEUE" });
    vi.setSystemTime(Date.now() + WORKER_PING_INTERVAL_MS + 1);
    await w1.ping();
    expect((await busy).jobId).toBe(next.jobId);
  });

  it("keeps its lease over a restart of the broker when its worker's heartbeats go on", async () => {
    const { endpointId, broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = worker(broker, "w1");
    await w1.takeOne();
    await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
    await w1.ping([call.jobId]);
    expect(await w1.done(call.jobId)).toBe("accepted");
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "COMPLETED", retries: 0, workerId: "w1" });
  });
});
