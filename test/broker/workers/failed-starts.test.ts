// Workers that fail their start again and again, under one id or ever new ones: what they cost others' jobs.
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import { PARKED_MAX_MS, START_FAILURES_MAX, UNHEALTHY_PROBE_MS } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { makeBroker, submission, workerKey } from "../../support/broker.ts";
import { passTime, pullingWorker, pullOnly, statusOf, waitOf, workersOf } from "../../support/pulling-worker.ts";
import { evict } from "../../support/quiet.ts";

const SDK = "2.0.0rc2";
const start = {
  kind: "failed",
  error: "the hook's own error",
  detail: "Its start failed in the hook h: E: e",
} as const;
const FAILED = { kind: "start_failed", start } as const;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function submitOne(broker: BrokerApi): Promise<string> {
  const call = submission();
  await broker.submit(call);
  return call.jobId;
}

/** A worker that has shown that it can run a handler. */
async function proven(broker: BrokerApi, workerId: string) {
  const worker = pullingWorker(broker, workerId);
  const id = await submitOne(broker);
  await worker.takeOne();
  await worker.done(id);
  return worker;
}

/** A worker that is paused, because its start has failed on the same job for the second time. */
async function crashLoop() {
  vi.useFakeTimers({ toFake: ["Date"] });
  const { endpointId, broker } = await makeBroker(pullOnly);
  const id = await submitOne(broker);
  const w1 = pullingWorker(broker, "w1");
  for (let n = 0; n < 2; n += 1) {
    await w1.takeOne({ version: SDK });
    await w1.report(id, FAILED);
    vi.setSystemTime(Date.now() + 5);
  }
  return { endpointId, broker, id, w1 };
}

describe("a crash loop of one worker", () => {
  it("is tried after growing pauses, and those who wait are told why", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker(pullOnly);
    const id = await submitOne(broker);
    const w1 = pullingWorker(broker, "w1");
    for (const pauseMs of [0, 0, 1_300, 2_600]) {
      const taking = w1.takeOne({ version: SDK });
      if (pauseMs > 0) {
        const told = { reason: "CRASH_LOOP", detail: start.detail };
        await vi.waitFor(async () => expect(await waitOf(broker, id)).toMatchObject(told));
        await passTime(endpointId, pauseMs);
      }
      expect(await taking).toMatchObject({ jobId: id });
      await w1.report(id, FAILED);
      vi.setSystemTime(Date.now() + 5);
    }
    expect(await statusOf(broker, id)).toMatchObject({ status: "FAILED", error: start.error, retries: 0 });
  });

  it.each([
    // Its connection was seen to break.
    ["which the edge reports", true],
    // The next take overtakes the report.
    ["which its next take shows", false],
  ] as const)("gets the job again at once when it has cut the take that brought it, %s", async (_, isReported) => {
    const { endpointId, broker, id, w1 } = await crashLoop();
    await passTime(endpointId, 1_300);
    const cut = await w1.takeOne({ version: SDK, pollId: "cut" });
    expect(cut).toMatchObject({ jobId: id });
    vi.setSystemTime(Date.now() + 5);
    if (isReported) await broker.abandonTake({ ...w1.name, pollId: "cut", leases: [cut] });
    expect(await w1.takeOne({ version: SDK, pollId: "next" })).toMatchObject({ jobId: id });
  });

  it("waits for its next trial when it has seemed to cut a second take: the jobs may end its process", async () => {
    const { endpointId, broker, id, w1 } = await crashLoop();
    await passTime(endpointId, 1_300);
    for (let n = 0; n < 2; n += 1) {
      expect(await w1.takeOne({ version: SDK })).toMatchObject({ jobId: id });
      vi.setSystemTime(Date.now() + 5);
    }
    const taking = w1.takeOne({ version: SDK });
    for (const ms of [0, UNHEALTHY_PROBE_MS - 3_000]) {
      await passTime(endpointId, ms);
      await vi.waitFor(async () => expect(await waitOf(broker, id)).toMatchObject({ reason: "CRASH_LOOP" }));
    }
    await passTime(endpointId, 3_000);
    expect(await taking).toMatchObject({ jobId: id });
  });

  it("gets a job only where no sound worker has room", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker(pullOnly);
    const good = await proven(broker, "good");
    const bad = pullingWorker(broker, "bad");
    for (let n = 0; n < 2; n += 1) {
      const id = await submitOne(broker);
      await bad.takeOne({ version: SDK });
      await bad.report(id, FAILED);
      await broker.cancel({ tenantId: "owner", jobId: id });
    }
    const polls = [bad.take({ version: SDK, pollId: "bad" })];
    await vi.waitFor(async () => expect((await workersOf(broker))[1]).toMatchObject({ reason: start.detail }));
    // Its pause is over.
    await passTime(endpointId, 5_000);
    polls.push(good.take({ pollId: "good" }));
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(2));
    const id = await submitOne(broker);
    expect(await polls[1]).toMatchObject([{ jobId: id }]);
    await broker.abandonTake({ ...bad.name, pollId: "bad", leases: [] });
    await polls[0];
  });
});

describe("processes of a broken image, each under an id of its own,", () => {
  it("do not use up the bound of a job that a sound worker will run when it is free", async () => {
    const { broker } = await makeBroker({ ...pullOnly, maxAttempts: 1 });
    const good = await proven(broker, "good");
    const long = await submitOne(broker);
    await good.takeOne();
    const id = await submitOne(broker);
    const open: { readonly pollId: string; readonly worker: ReturnType<typeof pullingWorker> }[] = [];
    for (let n = 0; n <= START_FAILURES_MAX + 1; n += 1) {
      const worker = pullingWorker(broker, `bad-${n}`);
      const pollId = `poll-${n}`;
      const taking = worker.take({ version: SDK, pollId });
      if (n === 0) {
        expect(await taking).toMatchObject([{ jobId: id }]);
        await worker.report(id, FAILED);
      } else {
        open.push({ pollId, worker });
        await vi.waitFor(async () => expect((await workersOf(broker)).length).toBe(n + 2));
        expect(await statusOf(broker, id)).toMatchObject({ status: "IN_QUEUE" });
        void taking;
      }
    }
    await good.done(long);
    expect(await good.takeOne()).toMatchObject({ jobId: id });
    await good.done(id);
    expect(await statusOf(broker, id)).toMatchObject({ status: "COMPLETED", retries: 0 });
    for (const { pollId, worker } of open) await broker.abandonTake({ ...worker.name, pollId, leases: [] });
  });

  it("are tried again when the sound worker is busy for long, or there is none", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker({ ...pullOnly, maxAttempts: 1 });
    const good = await proven(broker, "good");
    const long = await submitOne(broker);
    await good.takeOne();
    const id = await submitOne(broker);
    const bad = pullingWorker(broker, "bad");
    await bad.takeOne({ version: SDK });
    await bad.report(id, FAILED);
    const fresh = pullingWorker(broker, "fresh");
    const taking = fresh.take({ version: SDK });
    await vi.waitFor(async () => expect((await workersOf(broker)).length).toBe(3));
    for (let waitedMs = 0; waitedMs < PARKED_MAX_MS; waitedMs += 10_500) {
      expect(await statusOf(broker, id)).toMatchObject({ status: "IN_QUEUE" });
      await good.ping([long]);
      await passTime(endpointId, 10_500);
    }
    expect(await taking).toMatchObject([{ jobId: id }]);
  });
});

describe("a take that its worker cuts as the job comes", () => {
  it("costs nothing when the process asks again at once, and says that it runs nothing", async () => {
    const { broker } = await makeBroker({ ...pullOnly, maxAttempts: 1 });
    const id = await submitOne(broker);
    const w1 = pullingWorker(broker, "w1");
    await w1.takeOne({ version: SDK });
    expect(await w1.takeOne({ version: SDK })).toMatchObject({ jobId: id });
    expect(await statusOf(broker, id)).toMatchObject({ status: "IN_PROGRESS", retries: 0 });
    expect(await w1.done(id)).toBe("accepted");
    expect(await w1.done(id)).toBe("late");
  });

  it("is not believed of a release that says so too early", async () => {
    const { broker } = await makeBroker(pullOnly);
    const id = await submitOne(broker);
    const w1 = pullingWorker(broker, "w1");
    await w1.takeOne({ version: "1.7.4" });
    expect(await w1.take({ version: "1.7.4" })).toEqual([]);
    expect(await w1.done(id)).toBe("accepted");
  });
});

describe("the report of a failed start that comes twice", () => {
  it("says nothing of the next process, which has asked since", async () => {
    const { broker } = await makeBroker(pullOnly);
    const id = await submitOne(broker);
    const w1 = pullingWorker(broker, "w1");
    await w1.takeOne({ version: SDK });
    await w1.report(id, FAILED);
    await broker.cancel({ tenantId: "owner", jobId: id });
    const next = await submitOne(broker);
    expect(await w1.takeOne({ version: SDK })).toMatchObject({ jobId: next });
    expect(await w1.report(id, FAILED)).toBe("late");
    expect(await statusOf(broker, next)).toMatchObject({ status: "IN_PROGRESS" });
    expect(await workersOf(broker)).toMatchObject([{ state: "RUNNING" }]);
  });
});

describe("the report of a failed start", () => {
  it("takes no other job from a process that began before the object did: it may be a handler's words", async () => {
    const { endpointId, broker } = await makeBroker({
      upstreams: [],
      workerKeys: [workerKey({ id: "key1", slots: 2 })],
    });
    const w1 = await proven(broker, "w1");
    const [id, other] = [await submitOne(broker), await submitOne(broker)];
    expect(await w1.take({ version: SDK, wanted: 2 })).toHaveLength(2);
    await evict(endpointId);
    const again = brokerOf(env, endpointId);
    const survivor = pullingWorker(again, "w1");
    await survivor.ping([id, other]);
    await survivor.report(id, FAILED);
    expect(await statusOf(again, other)).toMatchObject({ status: "IN_PROGRESS" });
    expect(await survivor.done(other)).toBe("accepted");
  });

  it("is believed of a process that asks a moment after the poll of the one before it was cut", async () => {
    const { broker } = await makeBroker({ ...pullOnly, maxAttempts: 1 });
    const w1 = await proven(broker, "w1");
    const polling = w1.take({ version: SDK, pollId: "cut" });
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(1));
    await broker.abandonTake({ ...w1.name, pollId: "cut", leases: [] });
    await polling;
    const id = await submitOne(broker);
    expect(await w1.takeOne({ version: SDK })).toMatchObject({ jobId: id });
    await w1.report(id, FAILED);
    expect(await statusOf(broker, id)).toMatchObject({ status: "IN_QUEUE" });
  });

  it("is a handler's words while the process goes on with other jobs after a poll of it was cut", async () => {
    const { broker } = await makeBroker({ upstreams: [], workerKeys: [workerKey({ id: "key1", slots: 3 })] });
    const w1 = await proven(broker, "w1");
    const [id, other] = [await submitOne(broker), await submitOne(broker)];
    expect(await w1.take({ version: SDK, wanted: 2 })).toHaveLength(2);
    const polling = w1.take({ version: SDK, pollId: "cut", idle: false });
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(1));
    await broker.abandonTake({ ...w1.name, pollId: "cut", leases: [] });
    await polling;
    await w1.report(id, FAILED);
    expect(await statusOf(broker, id)).toMatchObject({ status: "FAILED" });
    expect(await statusOf(broker, other)).toMatchObject({ status: "IN_PROGRESS" });
    await w1.done(other);
  });
});
