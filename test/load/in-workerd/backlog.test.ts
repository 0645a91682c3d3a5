// A long backlog must cost nothing: what a submit and a start read does not grow with it.
import { abortAllDurableObjects, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { v7 } from "uuid";
import { afterEach, expect, it, vi } from "vitest";
import type { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { answerUpstreams, makeBroker, settings, submission, upstream } from "../../support/broker.ts";

afterEach(() => vi.restoreAllMocks());

/** Rows read by one submit, in an endpoint whose upstream has no slot left to give. */
async function rowsReadBySubmit(endpointId: string): Promise<number> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (instance) => {
    const broker = instance as EndpointBroker;
    const before = broker.meter.rowsRead;
    await broker.submit(submission());
    return broker.meter.rowsRead - before;
  });
}

/** Rows read by one start that finds a slot. Wake-ups are dropped here, so that no other start comes first. */
async function rowsReadByStart(endpointId: string): Promise<number> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (instance) => {
    const broker = instance as EndpointBroker;
    const held = broker as unknown as { env: Env };
    held.env = { ...held.env, DISPATCH: { send: async () => undefined } as unknown as Queue };
    await broker.configure(settings({ endpointId, version: 2, upstreams: [upstream({ slots: 1 })] }));
    const before = broker.meter.rowsRead;
    expect(await broker.start()).toEqual({ started: 1 });
    return broker.meter.rowsRead - before;
  });
}

it("100,000 waiting jobs change neither the rows that a submit and a start read, nor a purge of 2 s, nor a restart of 3 s", {
  timeout: 150_000,
}, async () => {
  const small = await makeBroker({ upstreams: [] });
  for (let made = 0; made < 10; made += 1) await small.broker.submit(submission());
  const { endpointId } = await makeBroker({ upstreams: [] });
  await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (instance) => {
    const broker = instance as EndpointBroker;
    for (let made = 0; made < 100_000; made += 1) await broker.submit(submission({ jobId: `${v7()}-u1` }));
  });
  expect(await rowsReadBySubmit(endpointId)).toBe(await rowsReadBySubmit(small.endpointId));
  answerUpstreams(() => new Promise(() => undefined));
  // The newest jobs are remembered without their rows: of the few ones here, too, the row is to be read.
  await evictDurableObject(env.ENDPOINT_BROKER.getByName(small.endpointId));
  expect(await rowsReadByStart(endpointId)).toBe(await rowsReadByStart(small.endpointId));

  await abortAllDurableObjects();
  const restartedMs = Date.now();
  const depth = await brokerOf(env, endpointId).depth({ tenantId: "owner" });
  expect(Date.now() - restartedMs).toBeLessThan(3_000);
  expect(depth).toEqual({ waiting: 100_000, running: 1 });

  const purgedMs = Date.now();
  expect(await brokerOf(env, endpointId).purgeQueue({ tenantId: "owner" })).toEqual({ removed: 100_000 });
  expect(Date.now() - purgedMs).toBeLessThan(2_000);
  expect(await brokerOf(env, endpointId).depth({ tenantId: "owner" })).toEqual({ waiting: 0, running: 1 });
});
