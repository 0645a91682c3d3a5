// An endpoint without traffic, whose object is evicted after each of its alarms: no start of the object puts a deadline off,
// and once nothing is left to do the endpoint comes to rest.
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BrokerApi } from "../../src/contract/broker.ts";
import type { AttemptOutcome } from "../../src/core/job/event.ts";
import { LEASE_MS, LEASE_RENEW_MS, SWEEP_EVERY_MS, WORKER_LEASE_MS } from "../../src/core/limits.ts";
import { brokerOf } from "../../src/dispatch/broker-client.ts";
import { holdCarriers, makeBroker, settings, submission, upstream } from "../support/broker.ts";
import { OUTPUT, pullingWorker, pullOnly, statusOf } from "../support/pulling-worker.ts";
import { evict, passQuietly, rowOf, stateOf } from "../support/quiet.ts";

/** From the last sign of life of a carrier to IN_QUEUE: what is left of its lease, one grace, and the alarms' rounding. */
const ENDED_MAX_MS = 65_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

interface Carried {
  readonly endpointId: string;
  readonly jobId: string;
  /** The carrier shows that it lives. */
  renew(): Promise<unknown>;
  finish(): Promise<unknown>;
}

async function pushed(): Promise<Carried> {
  const given = holdCarriers();
  const made = settings({ upstreams: [upstream({ slots: 1 })], maxAttempts: 1 });
  const { endpointId, broker } = await makeBroker(made);
  const call = submission({ mode: "runsync" });
  await broker.submit(call);
  await vi.waitFor(() => expect(given).toHaveLength(1));
  // Nothing starts the job again: a wake-up would be a call.
  await broker.configure({ ...made, version: 2, paused: true });
  const [carrier] = given;
  if (carrier === undefined) throw new Error("no carrier was started");
  return {
    endpointId,
    jobId: call.jobId,
    renew: () => brokerOf(env, endpointId).renew({ ...carrier, holdMs: 0 }),
    finish: () => brokerOf(env, endpointId).finish({ ...carrier, outcome: { kind: "completed", output: OUTPUT } }),
  };
}

async function pulled(): Promise<Carried> {
  const { endpointId, broker } = await makeBroker({ ...pullOnly, maxAttempts: 1 });
  const call = submission();
  await broker.submit(call);
  await pullingWorker(broker, "w1").take();
  const worker = () => pullingWorker(brokerOf(env, endpointId), "w1");
  return {
    endpointId,
    jobId: call.jobId,
    renew: () => worker().ping([call.jobId]),
    finish: () => worker().done(call.jobId),
  };
}

const KINDS = [
  ["pushed", pushed],
  ["pulled", pulled],
] as const;

function cancel(broker: BrokerApi, jobId: string) {
  return broker.cancel({ tenantId: "owner", jobId });
}

describe.each(KINDS)("a %s job on an endpoint without traffic", (kind, carry) => {
  const periodMs = kind === "pushed" ? LEASE_MS : WORKER_LEASE_MS;

  it("waits again after one grace when its carrier is dead, and costs nothing", async () => {
    const { endpointId, jobId, renew } = await carry();
    vi.setSystemTime(Date.now() + 1_000);
    await renew();
    const diedAtMs = Date.now();
    await passQuietly(endpointId, diedAtMs + periodMs - 1_000);
    expect(await rowOf(endpointId, jobId)).toMatchObject({ status: "IN_PROGRESS" });
    await passQuietly(endpointId, diedAtMs + ENDED_MAX_MS);
    const expected = { status: "IN_QUEUE", finish_seq: null, restarts: 1, failures: 0, attempts: 1 };
    expect(await rowOf(endpointId, jobId)).toEqual(expected);
  });

  it("is not taken from a carrier that lives through one restart after the other", async () => {
    const { endpointId, jobId, renew, finish } = await carry();
    for (let restart = 0; restart < 12; restart += 1) {
      await passQuietly(endpointId, Date.now() + LEASE_RENEW_MS);
      await renew();
    }
    await passQuietly(endpointId, Date.now() + LEASE_RENEW_MS);
    expect(await rowOf(endpointId, jobId)).toMatchObject({ status: "IN_PROGRESS", restarts: 0, attempts: 1 });
    await finish();
    expect(await statusOf(brokerOf(env, endpointId), jobId)).toMatchObject({ status: "COMPLETED", retries: 0 });
    const [seconds, ranMs] = await stateOf(endpointId, (state) => {
      const [bill, started, finished] = ["seconds", "startedAtMs", "finishedAtMs"].map(
        (name) => `facts ->> '$.bill.${name}'`,
      );
      return [...state.storage.sql.exec(`SELECT ${bill}, ${finished} - ${started} FROM jobs`).raw<number[]>()].flat();
    });
    expect(ranMs).toBeGreaterThanOrEqual(13 * LEASE_RENEW_MS);
    expect(seconds).toBe(Math.ceil((ranMs ?? 0) / 1_000));
  });

  it("is billed by a cancel in its grace for no more than is known of its carrier", async () => {
    const { endpointId, jobId, renew } = await carry();
    const startedMs = Date.now();
    vi.setSystemTime(startedMs + 20_000);
    // In memory, and lost with it.
    await renew();
    await passQuietly(endpointId, startedMs + periodMs + 10_000);
    await cancel(brokerOf(env, endpointId), jobId);
    const bill = await stateOf(endpointId, (state) =>
      state.storage.sql.exec("SELECT status, facts ->> '$.bill.seconds' AS seconds FROM jobs").one(),
    );
    expect(bill).toEqual({ status: "CANCELLED", seconds: periodMs / 1_000 });
  });
});

describe("a row of graces", () => {
  const rowsOf = (endpointId: string) =>
    stateOf(endpointId, (state) => state.storage.sql.exec("SELECT given FROM graces").toArray());

  it("is not written for a job that sees no restart, and is one for a hundred jobs that see one", async () => {
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 100 })] });
    for (let made = 0; made < 100; made += 1) await broker.submit(submission({ mode: "runsync" }));
    await vi.waitFor(() => expect(given).toHaveLength(100));
    await evict(endpointId);
    expect(await rowsOf(endpointId)).toHaveLength(1);
    for (const carrier of given) {
      await brokerOf(env, endpointId).finish({ ...carrier, outcome: { kind: "completed", output: null } });
    }
    const unmoved = await makeBroker({ upstreams: [upstream()] });
    await unmoved.broker.submit(submission({ mode: "runsync" }));
    await vi.waitFor(() => expect(given).toHaveLength(101));
    const last = given.at(-1);
    if (last === undefined) throw new Error("no carrier was started");
    await unmoved.broker.finish({ ...last, outcome: { kind: "completed", output: null } });
    await evict(unmoved.endpointId);
    expect(await rowsOf(unmoved.endpointId)).toEqual([]);
  });
});

describe("an upstream in trouble, of an endpoint without traffic", () => {
  /** Ten jobs for ten slots, all of which are refused. */
  async function refused(outcome: AttemptOutcome) {
    vi.spyOn(Object.getPrototypeOf(env.DISPATCH), "send").mockResolvedValue(undefined);
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 10 })] });
    const calls = Array.from({ length: 10 }, () => submission());
    for (const call of calls) await broker.submit(call);
    await broker.start();
    await vi.waitFor(() => expect(given).toHaveLength(10));
    for (const carrier of given.splice(0)) await broker.finish({ ...carrier, outcome });
    /** A start of the object at that time, by a wake-up. */
    const startAt = async (atMs: number) => {
      vi.setSystemTime(atMs);
      await evict(endpointId);
      return (await brokerOf(env, endpointId).start()).started;
    };
    const finishOne = async (result: AttemptOutcome) => {
      await vi.waitFor(() => expect(given).toHaveLength(1));
      for (const carrier of given.splice(0)) await brokerOf(env, endpointId).finish({ ...carrier, outcome: result });
    };
    return { endpointId, startAt, finishOne, jobId: calls[0]?.jobId ?? "" };
  }

  it("is not called before the time that it asked for, and then with one job", async () => {
    const detail = "429, too many requests";
    const { endpointId, startAt, finishOne, jobId } = await refused({
      kind: "upstream_paused",
      detail,
      retryAfterMs: 600_000,
    });
    const pausedMs = Date.now();
    expect(await startAt(pausedMs + 11_000)).toBe(0);
    expect(await startAt(pausedMs + 300_000)).toBe(0);
    const { queue } = await statusOf(brokerOf(env, endpointId), jobId);
    expect(queue).toMatchObject({ reason: "UPSTREAM_PAUSED", detail });
    expect(await startAt(pausedMs + 601_000)).toBe(1);
    await finishOne({ kind: "completed", output: OUTPUT });
    // The trial has cleared it: nothing is left of the pause.
    expect(await startAt(pausedMs + 602_000)).toBe(9);
  });

  it("is tried with one job at a time while it stays unhealthy, not with a slotful at each start", async () => {
    const wrongKey: AttemptOutcome = { kind: "upstream_unhealthy", detail: "401" };
    const { startAt, finishOne } = await refused(wrongKey);
    for (let trial = 0; trial < 3; trial += 1) {
      const refusedMs = Date.now();
      expect(await startAt(refusedMs + 11_000)).toBe(0);
      expect(await startAt(refusedMs + 16_000)).toBe(1);
      // The trial is under way: it is not joined by another one at the next start.
      expect(await startAt(refusedMs + 27_000)).toBe(0);
      await finishOne(wrongKey);
    }
  });
});

describe("the rows of an endpoint without traffic", () => {
  const rowsLeft = (endpointId: string) =>
    stateOf(endpointId, (state) =>
      state.storage.sql
        .exec("SELECT (SELECT count(*) FROM jobs) AS jobs, (SELECT count(*) FROM idempotency) AS keys")
        .one(),
    );

  it("are deleted soon after their retention, with what is kept in R2, by few alarms, and then none is set", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [], runRetentionMs: 600_000 });
    const key = `${endpointId}/large-input`;
    await env.PAYLOADS.put(key, "0");
    const call = submission({ input: { kind: "r2", key, sizeBytes: 1 } });
    await broker.submit(call);
    await cancel(broker, call.jobId);
    const cancelledMs = Date.now();
    const before = await passQuietly(endpointId, cancelledMs + 600_000 - 1_000);
    expect(before.length).toBeLessThanOrEqual(3);
    expect(await rowsLeft(endpointId)).toEqual({ jobs: 1, keys: 0 });
    await passQuietly(endpointId, cancelledMs + 600_000 + SWEEP_EVERY_MS);
    expect(await rowsLeft(endpointId)).toEqual({ jobs: 0, keys: 0 });
    await vi.waitFor(async () => expect(await env.PAYLOADS.head(key)).toBeNull());
    expect(await passQuietly(endpointId, cancelledMs + 30 * 86_400_000)).toEqual([]);
  });

  it("that only a key is left of are deleted when it expires, and then no alarm is set", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    const idempotency = { key: "once", fingerprint: "f" };
    const call = submission({ idempotency });
    await broker.submit(call);
    await cancel(broker, call.jobId);
    const submittedMs = Date.now();
    const rang = await passQuietly(endpointId, submittedMs + 2 * 86_400_000);
    expect(await rowsLeft(endpointId)).toEqual({ jobs: 0, keys: 0 });
    expect(rang.length).toBeLessThanOrEqual(5);
    expect(await stateOf(endpointId, (state) => state.storage.getAlarm())).toBeNull();
  });

  it("are looked for by an object that finds no alarm", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    const call = submission();
    await broker.submit(call);
    await cancel(broker, call.jobId);
    await stateOf(endpointId, (state) => state.storage.deleteAlarm());
    const lostAtMs = Date.now();
    await passQuietly(endpointId, lostAtMs + 1_800_000 + 2 * SWEEP_EVERY_MS);
    expect(await rowsLeft(endpointId)).toEqual({ jobs: 0, keys: 0 });
  });

  it("of a job that owes a webhook for days do not wake the object every half minute", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    vi.spyOn(Object.getPrototypeOf(env.WEBHOOKS), "send").mockResolvedValue(undefined);
    const call = submission({ webhook: { url: "https://receiver.test/", sealedSecret: "sealed" } });
    await broker.submit(call);
    await cancel(broker, call.jobId);
    const job = { jobId: call.jobId, round: 0 };
    const result = { kind: "failed", detail: "500", retryAfterMs: 86_400_000 } as const;
    await broker.finishWebhook({ ...job, tryNumber: 1, result });
    const failedMs = Date.now();
    const rang = await passQuietly(endpointId, failedMs + 86_400_000 - 60_000);
    expect(rang.length).toBeLessThanOrEqual(28);
    await brokerOf(env, endpointId).finishWebhook({ ...job, tryNumber: 2, result: { kind: "delivered" } });
    await passQuietly(endpointId, Date.now() + 2 * SWEEP_EVERY_MS);
    expect(await rowsLeft(endpointId)).toEqual({ jobs: 0, keys: 0 });
  });
});
