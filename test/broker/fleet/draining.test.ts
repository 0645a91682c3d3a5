// Machines that get no more jobs, and end those that they have.
import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import type { FleetSettings } from "../../../src/contract/fleet.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { makeBroker, settings, submission } from "../../support/broker.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, statusOf, waitOf, workersOf } from "../../support/pulling-worker.ts";
import { evict } from "../../support/quiet.ts";

const HOUR_MS = 3_600_000;
const BEAT_MS = 20_000;

const provider = useHeldProvider();

/** A job runs on the only machine, which lives for an hour, of which the last tenth is for the jobs that are there. */
async function runToItsEnd(slots: number) {
  const partial = fleet({ lifetimeMs: HOUR_MS, slots });
  const { endpointId, broker } = await makeBroker({
    upstreams: [],
    executionTimeoutMs: 24 * HOUR_MS,
    fleet: partial,
  });
  const call = submission();
  await broker.submit(call);
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
  const id = provider.called("create")[0]?.machine?.instanceId ?? "";
  const worker = pullingWorker(broker, id, id);
  await worker.takeOne();
  for (let passed = 0; passed < 0.95 * HOUR_MS; passed += BEAT_MS) {
    await worker.ping([call.jobId]);
    await passTime(endpointId, BEAT_MS);
  }
  expect(await workersOf(broker)).toMatchObject([{ id, machine: { phase: "draining" } }]);
  return { endpointId, broker, worker, id, jobId: call.jobId };
}

it("a job on a machine at the end of its life has no second machine made, and the next job has one at once", async () => {
  const { broker, worker, jobId } = await runToItsEnd(1);
  expect(provider.called("create")).toHaveLength(1);
  await broker.submit(submission());
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(2));
  await worker.done(jobId);
  expect((await statusOf(broker, jobId)).status).toBe("COMPLETED");
  await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
});

it.each([false, true])(
  "a machine that drains gets no job after a start of its broker; a heartbeat comes first: %s",
  async (beats) => {
    const { endpointId, id, jobId } = await runToItsEnd(2);
    await evict(endpointId);
    const broker = brokerOf(env, endpointId);
    const worker = pullingWorker(broker, id, id);
    const next = submission();
    await broker.submit(next);
    if (beats) await worker.ping([jobId]);
    await expect(worker.take({ idle: false })).rejects.toThrow("draining");
    expect((await statusOf(broker, next.jobId)).status).toBe("IN_QUEUE");
    expect(await worker.done(jobId)).toBe("accepted");
  },
);

/** A job runs on the only machine of a fleet. */
async function runOne(partial: Partial<FleetSettings> = {}) {
  const made = await makeBroker({ upstreams: [], fleet: fleet(partial) });
  const call = submission();
  await made.broker.submit(call);
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
  const id = provider.called("create")[0]?.machine?.instanceId ?? "";
  const worker = pullingWorker(made.broker, id, id);
  await worker.takeOne();
  const drain = (draining: boolean) => made.broker.drainWorker({ tenantId: "owner", workerId: id, draining });
  return { ...made, id, worker, jobId: call.jobId, drain };
}

describe("a worker that its owner drains", () => {
  it("ends at once when it is idle, and the next job has another one", async () => {
    const { endpointId, broker, worker, jobId, drain } = await runOne({ keepsStopped: true, idleTimeoutMs: 600_000 });
    await worker.done(jobId);
    await drain(true);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    expect(provider.called("stop")).toEqual([]);
    await passTime(endpointId, 60_000);
    expect(provider.called("create")).toHaveLength(1);
    await broker.submit(submission());
    await vi.waitFor(() => expect(provider.called("create")).toHaveLength(2));
  });

  it("runs its job to the end, has no second one made for it, and gets no other job", async () => {
    const { endpointId, broker, worker, jobId, drain } = await runOne();
    await drain(true);
    for (let passed = 0; passed < 60_000; passed += BEAT_MS) {
      await worker.ping([jobId]);
      await passTime(endpointId, BEAT_MS);
    }
    expect(provider.called("create")).toHaveLength(1);
    const next = submission();
    await broker.submit(next);
    await vi.waitFor(() => expect(provider.called("create")).toHaveLength(2));
    await expect(worker.take({ idle: false })).rejects.toThrow("draining");
    expect(await worker.done(jobId)).toBe("accepted");
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  });
});

describe("a worker that its owner has drained, whose broker starts anew while it runs its job", () => {
  const LONG_MS = 3_600_000;

  /** Its machine drains, and no other one was made for the job. */
  async function drainAndStartAnew() {
    const made = await makeBroker({ upstreams: [], executionTimeoutMs: LONG_MS, fleet: fleet({ slots: 2 }) });
    const call = submission();
    await made.broker.submit(call);
    await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
    const id = provider.called("create")[0]?.machine?.instanceId ?? "";
    const before = pullingWorker(made.broker, id, id);
    await before.takeOne();
    await made.broker.drainWorker({ tenantId: "owner", workerId: id, draining: true });
    await before.ping([call.jobId]);
    await passTime(made.endpointId, BEAT_MS);
    await evict(made.endpointId);
    const broker = brokerOf(env, made.endpointId);
    return { endpointId: made.endpointId, broker, worker: pullingWorker(broker, id, id), id, jobId: call.jobId };
  }

  it("has no second machine made for that job, however long it runs, and ends after it", async () => {
    const { endpointId, broker, worker, jobId } = await drainAndStartAnew();
    for (let passed = 0; passed < 600_000; passed += BEAT_MS) {
      await worker.ping([jobId]);
      await passTime(endpointId, BEAT_MS);
    }
    const lines = await workersOf(broker);
    expect(lines).toMatchObject([{ state: "RUNNING", draining: true, machine: { phase: "draining" } }]);
    expect(provider.called("create")).toHaveLength(1);
    expect(await worker.done(jobId)).toBe("accepted");
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    expect(provider.called("create")).toHaveLength(1);
  });

  it("gets no job that waits, and has another one made for it", async () => {
    const { broker, worker } = await drainAndStartAnew();
    await broker.submit(submission());
    await expect(worker.take({ idle: false })).rejects.toThrow("draining");
    await vi.waitFor(() => expect(provider.called("create")).toHaveLength(2));
  });

  it("gets jobs again once its owner takes that back", async () => {
    const { broker, worker, id, jobId } = await drainAndStartAnew();
    await worker.ping([jobId]);
    expect(await broker.drainWorker({ tenantId: "owner", workerId: id, draining: false })).toBe(true);
    await worker.ping([jobId]);
    const call = submission();
    await broker.submit(call);
    expect((await worker.take({ idle: false })).map((job) => job.jobId)).toEqual([call.jobId]);
  });
});

it("a worker that its owner drains while it loads leaves its place to another one", async () => {
  const { broker } = await makeBroker({ upstreams: [], fleet: fleet({ max: 1 }) });
  await broker.submit(submission());
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
  const id = provider.called("create")[0]?.machine?.instanceId ?? "";
  await pullingWorker(broker, id, id).ping();
  await broker.drainWorker({ tenantId: "owner", workerId: id, draining: true });
  await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(2));
});

it("a worker that its owner takes back has the job that waits, while no other machine is to be had", async () => {
  const { broker, worker, jobId, drain } = await runOne({ max: 1 });
  provider.answers.create = [{ kind: "no_capacity", detail: "none left" }];
  await drain(true);
  const next = submission();
  await broker.submit(next);
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(2));
  await vi.waitFor(async () => expect(await waitOf(broker, next.jobId)).toMatchObject({ reason: "NO_CAPACITY" }));
  await drain(false);
  await worker.done(jobId);
  expect((await worker.takeOne()).jobId).toBe(next.jobId);
});

it("a machine at the end of its life gets no job by its worker's first call after a start of the broker", async () => {
  const { endpointId, broker, worker, id, jobId } = await runOne({ min: 1, max: 1, lifetimeMs: HOUR_MS });
  await worker.done(jobId);
  expect(await workersOf(broker)).toMatchObject([{ machine: { phase: "ready" } }]);
  await abortAllDurableObjects();
  vi.setSystemTime(Date.now() + 0.95 * HOUR_MS);
  const again = brokerOf(env, endpointId);
  await again.submit(submission());
  await expect(pullingWorker(again, id, id).take({ idle: false })).rejects.toThrow("draining");
});

it("a paused endpoint has no machine made in place of one that its provider has ended under its job", async () => {
  const { endpointId, broker, worker, jobId } = await runOne();
  await broker.configure({ ...settings({ endpointId, upstreams: [] }), fleet: fleet(), version: 2, paused: true });
  await worker.ping([jobId]);
  for (const [name, machine] of provider.machines) provider.machines.set(name, { ...machine, status: "failed" });
  for (let passed = 0; passed < 300_000; passed += BEAT_MS) await passTime(endpointId, BEAT_MS);
  await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  expect((await statusOf(broker, jobId)).status).toBe("IN_QUEUE");
  expect(provider.called("create")).toHaveLength(1);
});
