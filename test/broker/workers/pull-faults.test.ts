// Pulling workers when something else goes wrong: a lost answer, a restart of the broker, workers that only seem to be there.

import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { AlarmClock } from "../../../src/broker/alarm.ts";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { IDLE_GRACE_MS, WORKER_GONE_AFTER_MS, WORKER_PING_INTERVAL_MS, WORKERS_MAX } from "../../../src/core/limits.ts";
import { makeBroker, submission, workerKey } from "../../support/broker.ts";
import { passTime, pullingWorker, pullOnly, statusOf } from "../../support/pulling-worker.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a report whose answer was lost", () => {
  it("is accepted again, so that the edge does not delete the output that the row names", async () => {
    const { broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = pullingWorker(broker, "w1");
    await w1.take();
    const output = { kind: "r2", key: "ep/job/request-1/output", sizeBytes: 300_000 } as const;
    expect(await w1.report(call.jobId, { kind: "completed", output })).toBe("accepted");
    expect(await w1.report(call.jobId, { kind: "completed", output })).toBe("accepted");
    const other = { ...output, key: "ep/job/request-2/output" };
    expect(await w1.report(call.jobId, { kind: "completed", output: other })).toBe("late");
  });
});

describe("a job that failed on its worker", () => {
  const outcome = {
    kind: "attempt_failed",
    failure: failed("bad_answer", "the worker's result is not valid"),
  } as const;

  /** w1 has failed the job and asks for more; `other` is not going to. */
  async function fallBack(other: (broker: BrokerApi) => Promise<void>): Promise<void> {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = pullingWorker(broker, "w1");
    await w1.take();
    await other(broker);
    await w1.report(call.jobId, outcome);
    vi.setSystemTime(Date.now() + 100);
    const taking = w1.take({ pollId: "again" });
    await passTime(endpointId, 3_000);
    const { status } = await statusOf(broker, call.jobId);
    await broker.abandonTake({ ...w1.name, pollId: "again", leases: [] });
    await taking;
    expect(status).toBe("IN_PROGRESS");
  }

  it("goes back to it while the only other one sends heartbeats and never asks", () =>
    fallBack(async (broker) => {
      await pullingWorker(broker, "orphan").ping();
    }));

  it("goes back to it while the only other one is unfit", () =>
    fallBack(async (broker) => {
      await pullingWorker(broker, "unfit").ping([], "Its fitness check _memory_check failed.");
    }));

  it("goes back to it while the only other one is drained, though that still works", () =>
    fallBack(async (broker) => {
      const drained = pullingWorker(broker, "drained");
      await broker.submit(submission());
      await drained.take();
      await broker.drainWorker({ tenantId: "owner", workerId: "drained", draining: true });
    }));
});

describe("a restart of the broker", () => {
  it("costs a job no attempt when its worker was not heard of since, and says that it runs nothing", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker({ ...pullOnly, maxAttempts: 1 });
    const call = submission();
    await broker.submit(call);
    const w1 = pullingWorker(broker, "w1");
    await w1.take();
    await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
    vi.setSystemTime(Date.now() + IDLE_GRACE_MS);
    expect(await w1.take()).toMatchObject([{ jobId: call.jobId }]);
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_PROGRESS", retries: 0 });
  });

  it("does not keep a cancel from the worker that still runs the job", async () => {
    const { endpointId, broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = pullingWorker(broker, "w1");
    await w1.take();
    await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
    await broker.cancel({ tenantId: "owner", jobId: call.jobId });
    await w1.ping([call.jobId]);
    expect(await broker.awaitStops({ ...w1.name, holdMs: 1 })).toEqual([call.jobId]);
    await w1.ping([call.jobId]);
    expect(await broker.awaitStops({ ...w1.name, holdMs: 1 })).toEqual([]);
  });
});

describe("a take", () => {
  it("that its client leaves while the alarm is being set gives back what it was given meanwhile", async () => {
    const { broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const w1 = pullingWorker(broker, "w1");
    let armed = (): void => undefined;
    const arming = new Promise<void>((resolve) => {
      armed = resolve;
    });
    vi.spyOn(AlarmClock.prototype, "arm").mockImplementationOnce(() => arming);
    const taking = w1.take({ pollId: "left" });
    await vi.waitFor(async () => expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_PROGRESS" }));
    await broker.abandonTake({ ...w1.name, pollId: "left", leases: [] });
    armed();
    expect(await taking).toEqual([]);
    expect(await statusOf(broker, call.jobId)).toMatchObject({ status: "IN_QUEUE", retries: 0 });
  });

  it("of a new worker is not refused for the many that are gone", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { broker } = await makeBroker(pullOnly);
    for (let n = 0; n < WORKERS_MAX; n += 1) await pullingWorker(broker, `old-${n}`).ping();
    vi.setSystemTime(Date.now() + WORKER_GONE_AFTER_MS + 1);
    const fresh = pullingWorker(broker, "fresh");
    const taking = fresh.take({ pollId: "fresh" });
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(1));
    await broker.abandonTake({ ...fresh.name, pollId: "fresh", leases: [] });
    expect(await taking).toEqual([]);
  });
});

describe("a job that a worker of several slots has lost, while that one is never idle,", () => {
  /** w1 runs one job, and the answer that brought it a second one is lost. No other worker comes. */
  async function lose() {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker({
      upstreams: [],
      workerKeys: [workerKey({ id: "key1", slots: 2 })],
    });
    const w1 = pullingWorker(broker, "w1");
    const [running, lost] = [submission(), submission()];
    await broker.submit(running);
    await w1.takeOne();
    await broker.submit(lost);
    expect(await w1.takeOne({ idle: false })).toMatchObject({ jobId: lost.jobId });
    const beat = async (jobIds: readonly string[]): Promise<void> => {
      await passTime(endpointId, WORKER_PING_INTERVAL_MS);
      await w1.ping(jobIds);
    };
    while ((await statusOf(broker, lost.jobId)).status === "IN_PROGRESS") await beat([running.jobId]);
    /** What its next poll brings within a few heartbeats that name these jobs. */
    const takeWhile = async (jobIds: readonly string[]): Promise<readonly string[]> => {
      const taking = w1.take({ idle: false, pollId: "next" });
      await vi.waitFor(async () => expect((await statusOf(broker, lost.jobId)).queue).not.toBeNull());
      for (let beats = 0; beats < 8; beats += 1) await beat(jobIds);
      await broker.abandonTake({ ...w1.name, pollId: "next", leases: [] });
      return (await taking).map(({ jobId }) => jobId);
    };
    return { running: running.jobId, lost: lost.jobId, takeWhile };
  }

  it("goes back to it once its heartbeats show that it does not run the job", async () => {
    const { running, lost, takeWhile } = await lose();
    expect(await takeWhile([running])).toEqual([lost]);
  });

  it("waits while they name it: a report of the old attempt may still come", async () => {
    const { running, lost, takeWhile } = await lose();
    expect(await takeWhile([running, lost])).toEqual([]);
  });
});
