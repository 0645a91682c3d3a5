// Machines whose work has no price, as those of a GPU that the endpoint selects no more, and what a change of prices and of money makes of
// a fleet.
import { describe, expect, it, vi } from "vitest";
import type { EndpointSettings } from "../../../src/contract/settings.ts";
import { activeRate, makeActive } from "../../support/active.ts";
import { makeBroker, settings, submission } from "../../support/broker.ts";
import { costsOf } from "../../support/broker-costs.ts";
import { DOLLAR, fleet, useHeldProvider } from "../../support/held-provider.ts";
import { answerPings, lbRequest } from "../../support/load-balanced.ts";
import { passTime, pullingWorker, statusOf, waitOf, workersOf } from "../../support/pulling-worker.ts";
import { stateOf } from "../../support/quiet.ts";

const provider = useHeldProvider();

const done = (operation: "create" | "end", times: number) =>
  vi.waitFor(() => expect(provider.called(operation)).toHaveLength(times), { timeout: 2_000 });
const idOf = (at: number) => provider.called("create")[at]?.machine?.instanceId ?? "";
const flex = (tier: string, effectiveFromMs = 0) =>
  ({ tier, kind: "flex", nanodollarsPerSecond: 160_000, effectiveFromMs }) as const;
const kind = (tier: string, gpuTypeId: string) =>
  ({ providerId: "p1", gpuTypeId, priceNanodollarsPerHour: DOLLAR, tier, canStop: true }) as const;
/** The settings of an endpoint that has changed to another GPU: those of D1 have the prices of this one's tier alone. */
const OTHER_GPU = { rates: [flex("l4")], version: 2 };

async function makeFleet(partial: Parameters<typeof fleet>[0] = {}, rates?: EndpointSettings["rates"]) {
  const made = await makeBroker({ upstreams: [], fleet: fleet(partial), ...(rates === undefined ? {} : { rates }) });
  const { endpointId, broker } = made;
  return {
    ...made,
    pass: (ms: number) => passTime(endpointId, ms),
    worker: (at: number) => pullingWorker(broker, idOf(at), idOf(at)),
    change: (changes: Partial<EndpointSettings>) =>
      broker.configure({ ...settings({ endpointId, upstreams: [] }), version: 2, ...changes }),
  };
}

describe("a job that waits for a machine that may not be had", () => {
  it("has it once the ceiling is raised", async () => {
    const { broker, change } = await makeFleet({ ceilingNanodollarsPerHour: 1 });
    const call = submission();
    await broker.submit(call);
    expect(await waitOf(broker, call.jobId)).toMatchObject({ reason: "NO_CAPACITY" });
    await change({ fleet: fleet({ ceilingNanodollarsPerHour: 10 * DOLLAR }) });
    await done("create", 1);
  });

  it("has it once the price of its work begins, without another push of the settings", async () => {
    const beginsAtMs = Date.now() + 3_600_000;
    const { broker, endpointId } = await makeFleet({ candidates: [kind("new", "N")] }, [flex("new", beginsAtMs)]);
    const alarm = () => stateOf(endpointId, ({ storage }) => storage.getAlarm());
    expect(await alarm()).toBeNull();
    const call = submission();
    await broker.submit(call);
    expect(await waitOf(broker, call.jobId)).toMatchObject({ reason: "NO_CAPACITY" });
    expect(await alarm()).toBeLessThanOrEqual(beginsAtMs + 500);
    vi.setSystemTime(beginsAtMs + 500);
    await passTime(endpointId, 0);
    await done("create", 1);
  });
});

describe("a ceiling that is lowered", () => {
  it("has a machine that runs a job end after it, and no row is written for it until then", async () => {
    const { broker, change, worker, pass, endpointId } = await makeFleet();
    const call = submission();
    await broker.submit(call);
    await done("create", 1);
    await worker(0).takeOne();
    await change({ fleet: fleet({ ceilingNanodollarsPerHour: 1 }) });
    const beat = async () => {
      await worker(0).ping([call.jobId]);
      await pass(10_000);
    };
    await beat();
    const before = await costsOf(endpointId);
    for (let beats = 0; beats < 12; beats += 1) await beat();
    expect((await costsOf(endpointId)).rowsWritten).toBe(before.rowsWritten);
    await worker(0).done(call.jobId);
    await done("end", 1);
  });

  it("ends a machine at once that has no job", async () => {
    const { change, worker } = await makeFleet({ min: 1 });
    await done("create", 1);
    await worker(0).ping();
    await change({ fleet: fleet({ min: 1, ceilingNanodollarsPerHour: 1 }) });
    await done("end", 1);
  });
});

describe("an endpoint that changes to another GPU", () => {
  it("has a machine of it at once in place of an idle one of the former, though that one calls", async () => {
    const { broker, worker, change } = await makeFleet({ min: 1, max: 1 });
    await done("create", 1);
    const first = submission();
    await broker.submit(first);
    await worker(0).takeOne();
    await worker(0).done(first.jobId);
    await worker(0).ping();
    await change({ ...OTHER_GPU, fleet: fleet({ min: 1, max: 1, candidates: [kind("l4", "B")] }) });
    await done("end", 1);
    await done("create", 2);
    expect(provider.called("create")[1]?.machine).toMatchObject({ gpuTypeId: "B", tier: "l4" });
    const call = submission();
    await broker.submit(call);
    const [job] = await worker(1).take();
    expect(job?.jobId).toBe(call.jobId);
  });

  it("ends one that runs a job after that job, which is billed by the price of its start", async () => {
    const { broker, worker, change, pass } = await makeFleet({ min: 1, max: 1 });
    await done("create", 1);
    const call = submission();
    await broker.submit(call);
    await worker(0).takeOne();
    await change({ ...OTHER_GPU, fleet: fleet({ min: 1, max: 1, candidates: [kind("l4", "B")] }) });
    await done("create", 2);
    await pass(1_000);
    expect(provider.called("end")).toEqual([]);
    await worker(0).done(call.jobId);
    await done("end", 1);
    expect((await statusOf(broker, call.jobId)).status).toBe("COMPLETED");
  });

  it.each([
    ["that goes on", false],
    ["that is paused", true],
  ])("has no second machine made for the job that runs, where it is one %s", async (_, paused) => {
    const { broker, worker, change, pass } = await makeFleet();
    const call = submission();
    await broker.submit(call);
    await done("create", 1);
    await worker(0).takeOne();
    await change({ ...OTHER_GPU, paused, fleet: fleet({ candidates: [kind("l4", "B")] }) });
    for (let passed = 0; passed < 120_000; passed += 10_000) {
      await worker(0).ping([call.jobId]);
      await pass(10_000);
    }
    expect(await workersOf(broker)).toMatchObject([{ machine: { phase: "draining" } }]);
    await worker(0).done(call.jobId);
    await done("end", 1);
    expect(provider.called("create")).toHaveLength(1);
  });

  it("ends one that was stopped, instead of keeping it to be started again", async () => {
    const partial = { keepsStopped: true } as const;
    const { broker, worker, change, pass } = await makeFleet(partial);
    const call = submission();
    await broker.submit(call);
    await done("create", 1);
    await worker(0).takeOne();
    await worker(0).done(call.jobId);
    await pass(5_500);
    await vi.waitFor(() => expect(provider.called("stop")).toHaveLength(1));
    await pass(1_000);
    await change({ ...OTHER_GPU, fleet: fleet({ ...partial, candidates: [kind("l4", "B")] }) });
    await done("end", 1);
  });

  it("serves load-balanced requests by a machine of the new one", async () => {
    answerPings(() => "ready");
    provider.url = "http://worker.test";
    const rates = [activeRate(), flex("a4000")];
    const made = await makeActive({ kind: "load_balancer", rates, fleet: fleet({ min: 1, max: 1 }) });
    const request = () => lbRequest(made.endpointId, { tenantId: made.tenantId, affinity: "" });
    const first = request();
    const ticket = await first.ticket();
    await made.change({ rates: [flex("l4")], fleet: fleet({ min: 1, max: 1, candidates: [kind("l4", "B")] }) });
    await done("create", 2);
    const next = request();
    expect((await next.ticket()).upstream).toMatchObject({ id: idOf(1), tier: "l4" });
    // The former one ends after its request.
    expect(provider.called("end")).toEqual([]);
    await first.leave(ticket);
    await done("end", 1);
  });
});
