// A broker whose workers come and go by themselves: from no machine to one and back, with what goes wrong on the way.
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import type { FleetSettings } from "../../../src/contract/fleet.ts";
import type { TakeCall, WorkerCall } from "../../../src/contract/worker.ts";
import { LIST_AGAIN_MS, LIST_LAG_MS, LIST_STARTING_MS } from "../../../src/core/fleet/limits.ts";
import { WORKER_LEASE_MS } from "../../../src/core/limits.ts";
import { makeBroker, settings, submission } from "../../support/broker.ts";
import { DOLLAR, fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, statusOf, waitOf, workersOf } from "../../support/pulling-worker.ts";
import { evict } from "../../support/quiet.ts";

/** What a provider shows of a machine beside its name and id. */
const LISTED = { status: "running", priceNanodollarsPerHour: null, url: null, detail: null } as const;

const provider = useHeldProvider();

async function makeFleet(partial: Partial<FleetSettings> = {}) {
  const made = await makeBroker({ upstreams: [], fleet: fleet(partial) });
  return { ...made, pass: (ms: number) => passTime(made.endpointId, ms) };
}

async function submitOne(broker: BrokerApi): Promise<string> {
  const call = submission();
  await broker.submit(call);
  return call.jobId;
}

/** The worker of the machine that was created last. */
function newestWorker(broker: BrokerApi) {
  const id = provider.called("create").at(-1)?.machine?.instanceId ?? "";
  return pullingWorker(broker, id, id);
}

/** The machines have failed, with these last words. */
function failMachines(detail: string): void {
  for (const [name, machine] of provider.machines)
    provider.machines.set(name, { ...machine, status: "failed", detail });
}

function takeCall(name: WorkerCall): TakeCall {
  return { ...name, pollId: crypto.randomUUID(), wanted: 1, idle: true, gpu: null, version: null };
}

const created = (times: number) =>
  vi.waitFor(() => expect(provider.called("create")).toHaveLength(times), { timeout: 2_000 });

/** A job has come, and runs on a machine that was made for it. */
const runOne = (partial: Partial<FleetSettings> = {}) => runOneOf(1, partial);

/** The same after so many creates. */
async function runOneOf(creates: number, partial: Partial<FleetSettings>) {
  const made = await makeFleet(partial);
  const jobId = await submitOne(made.broker);
  await created(creates);
  const worker = newestWorker(made.broker);
  await worker.takeOne();
  return { ...made, jobId, worker };
}

/** Its machine is stopped, as it was not needed any more. */
async function stopOne() {
  const partial = fleet({ keepsStopped: true });
  const made = await runOne(partial);
  await made.worker.done(made.jobId);
  await made.pass(5_500);
  await vi.waitFor(() => expect(provider.called("stop")).toHaveLength(1));
  await made.pass(1_000);
  return { ...made, partial };
}

describe("an endpoint without a machine", () => {
  it("creates one for a job at once, whose worker runs it", async () => {
    const { broker, jobId, worker } = await runOne();
    await worker.done(jobId);
    expect(await statusOf(broker, jobId)).toMatchObject({ status: "COMPLETED", workerId: worker.name.workerId });
    expect(provider.called("create")).toMatchObject([{ providerId: "p1", machine: { gpuTypeId: "A", tier: "a4000" } }]);
  });

  it("tells a waiting job what it waits for", async () => {
    const { broker } = await makeFleet();
    const jobId = await submitOne(broker);
    await created(1);
    expect(await waitOf(broker, jobId)).toMatchObject({ reason: "STARTING" });
  });

  it("has no alarm and asks no provider for anything", async () => {
    const { endpointId } = await makeFleet();
    await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (_, { storage }) => {
      expect(await storage.getAlarm()).toBeNull();
    });
    expect(provider.calls).toEqual([]);
  });

  it("is as empty again once its worker was idle for long enough", async () => {
    const { endpointId, jobId, worker, pass } = await runOne();
    await worker.done(jobId);
    await pass(5_500);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    expect(provider.machines.size).toBe(0);
    for (let looks = 0; looks < 10; looks += 1) await pass(LIST_LAG_MS);
    await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (_, { storage }) => {
      expect(storage.sql.exec("SELECT * FROM instances").toArray()).toEqual([]);
    });
    const calls = provider.calls.length;
    await pass(3_600_000);
    expect(provider.calls).toHaveLength(calls);
  });
});

describe("a fleet over a start of its broker", () => {
  it("goes on with its machines, and ends none of them", async () => {
    const { endpointId, broker, jobId, worker, pass } = await runOne();
    await evict(endpointId);
    await pass(1_000);
    await worker.ping([jobId]);
    expect(await worker.done(jobId)).toBe("accepted");
    expect(provider.called("create")).toHaveLength(1);
    expect(provider.called("end")).toEqual([]);
    expect(await statusOf(broker, jobId)).toMatchObject({ status: "COMPLETED" });
  });

  it("asks for the name before it creates another one, where the answer was lost with the broker", async () => {
    const { broker, pass } = await makeFleet();
    const stuck = Promise.withResolvers<never>();
    provider.pending = stuck.promise;
    await submitOne(broker);
    await created(1);
    provider.pending = null;
    // An eviction would wait for the call.
    await abortAllDurableObjects();
    await pass(61_000);
    await vi.waitFor(() => expect(provider.called("list").length).toBeGreaterThan(0));
    await pass(1_000);
    await created(2);
    const [first, second] = provider.called("create").map(({ machine }) => machine?.instanceId);
    expect(first).not.toBe(second);
    expect(provider.calls.map(({ operation }) => operation).slice(0, 3)).toEqual(["create", "list", "create"]);
  });
});

describe("a create", () => {
  it("that finds no machine is told to those who wait, and the next kind of machine is asked for", async () => {
    const dear = {
      providerId: "p2",
      gpuTypeId: "B",
      priceNanodollarsPerHour: 2 * DOLLAR,
      tier: "a4000",
      canStop: false,
    };
    provider.answers.create = [{ kind: "no_capacity", detail: "nothing left of A" }];
    await runOneOf(2, { candidates: [...fleet().candidates, dear] });
    expect(provider.called("create").map(({ providerId }) => providerId)).toEqual(["p1", "p2"]);
  });

  it("is not made where all machines together would cost more than the endpoint may", async () => {
    const { broker } = await makeFleet({ ceilingNanodollarsPerHour: 1.5 * DOLLAR });
    const ids = [await submitOne(broker), await submitOne(broker)];
    await created(1);
    await newestWorker(broker).takeOne();
    const waits = await Promise.all(ids.map((id) => waitOf(broker, id)));
    expect(waits.filter((wait) => wait !== null)).toMatchObject([
      { reason: "NO_CAPACITY", detail: expect.stringContaining("$1.5 an hour") },
    ]);
    expect(provider.called("create")).toHaveLength(1);
  });

  it("whose workers fail again and again is a crash loop with their last words, and is made ever more seldom", async () => {
    const { broker, pass } = await makeFleet();
    const jobId = await submitOne(broker);
    for (let fails = 1; fails <= 3; fails += 1) {
      await created(fails);
      failMachines("CUDA out of memory");
      await pass(11_000);
      await vi.waitFor(() => expect(provider.called("end").length).toBeGreaterThanOrEqual(fails));
      await pass(60_000);
    }
    expect(await waitOf(broker, jobId)).toMatchObject({
      reason: "CRASH_LOOP",
      detail: expect.stringContaining("CUDA out of memory"),
    });
  });
});

describe("a machine whose job is cancelled while it starts", () => {
  it("is kept until its worker is there, and runs the next job if one comes within the idle timeout", async () => {
    const { broker, pass } = await makeFleet();
    const jobId = await submitOne(broker);
    await created(1);
    await broker.cancel({ tenantId: "owner", jobId });
    for (let seconds = 0; seconds < 180; seconds += 20) await pass(20_000);
    const worker = newestWorker(broker);
    const next = await submitOne(broker);
    expect((await worker.takeOne()).jobId).toBe(next);
    await worker.done(next);
    expect(provider.called("create")).toHaveLength(1);
    expect(provider.called("end")).toEqual([]);
    await pass(5_500);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  });

  it("is ended by the end of its idle timeout if none comes", async () => {
    const { broker, pass } = await makeFleet();
    const jobId = await submitOne(broker);
    await created(1);
    await broker.cancel({ tenantId: "owner", jobId });
    await pass(60_000);
    void newestWorker(broker).take();
    await vi.waitFor(async () => expect(await workersOf(broker)).toMatchObject([{ machine: { phase: "ready" } }]));
    await pass(4_500);
    expect(provider.called("end")).toEqual([]);
    await pass(1_000);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  });
});

describe("a machine that is not needed", () => {
  it("is stopped where that is wanted, and started again first", async () => {
    const { broker, jobId, worker, pass } = await runOne({ keepsStopped: true });
    await worker.done(jobId);
    await pass(5_500);
    await vi.waitFor(() => expect(provider.called("stop")).toHaveLength(1));
    await pass(1_000);
    await submitOne(broker);
    await vi.waitFor(() => expect(provider.called("start")).toHaveLength(1));
    expect(provider.called("create")).toHaveLength(1);
    await worker.takeOne();
  });

  it("gets no more jobs while it drains, and its key is none once it ends", async () => {
    const { broker, jobId, worker, pass } = await runOne();
    await worker.done(jobId);
    await pass(5_500);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    expect(await broker.takeJobs(takeCall(worker.name))).toMatchObject({
      ok: false,
      failure: { kind: "unauthorized" },
    });
  });

  it("is not ended while its worker runs a job of any length", async () => {
    const { worker, jobId, pass } = await runOne();
    for (let minute = 0; minute < 5; minute += 1) {
      await worker.ping([jobId]);
      await pass(9_000);
    }
    expect(provider.called("end")).toEqual([]);
  });
});

describe("a machine that its provider has not shown when it was created", () => {
  /** The create was taken, as a part of a newer state, by whose call alone the machine is answered. */
  const unshown = { kind: "done", instance: null } as const;

  it("is looked for, so that its end can be asked for as soon as it is not needed", async () => {
    provider.answers.create = [unshown];
    const { endpointId, worker, jobId, pass } = await runOne();
    const name = `wb-${endpointId}-${worker.name.workerId}`;
    provider.machines.set(name, { ...LISTED, name, ref: "late" });
    await worker.ping([jobId]);
    await pass(LIST_STARTING_MS);
    await vi.waitFor(() => expect(provider.called("list")).toHaveLength(1));
    await worker.done(jobId);
    await pass(5_500);
    await vi.waitFor(() => expect(provider.called("end")).toMatchObject([{ machine: { ref: "late" } }]));
  });

  it("has no record any more when a list that is newer than its end lacks it, and costs nothing then", async () => {
    provider.answers.create = [unshown];
    const { endpointId, broker, worker, jobId, pass } = await runOne({ ceilingNanodollarsPerHour: DOLLAR });
    await worker.done(jobId);
    await pass(5_500);
    for (let looks = 0; looks < 10; looks += 1) await pass(LIST_AGAIN_MS);
    await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (_, { storage }) => {
      expect(storage.sql.exec("SELECT * FROM instances").toArray()).toEqual([]);
    });
    await submitOne(broker);
    await created(2);
  });
});

describe("an endpoint with a schedule", () => {
  it("has its workers when their hour begins, and lets them go when it ends", async () => {
    vi.setSystemTime(Date.UTC(2050, 0, 3, 7, 59, 30));
    const entry = { days: ["Mon"], fromMinute: 8 * 60, toMinute: 9 * 60, min: 2 } as const;
    const { pass } = await makeFleet({ schedule: { timeZone: "UTC", entries: [{ ...entry, days: [...entry.days] }] } });
    expect(provider.called("create")).toEqual([]);
    await pass(30_000);
    await created(2);
    await pass(3_600_000);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(2));
  });
});

describe("an endpoint that keeps stopped machines no longer", () => {
  it("ends those that it has at once", async () => {
    const { endpointId, broker, partial } = await stopOne();
    const changed = settings({ endpointId, upstreams: [], fleet: { ...partial, keepsStopped: false } });
    await broker.configure({ ...changed, version: 2 });
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  });
});

describe("an endpoint whose fleet is taken away", () => {
  it("lets a worker finish its job: the hard end of its machine stays as it was", async () => {
    const { endpointId, broker, jobId, worker, pass } = await runOne();
    const endsAtMs = provider.called("create")[0]?.machine?.endsAtMs ?? 0;
    expect(endsAtMs).toBeGreaterThan(Date.now());
    await broker.configure({ ...settings({ endpointId, upstreams: [] }), version: 2 });
    for (let looks = 0; looks < 4; looks += 1) {
      await worker.ping([jobId]);
      await pass(20_000);
    }
    expect(provider.called("end")).toEqual([]);
    const listed = provider.called("list").at(-1)?.desired.machines;
    expect(listed).toMatchObject([{ endsAtMs, state: "running" }]);
    await worker.done(jobId);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  });
});

describe("a machine that dies in the middle of a job", () => {
  it("is asked for as soon as the job is lost, and replaced, before its worker counts as gone", async () => {
    const { broker, jobId: first, worker, pass } = await runOne();
    await worker.done(first);
    const jobId = await submitOne(broker);
    await worker.takeOne();
    await pass(5_000);
    await worker.ping([jobId]);
    failMachines("its host is gone");
    await pass(WORKER_LEASE_MS + 500);
    await created(2);
    // The job itself pauses before its next attempt.
    await pass(5_000);
    await newestWorker(broker).takeOne();
    expect(await statusOf(broker, jobId)).toMatchObject({ status: "IN_PROGRESS", retries: 1 });
  });
});

/** A machine of the endpoint is there that its broker does not know. */
function leaveOrphan(endpointId: string): void {
  const name = `wb-${endpointId}-zzzzzzzzzzzz`;
  provider.machines.set(name, { ...LISTED, name, ref: "lost" });
}

describe("a machine that no record owns", () => {
  it("is ended when a list shows it", async () => {
    const { endpointId, worker, jobId, pass } = await runOne();
    leaveOrphan(endpointId);
    for (let looks = 0; looks < 4; looks += 1) {
      await worker.ping([jobId]);
      await pass(20_000);
    }
    await vi.waitFor(() => expect(provider.called("end")).toMatchObject([{ machine: { ref: "lost" } }]));
    expect(provider.machines.size).toBe(1);
  });

  it("is found and ended at an endpoint without any machine, too, when that is looked after", async () => {
    const { endpointId, broker, pass } = await makeFleet();
    leaveOrphan(endpointId);
    await broker.sweepFleet();
    await vi.waitFor(() => expect(provider.called("end")).toMatchObject([{ machine: { ref: "lost" } }]));
    for (let looks = 0; looks < 4; looks += 1) await pass(LIST_LAG_MS);
    await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (_, { storage }) => {
      expect(storage.sql.exec("SELECT * FROM instances").toArray()).toEqual([]);
    });
  });

  it("is looked for again a day later, where the answer to the first question was lost", async () => {
    const { endpointId, broker, pass } = await makeFleet();
    leaveOrphan(endpointId);
    provider.answers.list = [{ kind: "unreachable", detail: "it is away" }];
    await broker.sweepFleet();
    await vi.waitFor(() => expect(provider.called("list")).toHaveLength(1));
    expect(provider.called("end")).toEqual([]);
    await pass(86_400_000);
    await broker.sweepFleet();
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  });
});

describe("a deleted endpoint", () => {
  it("ends its machines, and goes only when they are gone", async () => {
    const { endpointId, broker, jobId, worker, pass } = await runOne();
    await worker.done(jobId);
    await broker.configure({ ...settings({ endpointId, upstreams: [] }), version: 2, deletedAtMs: Date.now() });
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    await pass(1_000);
    expect(provider.machines.size).toBe(0);
  });

  it("ends machines that are stopped, too: no job will come for them", async () => {
    const { endpointId, broker, partial } = await stopOne();
    const deleted = { ...settings({ endpointId, upstreams: [], fleet: partial }), deletedAtMs: Date.now() };
    await broker.configure({ ...deleted, version: 2 });
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    expect(provider.machines.size).toBe(0);
  });
});
