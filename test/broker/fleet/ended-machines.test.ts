// Machines that their provider shows as ended: whether they have is for their workers to show, and so is until when they were there.
import { expect, it, vi } from "vitest";
import { WORKER_GONE_AFTER_MS } from "../../../src/core/limits.ts";
import { activeRate, makeActive } from "../../support/active.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, workersOf } from "../../support/pulling-worker.ts";

const provider = useHeldProvider();
const BEAT_MS = 10_000;

const created = (times: number) =>
  vi.waitFor(() => expect(provider.called("create")).toHaveLength(times), { timeout: 2_000 });
const idOf = (at: number) => provider.called("create")[at]?.machine?.instanceId ?? "";

function showAs(status: "failed" | "ended" | "stopped"): void {
  for (const [name, machine] of provider.machines) provider.machines.set(name, { ...machine, status });
}

/** So much time passes with heartbeats. */
async function beat(endpointId: string, ms: number, ping: () => Promise<void>): Promise<void> {
  for (let passed = 0; passed < ms; passed += BEAT_MS) {
    await ping();
    await passTime(endpointId, BEAT_MS);
  }
}

/** The worker of the only machine has run a job, and runs another one. */
async function runSecond() {
  const { endpointId, broker } = await makeBroker({ upstreams: [], fleet: fleet() });
  const [first, second] = [submission(), submission()];
  await broker.submit(first);
  await created(1);
  const worker = pullingWorker(broker, idOf(0), idOf(0));
  await worker.takeOne();
  await worker.done(first.jobId);
  await broker.submit(second);
  await worker.takeOne();
  return { endpointId, broker, worker, jobId: second.jobId };
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
