// Machines whose workers do not begin: each is ended as soon as that is known, the next one waits for longer each time, and whoever waits
// is told why.
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { makeBroker, settings, submission } from "../../support/broker.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, statusOf, waitOf, workersOf } from "../../support/pulling-worker.ts";
import { evict } from "../../support/quiet.ts";

const SDK = "2.0.0rc2";
const FAILED = {
  kind: "start_failed",
  start: { kind: "failed", error: "the hook's own error", detail: "Its start failed in the hook h: no GPU" },
} as const;

const provider = useHeldProvider();

/** An endpoint with a job for which its first machine was made. */
async function makeFleet() {
  const { broker, endpointId } = await makeBroker({ upstreams: [], fleet: fleet() });
  const { jobId, ...call } = submission();
  await broker.submit({ jobId, ...call });
  await created(1);
  return { broker, endpointId, jobId, pass: (ms: number) => passTime(endpointId, ms) };
}

const created = (times: number) =>
  vi.waitFor(() => expect(provider.called("create")).toHaveLength(times), { timeout: 2_000 });
const ended = (times: number) =>
  vi.waitFor(() => expect(provider.called("end")).toHaveLength(times), { timeout: 2_000 });

/** The worker of the machine that was created last. */
function newestWorker(broker: BrokerApi) {
  const id = provider.called("create").at(-1)?.machine?.instanceId ?? "";
  return pullingWorker(broker, id, id);
}

describe("a worker that reports that its start has failed", () => {
  it("is ended at once, another one is tried after a growing pause, and the job fails with its words in the end", async () => {
    const { broker, jobId, pass } = await makeFleet();
    for (const [fails, pauseMs] of [5_000, 10_000, 20_000].entries()) {
      await created(fails + 1);
      const worker = newestWorker(broker);
      await worker.takeOne({ version: SDK });
      await worker.report(jobId, FAILED);
      await ended(fails + 1);
      expect(await waitOf(broker, jobId)).toMatchObject({
        reason: fails === 2 ? "CRASH_LOOP" : "STARTING",
        detail: expect.stringContaining("Its start failed in the hook h: no GPU"),
      });
      // A quarter of it may come by chance.
      await pass(1.25 * pauseMs + 1);
    }
    await created(4);
    const last = newestWorker(broker);
    await last.takeOne({ version: SDK });
    await last.report(jobId, FAILED);
    expect(await statusOf(broker, jobId)).toMatchObject({ status: "FAILED", error: FAILED.start.error });
  });

  it("before it has asked for a job, as by a check of its machine, is ended at once as well", async () => {
    const { broker, jobId } = await makeFleet();
    await newestWorker(broker).ping([], "The check gpu failed: no CUDA.");
    await ended(1);
    expect(await waitOf(broker, jobId)).toMatchObject({ detail: expect.stringContaining("no CUDA") });
    const shown = { state: "UNHEALTHY", reason: expect.stringContaining("no CUDA") };
    expect(await workersOf(broker)).toContainEqual(expect.objectContaining(shown));
  });

  it("is followed by fewer and fewer while another worker of the fleet is well, and whoever waits is told of a crash loop", async () => {
    const { broker, jobId, pass } = await makeFleet();
    const well = newestWorker(broker);
    await well.takeOne();
    await well.done(jobId);
    const [running, waiting] = [submission(), submission()];
    await broker.submit(running);
    await well.takeOne();
    await broker.submit(waiting);
    for (const [fails, pauseMs] of [5_000, 10_000, 20_000, 40_000].entries()) {
      await created(fails + 2);
      await newestWorker(broker).ping([], "The check gpu failed: no CUDA.");
      await ended(fails + 1);
      await well.ping([running.jobId]);
      expect(await waitOf(broker, waiting.jobId)).toMatchObject({ reason: fails < 2 ? "STARTING" : "CRASH_LOOP" });
      await pass(pauseMs - 1_000);
      expect(provider.called("create")).toHaveLength(fails + 2);
      await well.ping([running.jobId]);
      // A quarter of it may come by chance.
      await pass(0.25 * pauseMs + 1_001);
    }
  });

  it("keeps its machine while it runs another job: a handler that began before the broker may have used such words", async () => {
    const { broker, endpointId } = await makeBroker({ upstreams: [], fleet: fleet({ slots: 2, max: 1 }) });
    const [one, other] = [submission(), submission()];
    await broker.submit(one);
    await broker.submit(other);
    await created(1);
    expect(await newestWorker(broker).take({ version: SDK, wanted: 2 })).toHaveLength(2);
    await evict(endpointId);
    const again = newestWorker(brokerOf(env, endpointId));
    await again.ping([one.jobId, other.jobId]);
    await again.report(one.jobId, FAILED);
    await passTime(endpointId, 1_000);
    expect(provider.called("end")).toEqual([]);
    expect(await again.done(other.jobId)).toBe("accepted");
  });
});

describe("a machine that has ended before its worker ran a job", () => {
  it("has failed its start, though its worker had asked for one", async () => {
    const { broker, endpointId } = await makeBroker({ upstreams: [], fleet: fleet({ min: 1 }) });
    await created(1);
    const worker = newestWorker(broker);
    const asking = worker.take({ pollId: "p" });
    await vi.waitFor(async () => expect(await workersOf(broker)).toMatchObject([{ state: "IDLE" }]));
    for (const [name, machine] of provider.machines)
      provider.machines.set(name, { ...machine, status: "failed", detail: "CUDA out of memory" });
    await broker.abandonTake({ ...worker.name, pollId: "p", leases: [] });
    await asking;
    // The provider is asked before the worker is silent for long enough.
    await passTime(endpointId, 30_000);
    await worker.ping();
    await passTime(endpointId, 31_000);
    await ended(1);
    const { jobId, ...call } = submission();
    await broker.submit({ jobId, ...call });
    expect(await waitOf(broker, jobId)).toMatchObject({
      reason: "STARTING",
      detail: expect.stringContaining("A worker failed its start: CUDA out of memory"),
    });
  });
});

it("machines that start when the fleet is taken away have not failed their start", async () => {
  const { endpointId, broker, pass } = await makeFleet();
  await pass(1_000);
  await broker.configure({ ...settings({ endpointId, upstreams: [] }), version: 2 });
  await ended(1);
  await broker.configure({ ...settings({ endpointId, upstreams: [] }), fleet: fleet(), version: 3 });
  await created(2);
});
