// Machines that their provider shows as ended: whether they have is for their workers to show, and so is until when they were there.
import { env } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import type { FleetSettings } from "../../../src/contract/fleet.ts";
import { WORKER_GONE_AFTER_MS } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { activeRate, makeActive } from "../../support/active.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, waitOf, workersOf } from "../../support/pulling-worker.ts";
import { evict } from "../../support/quiet.ts";

const provider = useHeldProvider();
const BEAT_MS = 10_000;

const created = (times: number) =>
  vi.waitFor(() => expect(provider.called("create")).toHaveLength(times), { timeout: 2_000 });
const idOf = (at: number) => provider.called("create")[at]?.machine?.instanceId ?? "";

function showAs(status: "failed" | "ended" | "stopped"): void {
  for (const [name, machine] of provider.machines) provider.machines.set(name, { ...machine, status });
}

const FAILED_START = { detail: expect.stringContaining("A worker failed its start") };

/** What the next job waits for. */
async function waitOfNext(broker: BrokerApi) {
  const { jobId, ...call } = submission();
  await broker.submit({ jobId, ...call });
  return waitOf(broker, jobId);
}

/** So much time passes with heartbeats. */
async function beat(endpointId: string, ms: number, ping: () => Promise<unknown>): Promise<void> {
  for (let passed = 0; passed < ms; passed += BEAT_MS) {
    await ping();
    await passTime(endpointId, BEAT_MS);
  }
}

/** The worker of the only machine runs its first job. */
async function runFirst(partial: Partial<FleetSettings> = {}) {
  const { endpointId, broker } = await makeBroker({ upstreams: [], fleet: fleet(partial) });
  const { jobId, ...call } = submission();
  await broker.submit({ jobId, ...call });
  await created(1);
  const worker = pullingWorker(broker, idOf(0), idOf(0));
  await worker.takeOne();
  return { endpointId, broker, worker, jobId };
}

/** The worker of the only machine has run a job, and runs another one. `wasCut`: one of its polls was cut in between. */
async function runSecond(wasCut = false) {
  const { jobId: firstId, ...made } = await runFirst();
  const { broker, worker, endpointId } = made;
  await worker.done(firstId);
  if (wasCut) {
    const open = worker.take({ pollId: "p" });
    await passTime(endpointId, 1_000);
    await broker.abandonTake({ ...worker.name, pollId: "p", leases: [] });
    await open;
  }
  const { jobId, ...call } = submission();
  await broker.submit({ jobId, ...call });
  await worker.takeOne();
  return { ...made, jobId };
}

it.each(["failed", "ended", "stopped"] as const)(
  "a machine that is shown as %s stays while its worker is at work and calls, and ends once the worker is silent",
  async (status) => {
    const { endpointId, broker, worker, jobId } = await runSecond();
    showAs(status);
    await beat(endpointId, 3 * WORKER_GONE_AFTER_MS, () => worker.ping([jobId]));
    expect(provider.called("list").length).toBeGreaterThan(1);
    expect(provider.called("end")).toEqual([]);
    expect(await workersOf(broker)).toMatchObject([{ machine: { phase: "ready" } }]);
    await beat(endpointId, WORKER_GONE_AFTER_MS, async () => undefined);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  },
);

it.each([
  ["runs its first job", () => runFirst()],
  ["runs its second job, after one of its polls was cut", () => runSecond(true)],
])("a machine that is shown as stopped stays while its worker %s and calls", async (_, run) => {
  const { endpointId, broker, worker, jobId } = await run();
  showAs("stopped");
  await beat(endpointId, 3 * WORKER_GONE_AFTER_MS, () => worker.ping([jobId]));
  expect(provider.called("list").length).toBeGreaterThan(1);
  expect(provider.called("end")).toEqual([]);
  expect(provider.called("create")).toHaveLength(1);
  expect(await worker.done(jobId)).toBe("accepted");
  expect(await workersOf(broker)).toMatchObject([{ machine: { phase: "ready" } }]);
});

it("a machine that is shown as failed has failed its start where its worker has fallen silent in its first job", async () => {
  const { endpointId, broker, worker, jobId } = await runFirst();
  showAs("failed");
  await beat(endpointId, 30_000, () => worker.ping([jobId]));
  expect(provider.called("end")).toEqual([]);
  // The next list comes before the worker is silent for so long that this alone ends it.
  await passTime(endpointId, 31_000);
  await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  expect(await waitOfNext(broker)).toMatchObject(FAILED_START);
});

it("a machine that is shown as failed has failed its start where its worker has run nothing and runs nothing, though that one calls", async () => {
  const { endpointId, broker } = await makeBroker({ upstreams: [], fleet: fleet({ min: 1 }) });
  await created(1);
  const worker = pullingWorker(broker, idOf(0), idOf(0));
  const asking = worker.take({ pollId: "p" });
  await vi.waitFor(async () => expect(await workersOf(broker)).toMatchObject([{ state: "IDLE" }]));
  await broker.abandonTake({ ...worker.name, pollId: "p", leases: [] });
  await asking;
  showAs("failed");
  await beat(endpointId, 50_000, () => worker.ping());
  await worker.ping();
  expect(provider.called("end")).toEqual([]);
  await passTime(endpointId, BEAT_MS + 1_000);
  await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  expect(await waitOfNext(broker)).toMatchObject(FAILED_START);
});

it.each([
  ["calls for a while", 3 * WORKER_GONE_AFTER_MS],
  ["does not call any more", 0],
])(
  "a machine that was ready before a start of its broker, and is shown as ended, has failed no start where its worker %s",
  async (_, callsMs) => {
    const { endpointId, worker: early, jobId } = await runFirst({ idleTimeoutMs: 600_000 });
    await early.done(jobId);
    await beat(endpointId, BEAT_MS, () => early.ping());
    await evict(endpointId);
    const broker = brokerOf(env, endpointId);
    const worker = pullingWorker(broker, idOf(0), idOf(0));
    await worker.ping();
    showAs("ended");
    await beat(endpointId, callsMs, () => worker.ping());
    expect(provider.called("end")).toEqual([]);
    for (let passed = 0; passed < 2 * WORKER_GONE_AFTER_MS && provider.called("end").length === 0; passed += 1_000)
      await passTime(endpointId, 1_000);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    // The next one is begun without a pause.
    const wait = await waitOfNext(broker);
    expect(wait?.detail).not.toContain("failed its start");
    await created(2);
  },
);

it("an active machine that is shown as failed was held until its worker's last call", async () => {
  vi.setSystemTime(Date.UTC(2052, 0, 1));
  const rates = [activeRate(), { ...activeRate(), kind: "flex" as const }];
  const made = await makeActive({ rates, fleet: fleet({ min: 1, max: 1 }) });
  await created(1);
  await made.ask(idOf(0), idOf(0));
  await passTime(made.endpointId, 5_000);
  await made.ping(idOf(0), idOf(0));
  const lastMs = Date.now();
  showAs("failed");
  for (let passed = 0; passed < WORKER_GONE_AFTER_MS; passed += 5_000) await passTime(made.endpointId, 5_000);
  await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  const lines = await made.lines();
  expect(lines).toMatchObject([{ jobId: `active-${idOf(0)}`, finishedAt: lastMs }]);
});
