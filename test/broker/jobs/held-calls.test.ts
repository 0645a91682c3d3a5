// Calls that a broker holds are bounded a tenant: who has too many is told so at once, and nobody else feels it.
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { HeldCalls } from "../../../src/broker/jobs/held-calls.ts";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import { STREAM_START } from "../../../src/core/job/stream-cursor.ts";
import { HELD_ENDPOINT_MAX, HELD_TENANT_MAX, STOPS_HELD_MAX } from "../../../src/core/limits.ts";
import { WorkerRoster } from "../../../src/core/scheduling/worker-roster.ts";
import { makeBroker, submission, workerKey } from "../../support/broker.ts";
import { pullingWorker } from "../../support/pulling-worker.ts";

const TOO_MANY = { ok: false, failure: { kind: "too_many_held" } };

function countedOf(held: HeldCalls, tenantId: string, calls: number): number {
  let counted = 0;
  for (let call = 0; call < calls && held.hasRoom(tenantId); call += 1) {
    void held.count(tenantId, new Promise(() => undefined));
    counted += 1;
  }
  return counted;
}

async function submitted(broker: BrokerApi, tenantId: string): Promise<{ tenantId: string; jobId: string }> {
  const call = submission({ tenantId });
  expect(await broker.submit(call)).toMatchObject({ ok: true });
  return { tenantId, jobId: call.jobId };
}

/** As many waits as a tenant may have, half of them of readers. They are over when the test is. */
async function holdAll(broker: BrokerApi, job: { tenantId: string; jobId: string }): Promise<void> {
  const held = Array.from({ length: HELD_TENANT_MAX }, (_, at) =>
    at % 2 === 0
      ? broker.wait({ ...job, holdMs: 20_000 })
      : broker.readStream({ ...job, after: STREAM_START, holdMs: 20_000 }),
  );
  onTestFinished(async () => {
    await broker.cancel(job);
    await Promise.all(held);
  });
}

describe("held calls", () => {
  it("leave each tenant its share of an endpoint that is full", () => {
    const held = new HeldCalls();
    const tenants = HELD_ENDPOINT_MAX / HELD_TENANT_MAX;
    for (let at = 0; at < tenants; at += 1) expect(countedOf(held, `t${at}`, 10_000)).toBe(HELD_TENANT_MAX);
    expect(countedOf(held, "t0", 1)).toBe(0);
    expect(countedOf(held, "late", 10_000)).toBe(HELD_ENDPOINT_MAX / (tenants + 1));
    expect(countedOf(held, "later", 10_000)).toBe(Math.ceil(HELD_ENDPOINT_MAX / (tenants + 2)));
  });

  it("are remembered for as long as they are held", async () => {
    const held = new HeldCalls();
    const { promise, resolve } = Promise.withResolvers<void>();
    const counted = Array.from({ length: HELD_TENANT_MAX }, () => held.count("one", promise));
    expect(held.hasRoom("one")).toBe(false);
    resolve();
    await Promise.all(counted);
    expect(held.hasRoom("one")).toBe(true);
  });

  it("beyond a tenant's bound are answered at once; others wait, and no result is kept from anybody", {
    timeout: 30_000,
  }, async () => {
    const { broker } = await makeBroker({ upstreams: [] });
    const job = await submitted(broker, "many");
    const over = await submitted(broker, "many");
    await broker.cancel(over);
    await holdAll(broker, job);
    expect(await broker.wait({ ...job, holdMs: 20_000 })).toMatchObject(TOO_MANY);
    const read = { ...job, after: STREAM_START };
    expect(await broker.readStream({ ...read, holdMs: 20_000 })).toMatchObject(TOO_MANY);
    expect(await broker.readStream({ ...read, holdMs: 0, stays: true })).toMatchObject(TOO_MANY);
    // What is asked without being held is told.
    expect(await broker.readStream({ ...read, holdMs: 0 })).toMatchObject({ ok: true });
    expect(await broker.wait({ ...job, holdMs: 0 })).toMatchObject({ ok: true, value: { status: "IN_QUEUE" } });
    expect(await broker.wait({ ...over, holdMs: 20_000 })).toMatchObject({ ok: true, value: { status: "CANCELLED" } });
    const others = await submitted(broker, "others");
    const waiting = broker.wait({ ...others, holdMs: 20_000 });
    await broker.cancel(others);
    expect(await waiting).toMatchObject({ ok: true, value: { status: "CANCELLED" } });
  });
});

describe("what workers leave open", () => {
  it("is one job-take a worker once an endpoint has many, and the one that it needs is never refused", async () => {
    const { broker } = await makeBroker({ upstreams: [], workerKeys: [workerKey({ id: "key1", slots: 64 })] });
    const about = { wanted: 1, gpu: null, version: null };
    const { name } = pullingWorker(broker, "w1");
    const left = broker.takeJobs({ ...name, ...about, pollId: "left", idle: true });
    const crowd = vi.spyOn(WorkerRoster.prototype, "isCrowded", "get").mockReturnValue(true);
    expect(await broker.takeJobs({ ...name, ...about, pollId: "more", idle: false })).toMatchObject(TOO_MANY);
    const anew = broker.takeJobs({ ...name, ...about, pollId: "anew", idle: true });
    // The process that asked before is taken to be gone.
    expect(await left).toEqual({ ok: true, value: [] });
    const other = pullingWorker(broker, "w2");
    const first = broker.takeJobs({ ...other.name, ...about, pollId: "first", idle: false });
    for (let jobs = 0; jobs < 2; jobs += 1) await submitted(broker, "owner");
    for (const taken of await Promise.all([anew, first])) expect(taken.ok && taken.value.length).toBe(1);
    crowd.mockRestore();
  });

  it("is a bounded number of job-stops, whatever names they come under", { timeout: 30_000 }, async () => {
    const { broker } = await makeBroker({ upstreams: [], workerKeys: [workerKey({ id: "key1" })] });
    const held = Array.from({ length: STOPS_HELD_MAX }, (_, at) =>
      broker.awaitStops({ keyId: "key1", workerId: `made-up-${at}`, holdMs: 1_500 }),
    );
    const startedMs = performance.now();
    expect(await broker.awaitStops({ keyId: "key1", workerId: "one-more", holdMs: 20_000 })).toEqual([]);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    await Promise.all(held);
  });
});
