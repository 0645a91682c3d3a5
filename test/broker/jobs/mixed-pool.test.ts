// Which slot a job gets where several workers, or workers and upstreams, serve one endpoint.
import { afterEach, describe, expect, it, vi } from "vitest";
import { answerUpstreams, holdCarriers, makeBroker, submission, upstream, workerKey } from "../../support/broker.ts";
import { pullOnly, pullingWorker as worker } from "../../support/pulling-worker.ts";

afterEach(() => vi.restoreAllMocks());

describe("an unfit worker", () => {
  it("gets no job until it takes again, and its reason is shown", async () => {
    const { broker } = await makeBroker(pullOnly);
    const w1 = worker(broker, "w1");
    const taking = w1.take({ pollId: "unfit" });
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(1));
    await w1.ping([], "Its fitness check _memory_check failed.");
    await broker.submit(submission());
    expect(await broker.depth({ tenantId: "owner" })).toEqual({ waiting: 1, running: 0 });
    expect((await broker.health({ tenantId: "owner" })).workers).toMatchObject({ unhealthy: 1, idle: 0, ready: 0 });
    expect(await broker.listWorkers({ tenantId: "owner" })).toMatchObject([
      { state: "UNHEALTHY", reason: "Its fitness check _memory_check failed." },
    ]);
    await broker.abandonTake({ ...w1.name, pollId: "unfit", leases: [] });
    await taking;
    await w1.takeOne();
  });
});

describe("the counts of /health", () => {
  const countsOf = async (broker: Awaited<ReturnType<typeof makeBroker>>["broker"]) =>
    (await broker.health({ tenantId: "owner" })).workers;
  const none = { idle: 0, initializing: 0, ready: 0, running: 0, throttled: 0, unhealthy: 0 };

  it("are of workers, however many slots each has: a worker or upstream with a job runs, and may be ready for more", async () => {
    const given = holdCarriers();
    const { broker } = await makeBroker({
      upstreams: [upstream({ slots: 4 })],
      workerKeys: [workerKey({ id: "key1", slots: 3 })],
    });
    expect(await countsOf(broker)).toEqual({ ...none, idle: 1, ready: 1 });
    for (let count = 0; count < 3; count += 1) await broker.submit(submission());
    await vi.waitFor(() => expect(given).toHaveLength(3));
    expect(await countsOf(broker)).toEqual({ ...none, running: 1, ready: 1 });
    await broker.submit(submission());
    await vi.waitFor(() => expect(given).toHaveLength(4));
    expect(await countsOf(broker)).toEqual({ ...none, running: 1 });
    await broker.submit(submission());
    await worker(broker, "w1").takeOne();
    expect(await countsOf(broker)).toMatchObject({ running: 2, idle: 0 });
  });

  it("have an upstream that is paused as throttled, and one whose tier has no price as unhealthy", async () => {
    answerUpstreams(() => new Response(null, { status: 429, headers: { "retry-after": "60" } }));
    const { broker } = await makeBroker({
      upstreams: [upstream({ slots: 4 }), upstream({ id: "no-price", slots: 4, tier: "h100" })],
    });
    await broker.submit(submission());
    await vi.waitFor(async () => expect(await countsOf(broker)).toEqual({ ...none, throttled: 1, unhealthy: 1 }));
  });
});

describe("a mixed pool", () => {
  it("spreads over idle workers, the one that was served longest ago first", async () => {
    const { broker } = await makeBroker(pullOnly);
    const counts = new Map<string, number>();
    const names = ["w1", "w2", "w3", "w4"];
    for (let round = 0; round < 5; round += 1) {
      const takes = names.map(async (id) => {
        const one = worker(broker, id);
        const { jobId } = await one.takeOne();
        counts.set(id, (counts.get(id) ?? 0) + 1);
        await one.done(jobId);
      });
      for (let n = 0; n < names.length; n += 1) await broker.submit(submission());
      await Promise.all(takes);
    }
    expect([...counts.values()]).toEqual([5, 5, 5, 5]);
  });

  it("gives jobs to active slots first, whether they pull or are pushed to", async () => {
    const given = holdCarriers();
    const rates = [
      { tier: "a4000", kind: "flex", nanodollarsPerSecond: 160_000, effectiveFromMs: 0 },
      { tier: "a4000", kind: "active", nanodollarsPerSecond: 110_000, effectiveFromMs: 0 },
    ] as const;
    const { broker } = await makeBroker({
      upstreams: [upstream({ slots: 1 })],
      workerKeys: [workerKey({ id: "key1", rateKind: "active" })],
      rates: [...rates],
    });
    const taking = worker(broker, "w1").takeOne();
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(2));
    const first = submission();
    await broker.submit(first);
    expect((await taking).jobId).toBe(first.jobId);
    const second = submission();
    await broker.submit(second);
    await vi.waitFor(() => expect(given).toMatchObject([{ jobId: second.jobId }]));
  });

  it("is told to the owner alone", async () => {
    const { broker } = await makeBroker({ ...pullOnly, upstreams: [upstream({ id: "u1" })] });
    const call = submission({ tenantId: "guest" });
    await broker.submit(call);
    expect(await broker.listWorkers({ tenantId: "guest" })).toBeNull();
    expect(await broker.listWorkers({ tenantId: "owner" })).toMatchObject([{ id: "u1", kind: "push", jobs: [] }]);
  });
});
