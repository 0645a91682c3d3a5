// What a fleet costs its broker: nothing for each job, and nothing at all while there is no machine.
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { costsOf } from "../../support/broker-costs.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, pullOnly } from "../../support/pulling-worker.ts";
import { stateOf } from "../../support/quiet.ts";

const JOBS = 60;
/** A job a second: between two of them the fleet's worker is idle. */
const EVERY_MS = 1_000;

const provider = useHeldProvider();

type Worker = ReturnType<typeof pullingWorker>;

async function costOf(endpointId: string, work: () => Promise<void>) {
  const before = await costsOf(endpointId);
  await work();
  const after = await costsOf(endpointId);
  return { written: after.rowsWritten - before.rowsWritten, alarms: after.alarmsSet - before.alarmsSet };
}

async function runJobs(endpointId: string, broker: BrokerApi, worker: Worker): Promise<void> {
  for (let made = 0; made < JOBS; made += 1) {
    const call = submission();
    await broker.submit(call);
    await worker.takeOne();
    await worker.done(call.jobId);
    await passTime(endpointId, EVERY_MS);
  }
}

it("writes no row while nothing changes, however often it asks what there is", async () => {
  const { endpointId, broker } = await makeBroker({ upstreams: [], fleet: fleet({ min: 1 }) });
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
  const id = provider.called("create")[0]?.machine?.instanceId ?? "";
  const worker = pullingWorker(broker, id, id);
  void worker.take();
  await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(1));
  const lists = provider.called("list").length;
  const { written, alarms } = await costOf(endpointId, async () => {
    for (let minutes = 0; minutes < 5; minutes += 1) {
      await worker.ping();
      await passTime(endpointId, 30_000);
      await worker.ping();
      await passTime(endpointId, 31_000);
    }
  });
  expect(provider.called("list").length - lists).toBeGreaterThanOrEqual(4);
  expect(provider.called("end")).toEqual([]);
  expect(written).toBe(0);
  console.info(`five minutes of an idle machine: ${alarms} alarms`);
});

it("costs no more rows a job than workers that are always there", async () => {
  const own = await makeBroker({ upstreams: [], fleet: fleet() });
  await own.broker.submit(submission());
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
  const id = provider.called("create")[0]?.machine?.instanceId ?? "";
  const worker = pullingWorker(own.broker, id, id);
  const { jobId } = await worker.takeOne();
  await worker.done(jobId);
  const within = await costOf(own.endpointId, () => runJobs(own.endpointId, own.broker, worker));
  const plain = await makeBroker(pullOnly);
  await plain.broker.submit(submission());
  const other = pullingWorker(plain.broker, "w1");
  await other.done((await other.takeOne()).jobId);
  const without = await costOf(plain.endpointId, () => runJobs(plain.endpointId, plain.broker, other));
  console.info(`${JOBS} jobs: ${JSON.stringify({ without, within })}`);
  expect(within.written).toBeLessThanOrEqual(without.written);
  expect(within.alarms).toBeLessThanOrEqual(without.alarms);
  expect(provider.called("create")).toHaveLength(1);
});

/** Time passes in half seconds, and the alarm rings when it is due. */
async function passInSteps(endpointId: string, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    vi.setSystemTime(Date.now() + 500);
    const atMs = await stateOf(endpointId, ({ storage }) => storage.getAlarm());
    if (atMs !== null && atMs <= Date.now()) await passTime(endpointId, 0);
  }
}

/** A job comes each second, and none is taken. */
async function pileUp(endpointId: string, broker: BrokerApi, beat: () => Promise<unknown>): Promise<void> {
  for (let made = 0; made < JOBS; made += 1) {
    await broker.submit(submission());
    await beat();
    await passInSteps(endpointId, EVERY_MS);
  }
}

describe("jobs that wait longer and longer, by the rule of the queue's delay", () => {
  const rule = { type: "QUEUE_DELAY", delayMs: 4_000 } as const;
  /** The first look after the change that is measured, and one more. */
  const SPARE_ALARMS = 3;

  // Ids of jobs hold their times, which never go back: those of the tests before may lie ahead of a clock that begins anew.
  beforeEach(() => vi.setSystemTime(Date.UTC(2052, 0, 1)));

  it("cost no alarm each where there may be no more workers", async () => {
    const own = await makeBroker({ upstreams: [], fleet: fleet({ rule, max: 1 }) });
    const first = submission();
    await own.broker.submit(first);
    await passTime(own.endpointId, rule.delayMs + 1_000);
    await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
    const id = provider.called("create")[0]?.machine?.instanceId ?? "";
    const worker = pullingWorker(own.broker, id, id);
    await worker.takeOne();
    const beat = () => worker.ping([first.jobId]);
    const within = await costOf(own.endpointId, () => pileUp(own.endpointId, own.broker, beat));
    const plain = await makeBroker(pullOnly);
    const held = submission();
    await plain.broker.submit(held);
    const other = pullingWorker(plain.broker, "w1");
    await other.takeOne();
    const beatOther = () => other.ping([held.jobId]);
    const without = await costOf(plain.endpointId, () => pileUp(plain.endpointId, plain.broker, beatOther));
    expect(within.alarms).toBeLessThanOrEqual(without.alarms + SPARE_ALARMS);
  });

  it("cost no alarm each where the endpoint is paused", async () => {
    const own = await makeBroker({ upstreams: [], paused: true, fleet: fleet({ rule }) });
    const within = await costOf(own.endpointId, () => pileUp(own.endpointId, own.broker, async () => undefined));
    const plain = await makeBroker({ ...pullOnly, paused: true });
    const without = await costOf(plain.endpointId, () => pileUp(plain.endpointId, plain.broker, async () => undefined));
    expect(within.alarms).toBeLessThanOrEqual(without.alarms + SPARE_ALARMS);
  });
});
