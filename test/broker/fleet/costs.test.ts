// What a fleet costs its broker: nothing for each job, and nothing at all while there is no machine.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, pullOnly } from "../../support/pulling-worker.ts";

const JOBS = 60;
/** A job a second: between two of them the fleet's worker is idle. */
const EVERY_MS = 1_000;

const provider = useHeldProvider();

type Worker = ReturnType<typeof pullingWorker>;

async function costOf(endpointId: string, work: () => Promise<void>) {
  const read = () =>
    runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (object) => {
      if (!(object instanceof EndpointBroker)) throw new Error("no broker");
      const { rowsWritten, alarmsSet, messages } = object.meter;
      return { rowsWritten, alarmsSet, messages };
    });
  const before = await read();
  await work();
  const after = await read();
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
