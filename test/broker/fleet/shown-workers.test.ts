// What people are shown of a fleet's workers while their machines stop, start again and end: in the list, in RunPod's health, and where
// a job waits.
import { describe, expect, it, vi } from "vitest";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import type { FleetSettings } from "../../../src/contract/fleet.ts";
import { END_SHOWN_AFTER_MS, LIST_LAG_MS } from "../../../src/core/fleet/limits.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, waitOf, workersOf } from "../../support/pulling-worker.ts";

const provider = useHeldProvider();

const DELAY_MS = 4_000;
const NOBODY = { idle: 0, initializing: 0, ready: 0, running: 0, throttled: 0, unhealthy: 0 };

async function submitOne(broker: BrokerApi): Promise<string> {
  const call = submission();
  await broker.submit(call);
  return call.jobId;
}

async function counted(broker: BrokerApi) {
  return (await broker.health({ tenantId: "owner" })).workers;
}

/** A machine was made for a job, its worker has run the job, and was idle for long enough. */
async function runAndLeave(partial: Partial<FleetSettings>, call: "end" | "stop") {
  const made = await makeBroker({ upstreams: [], fleet: fleet(partial) });
  const { broker, endpointId } = made;
  await submitOne(broker);
  await passTime(endpointId, DELAY_MS + 1);
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
  const id = provider.called("create")[0]?.machine?.instanceId ?? "";
  const worker = pullingWorker(broker, id, id);
  await worker.done((await worker.takeOne()).jobId);
  await passTime(endpointId, 5_500);
  await vi.waitFor(() => expect(provider.called(call)).toHaveLength(1));
  return { ...made, worker };
}

/** A machine has run a job, and its owner has drained its worker. */
async function drainAndLeave(partial: Partial<FleetSettings>) {
  const made = await makeBroker({ upstreams: [], fleet: fleet({ idleTimeoutMs: 600_000, ...partial }) });
  const { broker } = made;
  await submitOne(broker);
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
  const id = provider.called("create")[0]?.machine?.instanceId ?? "";
  const worker = pullingWorker(broker, id, id);
  await worker.done((await worker.takeOne()).jobId);
  await broker.drainWorker({ tenantId: "owner", workerId: id, draining: true });
  await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  return { ...made, worker };
}

describe("a worker whose machine has ended", () => {
  it("is in no count and no list, and nobody waits for it", async () => {
    const { broker } = await runAndLeave({ rule: { type: "QUEUE_DELAY", delayMs: DELAY_MS } }, "end");
    expect(await workersOf(broker)).toEqual([]);
    expect(await counted(broker)).toEqual(NOBODY);
    const jobId = await submitOne(broker);
    expect((await waitOf(broker, jobId))?.detail).not.toContain("drained");
  });

  it("is in no count and no list where its owner has drained it", async () => {
    const { broker } = await drainAndLeave({});
    expect(await workersOf(broker)).toEqual([]);
    expect(await counted(broker)).toEqual(NOBODY);
  });

  it("is shown as ended well, though there was no machine to be had at first", async () => {
    provider.answers.create = [{ kind: "no_capacity", detail: "nothing left" }];
    const { broker, endpointId } = await makeBroker({ upstreams: [], fleet: fleet() });
    await submitOne(broker);
    await vi.waitFor(async () => expect(await workersOf(broker)).toMatchObject([{ reason: "nothing left" }]));
    await passTime(endpointId, 61_000);
    await vi.waitFor(async () => expect(await workersOf(broker)).toMatchObject([{ state: "INITIALIZING" }]));
    const [line] = await workersOf(broker);
    expect(line?.reason).toContain("its worker loads");
    expect(line?.machine?.lastError).toBeNull();
  });
});

describe("a machine that is to end and may still be paid", () => {
  it("is shown as unhealthy once an end was taken and has done nothing, until it is gone", async () => {
    const taken = { kind: "done", instance: null } as const;
    provider.answers.end = [taken, taken];
    const { broker, endpointId } = await runAndLeave({}, "end");
    expect(await workersOf(broker)).toEqual([]);
    await passTime(endpointId, LIST_LAG_MS + 1_000);
    const reason = expect.stringContaining("has taken its end, and still shows it");
    const shown = [{ state: "UNHEALTHY", reason, machine: { phase: "stopping" } }];
    await vi.waitFor(async () => expect(await workersOf(broker)).toMatchObject(shown));
    expect(await counted(broker)).toEqual({ ...NOBODY, unhealthy: 1 });
    for (const ends of [2, 3]) {
      await vi.waitFor(async () => {
        await passTime(endpointId, 5_000);
        expect(provider.called("end")).toHaveLength(ends);
      });
      expect(await workersOf(broker)).toMatchObject(shown);
    }
    await vi.waitFor(async () => {
      await passTime(endpointId, 5_000);
      expect(await workersOf(broker)).toEqual([]);
    });
    expect(provider.machines.size).toBe(0);
  });

  it.each([
    ["has no work", runAndLeave],
    ["is drained", drainAndLeave],
  ])("is shown where it %s and its provider does not show that it is gone, from two minutes on", async (_, leave) => {
    const away = { kind: "unreachable", detail: "It is away." } as const;
    const { broker, endpointId } = await leave({}, "end");
    provider.answers.list = Array.from({ length: 100 }, () => away);
    const sinceMs = Date.now();
    while (Date.now() < sinceMs + END_SHOWN_AFTER_MS - 10_000) {
      expect(await workersOf(broker)).toEqual([]);
      await passTime(endpointId, 10_000);
    }
    await passTime(endpointId, 20_000);
    const reason = expect.stringContaining("its provider has not shown yet that it is gone");
    expect(await workersOf(broker)).toMatchObject([{ state: "UNHEALTHY", reason, machine: { phase: "stopping" } }]);
    expect(await counted(broker)).toEqual({ ...NOBODY, unhealthy: 1 });
  });
});

describe("a worker of a fleet that its owner drains", () => {
  it("stays drained until its owner takes that back, whatever its fleet does", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [], fleet: fleet() });
    const jobId = await submitOne(broker);
    await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
    const id = provider.called("create")[0]?.machine?.instanceId ?? "";
    const worker = pullingWorker(broker, id, id);
    await worker.takeOne();
    const drain = (draining: boolean) => broker.drainWorker({ tenantId: "owner", workerId: id, draining });
    await drain(true);
    for (let passed = 0; passed < 12; passed += 1) {
      await worker.ping([jobId]);
      await passTime(endpointId, 10_000);
    }
    await worker.ping([jobId]);
    const why = "Its owner has drained its worker.";
    expect(await workersOf(broker)).toMatchObject([{ id, draining: true, machine: { lastError: why } }]);
    await drain(false);
    expect(await workersOf(broker)).toMatchObject([{ id, draining: false, machine: { lastError: null } }]);
    await worker.done(jobId);
  });
});

describe("a worker whose machine is stopped", () => {
  it("is idle for as long as it is stopped, and starts anew with its machine", async () => {
    const { broker, worker } = await runAndLeave({ keepsStopped: true }, "stop");
    const stopped = { state: "IDLE", machine: { phase: "stopped" } };
    await vi.waitFor(async () => expect(await workersOf(broker)).toMatchObject([stopped]));
    expect(await counted(broker)).toEqual({ ...NOBODY, idle: 1 });
    await submitOne(broker);
    await vi.waitFor(() => expect(provider.called("start")).toHaveLength(1));
    expect(await workersOf(broker)).toMatchObject([{ state: "INITIALIZING", machine: { phase: "starting" } }]);
    expect(await counted(broker)).toEqual({ ...NOBODY, initializing: 1 });
    // A heartbeat may come before the first call for a job.
    await worker.ping();
    expect(await workersOf(broker)).toMatchObject([{ state: "INITIALIZING", machine: { phase: "starting" } }]);
    await worker.takeOne();
    expect(await workersOf(broker)).toMatchObject([{ state: "RUNNING", machine: { phase: "ready" } }]);
  });

  it("is idle while it is being stopped", async () => {
    const stuck = Promise.withResolvers<never>();
    const { broker, endpointId } = await makeBroker({ upstreams: [], fleet: fleet({ keepsStopped: true }) });
    await submitOne(broker);
    await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
    const id = provider.called("create")[0]?.machine?.instanceId ?? "";
    const worker = pullingWorker(broker, id, id);
    await worker.done((await worker.takeOne()).jobId);
    provider.pending = stuck.promise;
    await passTime(endpointId, 5_500);
    await vi.waitFor(() => expect(provider.called("stop")).toHaveLength(1));
    expect(await workersOf(broker)).toMatchObject([{ state: "IDLE", machine: { phase: "stopping" } }]);
    provider.pending = null;
  });
});
