// How long an endpoint's jobs wait and run and its machines start: which jobs count as cold, and what a start of the broker leaves of it.
import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import type { FleetSettings } from "../../../src/contract/fleet.ts";
import { LIST_LAG_MS } from "../../../src/core/fleet/limits.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, pullOnly, statusOf, waitOf } from "../../support/pulling-worker.ts";
import { evict, stateOf } from "../../support/quiet.ts";

const HOUR_MS = 3_600_000;

const provider = useHeldProvider();

async function makeFleet(partial: Partial<FleetSettings> = {}) {
  const made = await makeBroker({ upstreams: [], fleet: fleet(partial) });
  return { ...made, pass: (ms: number) => passTime(made.endpointId, ms) };
}

/** When each job came, epoch ms. */
const cameAtMs = new Map<string, number>();

async function submitOne(broker: BrokerApi): Promise<string> {
  const call = submission();
  cameAtMs.set(call.jobId, Date.now());
  await broker.submit(call);
  return call.jobId;
}

/** The clock moves, and nothing rings. */
function wait(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

/** It is so long after that job came, however often this test has looked for something since: each look moves the clock. */
function waitedBy(jobId: string, ms: number): void {
  vi.setSystemTime((cameAtMs.get(jobId) ?? 0) + ms);
}

async function timingOf(broker: BrokerApi) {
  const timing = await broker.readTiming({ tenantId: "owner" });
  if (timing === null) throw new Error("the endpoint is not its owner's");
  return timing;
}

const created = (times: number) =>
  vi.waitFor(() => expect(provider.called("create")).toHaveLength(times), { timeout: 2_000 });

/** The worker of the machine that was created last. */
function newestWorker(broker: BrokerApi) {
  const id = provider.called("create").at(-1)?.machine?.instanceId ?? "";
  return pullingWorker(broker, id, id);
}

const same = (ms: number) => ({ p50: ms, p90: ms, p99: ms });

/** A job has come, its machine was ready 30 s later, and it has run for 4 s. */
async function runFirst(partial: Partial<FleetSettings> = {}) {
  const made = await makeFleet(partial);
  const jobId = await submitOne(made.broker);
  await created(1);
  waitedBy(jobId, 30_000);
  const worker = newestWorker(made.broker);
  await worker.takeOne();
  wait(4_000);
  await worker.done(jobId);
  return { ...made, worker, jobId };
}

describe("a job of a fleet", () => {
  it("is cold where it has waited for its machine, and warm where the machine was ready", async () => {
    const { broker, worker } = await runFirst();
    const next = await submitOne(broker);
    wait(200);
    await worker.takeOne();
    wait(6_000);
    await worker.done(next);
    const { warm, cold, starts } = await timingOf(broker);
    expect(cold).toMatchObject({ jobs: 1, waitMs: same(30_000), executionMs: same(4_000) });
    expect(warm).toMatchObject({ jobs: 1, sinceMs: Date.now(), waitMs: same(200), executionMs: same(6_000) });
    expect(starts.created).toMatchObject({ count: 1, startMs: same(30_000) });
    expect(starts.resumed).toEqual({ count: 0, sinceMs: null, startMs: null });
  });

  it("is cold though others came before it to the machine for which it has waited", async () => {
    const { broker } = await makeFleet({ max: 1 });
    const ids = [await submitOne(broker), await submitOne(broker)];
    await created(1);
    waitedBy(ids[0] ?? "", 30_000);
    const worker = newestWorker(broker);
    for (const id of ids) {
      await worker.takeOne();
      wait(1_000);
      await worker.done(id);
    }
    expect(await timingOf(broker)).toMatchObject({ cold: { jobs: 2, waitMs: { p50: 30_000, p99: 31_000 } } });
  });

  it("is warm where it has waited for a busy worker, whatever starts for it meanwhile", async () => {
    const { broker, worker } = await runFirst();
    const [busy, waiting] = [await submitOne(broker), await submitOne(broker)];
    await worker.takeOne();
    await created(2);
    waitedBy(waiting, 9_000);
    await worker.done(busy);
    await worker.takeOne();
    await worker.done(waiting);
    expect(await timingOf(broker)).toMatchObject({
      warm: { jobs: 2, waitMs: { p50: 0, p99: 9_000 } },
      cold: { jobs: 1 },
      starts: { created: { count: 1 } },
    });
  });

  it("is what its last attempt is: cold once its worker was lost and another machine has started for it", async () => {
    const { broker, worker, pass } = await runFirst();
    const jobId = await submitOne(broker);
    await worker.takeOne();
    wait(1_000);
    await worker.ping([jobId]);
    for (let looks = 0; looks < 8; looks += 1) await pass(15_000);
    await created(2);
    waitedBy(jobId, 150_000);
    await newestWorker(broker).takeOne();
    await newestWorker(broker).done(jobId);
    expect(await statusOf(broker, jobId)).toMatchObject({ status: "COMPLETED", retries: 1 });
    expect(await timingOf(broker)).toMatchObject({ warm: { jobs: 0 }, cold: { jobs: 2, waitMs: { p99: 150_000 } } });
  });

  it("is cold on a machine that was stopped, whose start counts apart from those of new ones", async () => {
    const { broker, worker, pass } = await runFirst({ keepsStopped: true });
    await pass(5_500);
    await vi.waitFor(() => expect(provider.called("stop")).toHaveLength(1));
    await pass(1_000);
    const jobId = await submitOne(broker);
    await vi.waitFor(() => expect(provider.called("start")).toHaveLength(1));
    waitedBy(jobId, 3_000);
    await worker.takeOne();
    await worker.done(jobId);
    expect(await timingOf(broker)).toMatchObject({
      cold: { jobs: 2, waitMs: { p50: 3_000, p99: 30_000 } },
      starts: { created: { count: 1, startMs: same(30_000) }, resumed: { count: 1, startMs: same(3_000) } },
    });
  });
});

describe("a job of a worker that no fleet has made", () => {
  it("is warm, and counts once its handler has completed it or reported an error", async () => {
    const { broker } = await makeBroker(pullOnly);
    const worker = pullingWorker(broker, "w1");
    const [completed, failing, cancelled] = [await submitOne(broker), await submitOne(broker), await submitOne(broker)];
    wait(2_000);
    await worker.takeOne();
    wait(1_000);
    await worker.done(completed);
    await worker.takeOne();
    wait(3_000);
    await worker.report(failing, { kind: "handler_error", failure: failed("handler_error", "no"), output: null });
    await broker.cancel({ tenantId: "owner", jobId: cancelled });
    expect(await timingOf(broker)).toMatchObject({
      warm: { jobs: 2, waitMs: { p50: 2_000, p99: 3_000 }, executionMs: { p50: 1_000, p99: 3_000 } },
      cold: { jobs: 0, sinceMs: null, waitMs: null, executionMs: null },
      starts: { created: { count: 0 } },
    });
  });
});

describe("the times of an endpoint", () => {
  it("are those of its owner alone", async () => {
    const { broker } = await runFirst();
    expect(await broker.readTiming({ tenantId: "another" })).toBeNull();
  });

  it("are there when the broker was lost with its memory, each once", async () => {
    const { endpointId, broker, worker } = await runFirst();
    const [next, other] = [await submitOne(broker), await submitOne(broker)];
    await worker.takeOne();
    await created(2);
    await worker.done(next);
    wait(1_000);
    // From here on the first two jobs stand in the checkpoint, and in their rows as well.
    await newestWorker(broker).takeOne();
    wait(1_000);
    await newestWorker(broker).done(other);
    const before = await timingOf(broker);
    expect(before).toMatchObject({ warm: { jobs: 1 }, cold: { jobs: 2 }, starts: { created: { count: 2 } } });
    await abortAllDurableObjects();
    expect(await timingOf(brokerOf(env, endpointId))).toEqual(before);
  });

  it("outlive the rows of the jobs and the record of the machine", async () => {
    const { endpointId, broker, pass } = await runFirst();
    const before = await timingOf(broker);
    await pass(5_500);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    for (let looks = 0; looks < 4; looks += 1) await pass(LIST_LAG_MS);
    await evict(endpointId);
    await pass(HOUR_MS);
    await evict(endpointId);
    const left = await stateOf(endpointId, ({ storage: { sql } }) =>
      ["jobs", "instances"].map((table) => sql.exec(`SELECT * FROM ${table}`).toArray()),
    );
    expect(left).toEqual([[], []]);
    expect(await timingOf(broker)).toEqual(before);
  });

  it("tell who waits what a start usually takes, also after a start of the broker", async () => {
    const { endpointId, pass } = await makeFleet();
    const told: (string | undefined)[] = [];
    for (const [made, tookMs] of [20_000, 60_000, 30_000, 0].entries()) {
      const broker = brokerOf(env, endpointId);
      const jobId = await submitOne(broker);
      await created(made + 1);
      told.push((await waitOf(broker, jobId))?.detail);
      waitedBy(jobId, tookMs);
      await newestWorker(broker).takeOne();
      await newestWorker(broker).done(jobId);
      await pass(5_500);
      await vi.waitFor(() => expect(provider.called("end")).toHaveLength(made + 1));
      await abortAllDurableObjects();
    }
    expect(told).toEqual([
      expect.stringMatching(/since 0 s\.$/),
      expect.stringMatching(/; the last one took 20 s\.$/),
      expect.stringMatching(/; the last one took 60 s\.$/),
      expect.stringMatching(/; usually it takes 30 s\.$/),
    ]);
  });
});
