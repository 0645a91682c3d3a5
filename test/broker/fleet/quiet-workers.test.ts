// Workers of a fleet whose heartbeats go on while the process that takes jobs does nothing, or begins anew.
import { describe, expect, it, vi } from "vitest";
import type { FleetSettings } from "../../../src/contract/fleet.ts";
import { WORKER_GONE_AFTER_MS } from "../../../src/core/limits.ts";
import { activeRate, makeActive } from "../../support/active.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, statusOf } from "../../support/pulling-worker.ts";

const BEAT_MS = 10_000;
const FAILED = {
  kind: "start_failed",
  start: { kind: "failed", error: "{}", detail: "the driver is too old" },
} as const;

const provider = useHeldProvider();

const created = (times: number) =>
  vi.waitFor(() => expect(provider.called("create")).toHaveLength(times), { timeout: 2_000 });
const idOf = (at: number) => provider.called("create")[at]?.machine?.instanceId ?? "";

/** A job runs on the only machine, and another one waits for it. */
async function runOne(partial: Partial<FleetSettings> = {}) {
  const { endpointId, broker } = await makeBroker({ upstreams: [], fleet: fleet({ max: 1, ...partial }) });
  const [first, second] = [submission(), submission()];
  await broker.submit(first);
  await created(1);
  const worker = pullingWorker(broker, idOf(0), idOf(0));
  await worker.takeOne();
  await broker.submit(second);
  return {
    broker,
    worker,
    first,
    second,
    /** The heartbeats go on for so long, and name no job. */
    beat: async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += BEAT_MS) {
        await worker.ping();
        await passTime(endpointId, BEAT_MS);
      }
    },
  };
}

describe("a worker that sends heartbeats and asks for no job any more", () => {
  it("is replaced after a minute, and the job that waits runs", async () => {
    const { broker, worker, first, second, beat } = await runOne();
    await worker.done(first.jobId);
    await beat(WORKER_GONE_AFTER_MS - BEAT_MS);
    expect(provider.called("end")).toEqual([]);
    await beat(2 * BEAT_MS);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    await created(2);
    await pullingWorker(broker, idOf(1), idOf(1)).takeOne();
    expect((await statusOf(broker, second.jobId)).status).toBe("IN_PROGRESS");
  });

  it("has the time of a start where a result asked for its restart: a new process loads its model", async () => {
    const { worker, first, beat } = await runOne({ initTimeoutMs: 300_000 });
    await worker.doneForGood(first.jobId);
    await beat(290_000);
    expect(provider.called("end")).toEqual([]);
    await beat(3 * BEAT_MS);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  });

  it("stays where one of its calls for a job is open, or was a moment ago", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [], fleet: fleet({ min: 1, max: 1 }) });
    await created(1);
    const worker = pullingWorker(broker, idOf(0), idOf(0));
    for (let polls = 0; polls < 12; polls += 1) {
      const pollId = `p${polls}`;
      const taking = worker.take({ pollId });
      await vi.waitFor(async () => {
        await passTime(endpointId, 1);
        await broker.abandonTake({ ...worker.name, pollId, leases: [] });
      });
      await taking;
      await worker.ping();
      await passTime(endpointId, 25_000);
    }
    expect(provider.called("end")).toEqual([]);
  });

  it("is billed no longer, if it is an active one", async () => {
    vi.setSystemTime(Date.UTC(2051, 0, 1));
    const rates = [activeRate(), { ...activeRate(), kind: "flex" as const }];
    const made = await makeActive({ rates, fleet: fleet({ min: 1, max: 1 }) });
    await created(1);
    await made.ask(idOf(0), idOf(0));
    const fromMs = Date.now();
    for (let passed = 0; passed < 600_000; passed += BEAT_MS) {
      await made.ping(idOf(0), idOf(0));
      await passTime(made.endpointId, BEAT_MS);
    }
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    const lines = await made.lines();
    const billedMs = lines.reduce((sum, { seconds }) => sum + seconds * 1_000, 0);
    expect(lines.every(({ startedAt }) => startedAt <= fromMs)).toBe(true);
    // Its call for a job was cut, so that it had the time of a start.
    expect(billedMs).toBeLessThanOrEqual(fleet().initTimeoutMs + 2 * BEAT_MS);
  });
});

describe("a worker whose process begins anew again and again, and fails its start each time", () => {
  it("is ended with its machine, though an earlier process of it has run jobs", async () => {
    const { worker, first, second } = await runOne();
    await worker.done(first.jobId);
    vi.setSystemTime(Date.now() + 30_000);
    await worker.takeOne();
    await worker.report(second.jobId, FAILED);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  });
});
