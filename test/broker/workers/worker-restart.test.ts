// Workers that leave: by a result that asks for their restart, told to end, drained, ill, or without a word. None of them is offered a job, and
// whoever waits for one is told so.
import { afterEach, describe, expect, it, vi } from "vitest";
import { AlarmClock } from "../../../src/broker/alarm.ts";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import { LEAVE_SETTLE_MS, STOP_LET_GO_AFTER_MS, WORKER_QUIET_AFTER_MS } from "../../../src/core/limits.ts";
import { makeBroker, submission, upstream, workerKey } from "../../support/broker.ts";
import { passTime, pullingWorker, pullOnly, statusOf, waitOf, workersOf } from "../../support/pulling-worker.ts";

/** An open poll is answered "at once", on a slow machine too; it would be held 25 s. */
const AT_ONCE_MS = 2_000;
const fourSlots = { upstreams: [], workerKeys: [workerKey({ id: "key1", slots: 4 })] };

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function submitOne(broker: BrokerApi): Promise<string> {
  const call = submission();
  await broker.submit(call);
  return call.jobId;
}

/** A worker of four slots that runs one job and waits for a second one. */
async function halfBusy() {
  const { endpointId, broker } = await makeBroker(fourSlots);
  const w1 = pullingWorker(broker, "w1");
  const first = await submitOne(broker);
  await w1.takeOne();
  const polling = w1.take({ idle: false, wanted: 3 });
  await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(1));
  return { endpointId, broker, w1, first, polling };
}

describe("a worker whose result asks for its restart", () => {
  it("has its open poll answered at once, and the next job waits for another worker", async () => {
    const { broker, w1, first, polling } = await halfBusy();
    const reportedAtMs = Date.now();
    expect(await w1.doneForGood(first)).toBe("accepted");
    const next = await submitOne(broker);
    expect(await polling).toEqual([]);
    expect(Date.now() - reportedAtMs).toBeLessThan(AT_ONCE_MS);
    expect(await statusOf(broker, next)).toMatchObject({ status: "IN_QUEUE" });
    expect(await pullingWorker(broker, "w2").take()).toMatchObject([{ jobId: next }]);
    expect(await statusOf(broker, next)).toMatchObject({ status: "IN_PROGRESS", workerId: "w2", retries: 0 });
  });

  it("is answered after its result is, or a process that ends by it would ask once more before it does", async () => {
    const { w1, first, polling } = await halfBusy();
    const ends: string[] = [];
    void polling.then(() => ends.push("poll"));
    await w1.doneForGood(first);
    ends.push("result");
    await polling;
    expect(ends).toEqual(["result", "poll"]);
  });

  it("is given nothing by a poll that was under way when the result came", async () => {
    const { broker, w1, first, polling } = await halfBusy();
    await w1.doneForGood(first);
    const crossing = w1.take({ idle: true });
    const next = await submitOne(broker);
    expect(await crossing).toEqual([]);
    expect(await polling).toEqual([]);
    expect(await statusOf(broker, next)).toMatchObject({ status: "IN_QUEUE" });
  });

  it("gives back a job that its poll was handed and is not yet answered with", async () => {
    const { broker, w1, first, polling } = await halfBusy();
    await broker.drainWorker({ tenantId: "owner", workerId: "w1", draining: true });
    await polling;
    await broker.drainWorker({ tenantId: "owner", workerId: "w1", draining: false });
    const next = await submitOne(broker);
    let armed = (): void => undefined;
    const arming = new Promise<void>((resolve) => {
      armed = resolve;
    });
    vi.spyOn(AlarmClock.prototype, "arm").mockImplementationOnce(() => arming);
    const taking = w1.take({ idle: false });
    await vi.waitFor(async () => expect(await statusOf(broker, next)).toMatchObject({ status: "IN_PROGRESS" }));
    await w1.doneForGood(first);
    armed();
    expect(await taking).toEqual([]);
    expect(await statusOf(broker, next)).toMatchObject({ status: "IN_QUEUE", retries: 0 });
  });

  it("keeps the other jobs that it runs, and their cancels reach it", async () => {
    const { broker, w1, first, polling } = await halfBusy();
    const other = await submitOne(broker);
    expect(await polling).toMatchObject([{ jobId: other }]);
    await w1.doneForGood(first);
    const stopping = broker.awaitStops({ ...w1.name, holdMs: 5_000 });
    await scheduler.wait(LEAVE_SETTLE_MS * 2);
    await w1.ping([other]);
    expect(await workersOf(broker)).toMatchObject([{ state: "RUNNING", reason: expect.stringContaining("restart") }]);
    expect(await waitOf(broker, await submitOne(broker))).toMatchObject({ reason: "NO_WORKERS" });
    await broker.cancel({ tenantId: "owner", jobId: other });
    expect(await stopping).toEqual([other]);
  });

  it("is no idle one, and says so in the list, in the health and to those who wait", async () => {
    const { broker, w1, first, polling } = await halfBusy();
    await w1.doneForGood(first);
    await polling;
    const next = await submitOne(broker);
    expect(await waitOf(broker, next)).toMatchObject({
      reason: "NO_WORKERS",
      detail: "No worker takes jobs at this moment: 1 has asked for its restart, and for no job since.",
    });
    const left = { id: "w1", state: "INITIALIZING", reason: expect.stringContaining("refresh_worker") };
    expect(await workersOf(broker)).toMatchObject([left]);
    await w1.ping();
    expect(await workersOf(broker)).toMatchObject([left]);
    expect((await broker.health({ tenantId: "owner" })).workers).toMatchObject({ idle: 0, ready: 0, initializing: 1 });
  });

  it("goes on when it asks anew", async () => {
    const { broker, w1, first, polling } = await halfBusy();
    await w1.doneForGood(first);
    expect(await polling).toEqual([]);
    const next = await submitOne(broker);
    expect(await w1.take()).toMatchObject([{ jobId: next }]);
    expect(await statusOf(broker, next)).toMatchObject({ status: "IN_PROGRESS", workerId: "w1" });
    const [view] = await workersOf(broker);
    expect(view).toMatchObject({ state: "RUNNING", reason: "A result asked for its restart (refresh_worker)." });
  });

  it("asks for it by a late result too, and by one of a job that nobody knows any more", async () => {
    for (const reported of [submission().jobId, null]) {
      const { broker, w1, first, polling } = await halfBusy();
      await broker.cancel({ tenantId: "owner", jobId: first });
      await w1.doneForGood(reported ?? first);
      expect(await polling).toEqual([]);
      const next = await submitOne(broker);
      expect(await statusOf(broker, next)).toMatchObject({ status: "IN_QUEUE" });
    }
  });
});

describe("a worker that tells that it was told to end", () => {
  it("has its open poll answered at once, keeps the job that it runs, and the next one waits for another worker", async () => {
    const { broker, w1, first, polling } = await halfBusy();
    const toldAtMs = Date.now();
    expect(await w1.leave([first])).toBe(true);
    const next = await submitOne(broker);
    expect(await polling).toEqual([]);
    expect(Date.now() - toldAtMs).toBeLessThan(AT_ONCE_MS);
    expect(await workersOf(broker)).toMatchObject([
      { state: "RUNNING", reason: expect.stringContaining("told to end") },
    ]);
    expect(await waitOf(broker, next)).toMatchObject({
      reason: "NO_WORKERS",
      detail: "No worker takes jobs at this moment: 1 was told to end, and has not asked for a job since.",
    });
    expect(await pullingWorker(broker, "w2").take()).toMatchObject([{ jobId: next }]);
    expect(await w1.done(first)).toBe("accepted");
    expect(await statusOf(broker, first)).toMatchObject({ status: "COMPLETED", workerId: "w1", retries: 0 });
    expect(await workersOf(broker)).toContainEqual(expect.objectContaining({ id: "w1", state: "THROTTLED" }));
  });

  it("keeps a job that its poll was handed and is not yet answered with", async () => {
    const { broker, w1, first, polling } = await halfBusy();
    const next = await submitOne(broker);
    expect(await polling).toMatchObject([{ jobId: next }]);
    const third = await submitOne(broker);
    let armed = (): void => undefined;
    const arming = new Promise<void>((resolve) => {
      armed = resolve;
    });
    vi.spyOn(AlarmClock.prototype, "arm").mockImplementationOnce(() => arming);
    const taking = w1.take({ idle: false });
    await vi.waitFor(async () => expect(await statusOf(broker, third)).toMatchObject({ status: "IN_PROGRESS" }));
    await w1.leave([first, next]);
    armed();
    expect(await taking).toMatchObject([{ jobId: third }]);
    expect(await w1.done(third)).toBe("accepted");
  });

  it("is given nothing by a poll that crosses it on its way", async () => {
    const { broker, w1, first } = await halfBusy();
    await w1.leave([first]);
    const crossing = w1.take({ idle: false });
    const next = await submitOne(broker);
    expect(await crossing).toEqual([]);
    expect(await statusOf(broker, next)).toMatchObject({ status: "IN_QUEUE" });
  });

  it("goes on when a new process of its id asks, also when the old one's word comes after that", async () => {
    const { broker, w1, first, polling } = await halfBusy();
    await w1.leave([first]);
    expect(await polling).toEqual([]);
    await w1.done(first);
    const asking = w1.take();
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(1));
    await w1.leave();
    expect(await asking).toEqual([]);
    const next = await submitOne(broker);
    expect(await w1.take()).toMatchObject([{ jobId: next }]);
    await w1.ping([next]);
    expect(await workersOf(broker)).toMatchObject([{ state: "RUNNING", reason: null }]);
  });

  it("need not wait for its poll where it is drained: that was answered then", async () => {
    const { broker, w1, first, polling } = await halfBusy();
    await broker.drainWorker({ tenantId: "owner", workerId: "w1", draining: true });
    expect(await polling).toEqual([]);
    expect(await w1.leave([first])).toBe(false);
  });

  it("is shown to restart where its result has asked for that before, and to end where one does so after", async () => {
    const restarts = await halfBusy();
    await restarts.w1.doneForGood(restarts.first);
    await restarts.w1.leave();
    const restarting = { state: "INITIALIZING", reason: expect.stringContaining("refresh_worker") };
    expect(await workersOf(restarts.broker)).toMatchObject([restarting]);
    const ends = await halfBusy();
    await ends.w1.leave([ends.first]);
    await ends.w1.doneForGood(ends.first);
    const ending = { state: "THROTTLED", reason: expect.stringContaining("told to end") };
    expect(await workersOf(ends.broker)).toMatchObject([ending]);
    expect(await Promise.all([restarts.polling, ends.polling])).toEqual([[], []]);
  });
});

describe("a job waits, and its reason is true,", () => {
  const NOBODY = "No worker takes jobs at this moment: ";

  it("while the only worker is drained, also when that still works", async () => {
    const { broker, w1, first, polling } = await halfBusy();
    await broker.drainWorker({ tenantId: "owner", workerId: "w1", draining: true });
    expect(await polling).toEqual([]);
    const next = await submitOne(broker);
    expect(await waitOf(broker, next)).toMatchObject({ reason: "NO_WORKERS", detail: `${NOBODY}1 is drained.` });
    await w1.done(first);
    expect(await workersOf(broker)).toMatchObject([{ state: "THROTTLED", draining: true }]);
    expect((await broker.health({ tenantId: "owner" })).workers).toMatchObject({ idle: 0, throttled: 1 });
    await broker.drainWorker({ tenantId: "owner", workerId: "w1", draining: false });
    expect(await w1.take()).toMatchObject([{ jobId: next }]);
  });

  it("while the only worker is unfit", async () => {
    const { broker } = await makeBroker(pullOnly);
    await pullingWorker(broker, "w1").ping([], "Its fitness check _gpu_check failed.");
    const next = await submitOne(broker);
    expect(await waitOf(broker, next)).toMatchObject({ reason: "NO_WORKERS", detail: `${NOBODY}1 is unhealthy.` });
  });

  it("while the only worker has just begun to send heartbeats", async () => {
    const { broker } = await makeBroker(pullOnly);
    await pullingWorker(broker, "w1").ping();
    const next = await submitOne(broker);
    expect(await waitOf(broker, next)).toMatchObject({ reason: "NO_WORKERS", detail: `${NOBODY}1 is starting.` });
  });

  it("while the only worker has gone without a word and its heartbeats go on", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker(pullOnly);
    const w1 = pullingWorker(broker, "w1");
    const polling = w1.take({ pollId: "cut" });
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(1));
    await broker.abandonTake({ ...w1.name, pollId: "cut", leases: [] });
    await polling;
    await passTime(endpointId, STOP_LET_GO_AFTER_MS + 100);
    await w1.ping();
    const next = await submitOne(broker);
    const detail = `${NOBODY}1 does not ask for jobs.`;
    expect(await waitOf(broker, next)).toMatchObject({ reason: "NO_WORKERS", detail });
    await passTime(endpointId, WORKER_QUIET_AFTER_MS);
    await w1.ping();
    const reason = expect.stringContaining("has not asked for a job for 17 s");
    expect(await workersOf(broker)).toMatchObject([{ state: "UNHEALTHY", reason }]);
    expect((await broker.health({ tenantId: "owner" })).workers).toMatchObject({ idle: 0, unhealthy: 1 });
    expect(await w1.take()).toMatchObject([{ jobId: next }]);
    expect(await workersOf(broker)).toMatchObject([{ state: "RUNNING", reason: null }]);
  });

  it("while several workers are away for several causes", async () => {
    const { broker } = await makeBroker(pullOnly);
    for (const id of ["w1", "w2"]) await pullingWorker(broker, id).ping([], "Its fitness check _gpu_check failed.");
    await pullingWorker(broker, "w3").ping();
    const next = await submitOne(broker);
    expect(await waitOf(broker, next)).toMatchObject({ detail: `${NOBODY}2 are unhealthy; 1 is starting.` });
  });

  it("while one of them works, or an upstream is there", async () => {
    const { broker } = await makeBroker(pullOnly);
    await pullingWorker(broker, "ill").ping([], "Its fitness check _gpu_check failed.");
    await submitOne(broker);
    await pullingWorker(broker, "w1").takeOne();
    expect(await waitOf(broker, await submitOne(broker))).toMatchObject({ reason: "ALL_BUSY" });
    const pushed = await makeBroker({ ...pullOnly, upstreams: [upstream({ slots: 1 })], paused: false });
    await pullingWorker(pushed.broker, "ill").ping([], "Its fitness check _gpu_check failed.");
    expect(await waitOf(pushed.broker, await submitOne(pushed.broker))).not.toMatchObject({ reason: "NO_WORKERS" });
  });
});
