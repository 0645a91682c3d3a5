// What leaves a broker in one turn of its object is bounded, whatever falls due together: a deployed object has 128 MB. The rest
// follows, nothing is lost, and everything comes once.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import type { BrokerApi, Delivery } from "../../../src/contract/broker.ts";
import { STREAM_START } from "../../../src/core/job/stream-cursor.ts";
import { TURN_BYTES_MAX, TURN_SENDS_MAX, WEBHOOKS_IN_FLIGHT_MAX_BYTES } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { WebhookSender } from "../../../src/dispatch/webhook-sender.ts";
import { holdCarriers, makeBroker, settings, submission, upstream } from "../../support/broker.ts";
import { pullingWorker, pullOnly } from "../../support/pulling-worker.ts";
import { countTurns, turnsOf } from "../../support/turn-meter.ts";

const LARGE_BYTES = 250_000;
const ONE = Uint8Array.of(0x31);
const LARGE = { kind: "inline", bytes: new Uint8Array(LARGE_BYTES).fill(0x31) } as const;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Both counts, the broker's own and the one from outside, over something that would be over the bound several times. */
async function expectBounded(endpointId: string, counted: { readonly mostBytes: number; readonly sumBytes: number }) {
  expect(counted.sumBytes).toBeGreaterThan(3 * TURN_BYTES_MAX);
  // Its turn may begin a moment before the broker's own.
  expect(counted.mostBytes).toBeLessThan(2 * TURN_BYTES_MAX);
  const { bytesMax, bytesSent } = await turnsOf(endpointId);
  expect(bytesSent).toBeGreaterThanOrEqual(counted.sumBytes);
  expect(bytesMax).toBeLessThanOrEqual(TURN_BYTES_MAX);
}

/** Jobs that wait, with large inputs. */
async function submitMany(broker: BrokerApi, count: number): Promise<Set<string>> {
  const ids = new Set<string>();
  for (let made = 0; made < count; made += 1) {
    const call = submission({ input: LARGE });
    await broker.submit(call);
    ids.add(call.jobId);
  }
  return ids;
}

/** One job that a carrier holds. */
async function running(partial: Parameters<typeof submission>[0] = {}) {
  const given = holdCarriers();
  const { endpointId, broker } = await makeBroker();
  const { jobId, tenantId } = submission(partial);
  await broker.submit(submission({ ...partial, jobId, tenantId }));
  await broker.start();
  await vi.waitFor(() => expect(given).toHaveLength(1));
  return { endpointId, broker, jobId, tenantId, lease: given[0]?.lease ?? "" };
}

/** Calls that have reached a broker; the first three made its job. */
async function callsOf(endpointId: string): Promise<number> {
  return runInDurableObject(
    env.ENDPOINT_BROKER.getByName(endpointId),
    (instance) => (instance as EndpointBroker).meter.calls - 3,
  );
}

describe("one turn of a broker", () => {
  it("sends 16 MB at most of 250 webhooks of 250 KB to 250 hosts that fall due together, each once", {
    timeout: 60_000,
  }, async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const lost = vi.spyOn(WebhookSender.prototype, "deliver").mockImplementation(async () => undefined);
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    const ids: string[] = [];
    for (let made = 0; made < 250; made += 1) {
      const webhook = { url: `https://receiver-${made}.example.com/`, sealedSecret: "sealed" };
      const call = submission({ tenantId: "owner", input: LARGE, webhook });
      await broker.submit(call);
      await broker.cancel({ tenantId: "owner", jobId: call.jobId });
      ids.push(call.jobId);
    }
    lost.mockRestore();
    // What is under way of them is lost with the object.
    vi.setSystemTime(Date.now() + 600_000);
    await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
    const told: string[] = [];
    let heldBytes = 0;
    let heldMost = 0;
    vi.spyOn(WebhookSender.prototype, "deliver").mockImplementation(
      async ({ jobId, round, tryNumber, input }: Delivery) => {
        const bytes = input.kind === "inline" ? input.bytes.length : 0;
        heldBytes += bytes;
        heldMost = Math.max(heldMost, heldBytes);
        await scheduler.wait(5);
        told.push(jobId);
        heldBytes -= bytes;
        await brokerOf(env, endpointId).finishWebhook({ jobId, round, tryNumber, result: { kind: "delivered" } });
      },
    );
    const counted = countTurns();
    await brokerOf(env, endpointId).startWebhooks();
    await vi.waitFor(() => expect(told).toHaveLength(ids.length), { timeout: 30_000, interval: 20 });
    expect(told.toSorted()).toEqual(ids.toSorted());
    expect(heldMost).toBeLessThanOrEqual(WEBHOOKS_IN_FLIGHT_MAX_BYTES);
    await expectBounded(endpointId, counted);
  });

  it("answers 16 MB at most of 300 open polls when an endpoint of large jobs is unpaused, each job once", {
    timeout: 60_000,
  }, async () => {
    const { endpointId, broker } = await makeBroker({ ...pullOnly, paused: true });
    const ids = await submitMany(broker, 300);
    const taking = Array.from({ length: 300 }, (_, n) => pullingWorker(broker, `w${n}`).takeOne());
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(300));
    const counted = countTurns();
    await broker.configure(settings({ ...pullOnly, endpointId, version: 2 }));
    const taken = await Promise.all(taking);
    expect(new Set(taken.map(({ jobId }) => jobId))).toEqual(ids);
    await expectBounded(endpointId, counted);
  });

  it("starts carriers with 16 MB at most when wake-ups arrive together", { timeout: 60_000 }, async () => {
    const given = holdCarriers();
    const paused = { upstreams: [upstream({ slots: 250 })], paused: true };
    const { endpointId, broker } = await makeBroker(paused);
    const ids = await submitMany(broker, 250);
    const counted = countTurns();
    await broker.configure(settings({ ...paused, endpointId, paused: false, version: 2 }));
    await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (instance) => {
      const object = instance as EndpointBroker;
      await Promise.all(Array.from({ length: 5 }, () => object.start()));
    });
    await vi.waitFor(() => expect(given).toHaveLength(250), { timeout: 10_000 });
    expect(new Set(given.map(({ jobId }) => jobId))).toEqual(ids);
    await expectBounded(endpointId, counted);
  });

  it("tells a large result to 16 MB at most of those who wait for it, and tells all of them", async () => {
    const { endpointId, broker, jobId, tenantId, lease } = await running();
    const waiting = Array.from({ length: 300 }, () => broker.wait({ tenantId, jobId, holdMs: 20_000 }));
    await vi.waitFor(async () => expect(await callsOf(endpointId)).toBeGreaterThanOrEqual(300));
    const counted = countTurns();
    await broker.finish({ jobId, lease, outcome: { kind: "completed", output: LARGE } });
    for (const answer of await Promise.all(waiting)) {
      expect(answer).toMatchObject({ value: { status: "COMPLETED", output: { bytes: { length: LARGE_BYTES } } } });
    }
    await expectBounded(endpointId, counted);
  });

  it("gives pages of 16 MB at most to the readers of one stream, and every reader all of it", {
    timeout: 60_000,
  }, async () => {
    const { endpointId, broker, jobId, tenantId, lease } = await running();
    const read = () => broker.readStream({ tenantId, jobId, after: STREAM_START, holdMs: 20_000 });
    const reading = Array.from({ length: 100 }, read);
    await vi.waitFor(async () => expect(await callsOf(endpointId)).toBeGreaterThanOrEqual(100));
    const counted = countTurns();
    const chunk = new Uint8Array(1_000_000).fill(0x31);
    await broker.appendChunks({ jobId, lease, firstSeq: 1, chunks: [chunk] });
    for (const page of await Promise.all(reading)) {
      expect(page).toMatchObject({ value: { chunks: [{ bytes: { length: 1_000_000 } }] } });
    }
    await expectBounded(endpointId, counted);
  });

  it("posts the lines of so many tenants and no more, and those of all of them in the end", {
    timeout: 30_000,
  }, async () => {
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 300 })] });
    for (let made = 0; made < 300; made += 1) await broker.submit(submission({ tenantId: `${endpointId}-${made}` }));
    const start = async () => {
      await broker.start();
      expect(given).toHaveLength(300);
    };
    await vi.waitFor(start, { timeout: 10_000 });
    const before = await turnsOf(endpointId);
    for (const { jobId, lease } of given) {
      await broker.finish({ jobId, lease, outcome: { kind: "completed", output: { ...LARGE, bytes: ONE } } });
    }
    const posted = () =>
      runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) =>
        storage.sql.exec<{ tenants: number }>("SELECT count(*) AS tenants FROM posted").one(),
      );
    await vi.waitFor(async () => expect(await posted()).toEqual({ tenants: 300 }), { timeout: 10_000, interval: 100 });
    const { sendsMax, bytesSent } = await turnsOf(endpointId);
    // Nothing else leaves meanwhile: the postings are among what is counted.
    expect(bytesSent - before.bytesSent).toBeGreaterThanOrEqual(300 * 1_024);
    expect(sendsMax).toBeLessThanOrEqual(TURN_SENDS_MAX);
  });

  it("answers so many and no more, however small they are", async () => {
    const { endpointId, broker, jobId, tenantId } = await running();
    const waiting = Array.from({ length: 1_000 }, () => broker.wait({ tenantId, jobId, holdMs: 20_000 }));
    await vi.waitFor(async () => expect(await callsOf(endpointId)).toBeGreaterThanOrEqual(1_000));
    await broker.cancel({ tenantId, jobId });
    for (const answer of await Promise.all(waiting)) expect(answer).toMatchObject({ value: { status: "CANCELLED" } });
    expect((await turnsOf(endpointId)).sendsMax).toBe(TURN_SENDS_MAX);
  });
});

describe("many that wait", () => {
  it("are all told of a purge, which touches nothing that comes right after it", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    const tenantId = "owner";
    const ids: string[] = [];
    for (let made = 0; made < 600; made += 1) {
      const call = submission();
      await broker.submit(call);
      ids.push(call.jobId);
    }
    const waiting = ids.map((jobId) => broker.wait({ tenantId, jobId, holdMs: 20_000 }));
    await vi.waitFor(async () => expect(await callsOf(endpointId)).toBeGreaterThanOrEqual(1_200 - 2));
    const later = submission();
    await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (instance) => {
      const object = instance as EndpointBroker;
      const [purged] = await Promise.all([object.purgeQueue({ tenantId }), object.submit(later)]);
      expect(purged).toEqual({ removed: 600 });
      expect(await object.depth({ tenantId })).toEqual({ waiting: 1, running: 0 });
    });
    for (const answer of await Promise.all(waiting)) expect(answer).toMatchObject({ value: { status: "CANCELLED" } });
    const given = holdCarriers((id) => id === endpointId);
    await broker.configure(settings({ endpointId, version: 2 }));
    await broker.start();
    await vi.waitFor(() => expect(given).toMatchObject([{ jobId: later.jobId }]));
    await vi.waitFor(async () => expect((await broker.health({ tenantId })).jobs.inQueue).toBe(0));
    expect(await broker.purgeQueue({ tenantId })).toEqual({ removed: 0 });
  });

  it("are all answered when their time is over together", async () => {
    const { endpointId, broker, jobId, tenantId } = await running();
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => broker.wait({ tenantId, jobId, holdMs: 1_000 })),
    );
    for (const answer of answers) expect(answer).toMatchObject({ value: { status: "IN_PROGRESS" } });
    expect((await turnsOf(endpointId)).sendsMax).toBeLessThanOrEqual(TURN_SENDS_MAX);
  });
});

describe("the list of a tenant's jobs", () => {
  it("carries small outputs, and none that it would not show", async () => {
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 50 })] });
    await submitMany(broker, 50);
    await broker.start();
    await vi.waitFor(() => expect(given).toHaveLength(50));
    const small = { kind: "inline", bytes: new Uint8Array(10_000).fill(0x31) } as const;
    for (const [n, { jobId, lease }] of given.entries()) {
      await broker.finish({ jobId, lease, outcome: { kind: "completed", output: n % 2 === 0 ? LARGE : small } });
    }
    const { bytesSent } = await turnsOf(endpointId);
    const { jobs } = await broker.requests({ tenantId: "owner" });
    expect(jobs.map(({ output }) => (output?.kind === "inline" ? output.bytes.length : 0)).toSorted()).toEqual(
      Array.from({ length: 50 }, (_, n) => (n < 25 ? 0 : 10_000)).toSorted(),
    );
    expect((await turnsOf(endpointId)).bytesSent - bytesSent).toBeLessThan(500_000);
  });
});

describe("the count of what leaves", () => {
  it("has every answer that carries a payload", async () => {
    const { endpointId, broker, jobId, tenantId, lease } = await running({
      input: LARGE,
      idempotency: { key: "k", fingerprint: "f" },
    });
    const job = { tenantId, jobId };
    await broker.appendChunks({ jobId, lease, firstSeq: 1, chunks: [LARGE.bytes] });
    const pulled = await makeBroker(pullOnly);
    const [pulledId] = await submitMany(pulled.broker, 1);
    const worker = pullingWorker(pulled.broker, "w1");
    const own = { ...worker.name, jobId: pulledId ?? "" };
    const calls: readonly (readonly [string, string, () => Promise<unknown>])[] = [
      ["a carrier", endpointId, () => broker.handOver({ jobId, lease, upstreamJobId: "theirs" })],
      ["readStream", endpointId, () => broker.readStream({ ...job, after: STREAM_START, holdMs: 0 })],
      ["drainStream", endpointId, () => broker.drainStream(job)],
      ["a finish", "", () => broker.finish({ jobId, lease, outcome: { kind: "completed", output: LARGE } })],
      ["read", endpointId, () => broker.read({ ...job, ttlMs: null })],
      ["read with a ttl", endpointId, () => broker.read({ ...job, ttlMs: 60_000 })],
      ["wait", endpointId, () => broker.wait({ ...job, holdMs: 1 })],
      ["cancel", endpointId, () => broker.cancel(job)],
      ["submit", endpointId, () => broker.submit(submission({ idempotency: { key: "k", fingerprint: "f" } }))],
      ["takeJobs", pulled.endpointId, () => worker.takeOne()],
      ["a chunk", "", () => pulled.broker.appendChunk({ ...own, chunk: LARGE.bytes })],
      ["ownChunks", pulled.endpointId, () => pulled.broker.ownChunks({ ...own, after: STREAM_START })],
    ];
    for (const [name, counting, call] of calls) {
      const before = counting === "" ? null : await turnsOf(counting);
      await call();
      if (before === null) continue;
      expect((await turnsOf(counting)).bytesSent - before.bytesSent, name).toBeGreaterThanOrEqual(LARGE_BYTES);
    }
  });
});
