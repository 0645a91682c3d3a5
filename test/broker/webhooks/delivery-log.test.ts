// The log of deliveries: an entry for each try that is settled, the tenant's own alone, bounded in number and time.
import { abortAllDurableObjects, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { DeliveryTry } from "../../../src/contract/delivery-log.ts";
import { DELIVERIES_LISTED_MAX, DELIVERIES_TENANT_MAX, DELIVERY_MS } from "../../../src/core/job/webhook-limits.ts";
import { WEBHOOK_SCHEDULE_MS } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { EndpointBroker } from "../../../src/index.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { RECEIVER_URL, receiveWebhooks, webhookTo } from "../../support/webhooks.ts";

/** So that no result goes before the test has ended. */
const RETENTION_MS = 14 * 86_400_000;
const POLL = { timeout: 8_000, interval: 10 };

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function list(endpointId: string, tenantId: string, before: number | null = null, limit = DELIVERIES_LISTED_MAX) {
  return brokerOf(env, endpointId).listDeliveries({ tenantId, before, limit });
}

/** All tries in the log of a tenant, page by page, newest first. */
async function readAll(endpointId: string, tenantId: string, limit: number): Promise<DeliveryTry[]> {
  const all: DeliveryTry[] = [];
  let before: number | null = null;
  do {
    const page = await list(endpointId, tenantId, before, limit);
    all.push(...page.deliveries);
    before = page.next;
  } while (before !== null);
  return all;
}

/** An endpoint with a waiting job for each round, whose webhooks a test settles by reports of its own. */
async function quietBroker(tenantId: string) {
  vi.spyOn(Object.getPrototypeOf(env.WEBHOOKS), "send").mockResolvedValue(undefined);
  const made = await makeBroker({ tenantId, upstreams: [], runRetentionMs: RETENTION_MS });
  const { broker, endpointId } = made;
  /** Ends a job and reports its webhook as delivered. */
  const deliverOne = async (owner = tenantId) => {
    const call = submission({ tenantId: owner, webhook: { url: RECEIVER_URL, sealedSecret: "sealed" } });
    await broker.submit(call);
    await broker.cancel({ tenantId: owner, jobId: call.jobId });
    const result = { kind: "delivered" } as const;
    const report = { jobId: call.jobId, round: 0, tryNumber: 1, result, status: 204, atMs: Date.now(), tookMs: 7 };
    await brokerOf(env, endpointId).finishWebhook(report);
    return report;
  };
  return { ...made, deliverOne };
}

/** Adds tries to the log as if they had come one by one, the first of them at this time. */
async function fill(endpointId: string, tenantId: string, tries: number, atMs: number): Promise<void> {
  await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, state) => {
    state.storage.sql.exec(
      `WITH RECURSIVE n (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM n WHERE number < ?2)
       INSERT INTO deliveries SELECT ?1, number, ?3 + number, 'j', 'msg_' || number, 1, 1, 204, 'filled', 5 FROM n`,
      tenantId,
      tries,
      atMs,
    );
  });
}

it("has each try of a webhook with its status, and the delivery at its end", { timeout: 30_000 }, async () => {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const lines = vi.spyOn(console, "log");
  const statuses = [500, 301, 429, 204];
  const calls = receiveWebhooks(() => {
    const status = statuses[calls.length - 1] ?? 204;
    return new Response(null, { status, headers: { location: "https://elsewhere.example.com/" } });
  });
  const { endpointId, broker } = await makeBroker({ tenantId, runRetentionMs: RETENTION_MS });
  const secret = `whsec_${btoa("a secret that nothing may show")}`;
  const webhook = await webhookTo(RECEIVER_URL, secret);
  const call = submission({ tenantId, webhook });
  await broker.submit(call);
  for (const tries of statuses.keys()) {
    await vi.waitFor(async () => {
      await brokerOf(env, endpointId).startWebhooks();
      expect((await list(endpointId, tenantId)).deliveries).toHaveLength(tries + 1);
    }, POLL);
    vi.setSystemTime(Date.now() + (WEBHOOK_SCHEDULE_MS[tries + 1] ?? 0) * 1.25);
    // What has been tried is there after a restart.
    await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
  }
  const page = await list(endpointId, tenantId);
  expect(page.next).toBeNull();
  expect(page.deliveries.toReversed()).toMatchObject([
    { tryNumber: 1, delivered: false, status: 500, detail: "the receiver answered 500" },
    { tryNumber: 2, delivered: false, status: 301, detail: "the receiver answered 301; redirects are not followed" },
    { tryNumber: 3, delivered: false, status: 429, detail: "the receiver answered 429" },
    { tryNumber: 4, delivered: true, status: 204, detail: "the receiver answered 204" },
  ]);
  for (const { jobId, webhookId, tookMs, atMs } of page.deliveries) {
    expect({ jobId, webhookId }).toEqual({ jobId: call.jobId, webhookId: calls[0]?.id });
    expect(tookMs).toBeGreaterThanOrEqual(0);
    expect(atMs).toBeLessThanOrEqual(Date.now());
  }
  const shown = `${JSON.stringify(page)}\n${lines.mock.calls.flat().join("\n")}`;
  for (const hidden of [secret, secret.slice("whsec_".length), webhook.sealedSecret]) {
    expect(shown).not.toContain(hidden);
  }
});

it("has a failed connection as one short sentence without a status", async () => {
  const tenantId = `tn-${crypto.randomUUID()}`;
  receiveWebhooks(() => {
    throw new Error("connection refused");
  });
  const { endpointId, broker } = await makeBroker({ tenantId, runRetentionMs: RETENTION_MS });
  await broker.submit(submission({ tenantId, webhook: await webhookTo(RECEIVER_URL) }));
  const tried = await vi.waitFor(async () => {
    const [first] = (await list(endpointId, tenantId)).deliveries;
    expect(first).toBeDefined();
    return first;
  }, POLL);
  expect(tried).toMatchObject({ delivered: false, status: null, detail: expect.stringContaining("the receiver") });
});

it("has the tries of a webhook that a retry has moved to a row of its own", async () => {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const { endpointId, broker } = await quietBroker(tenantId);
  const call = submission({ tenantId, webhook: { url: RECEIVER_URL, sealedSecret: "sealed" } });
  await broker.submit(call);
  const job = { tenantId, jobId: call.jobId };
  await broker.cancel(job);
  await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, state) => {
    // Only a failed job can be retried.
    state.storage.sql.exec("UPDATE jobs SET status = 'FAILED', facts = json_set(facts, '$.status', 'FAILED')");
  });
  await abortAllDurableObjects();
  expect(await brokerOf(env, endpointId).retry(job)).toMatchObject({ ok: true });
  const result = { kind: "failed", detail: "the receiver answered 500", retryAfterMs: null } as const;
  await brokerOf(env, endpointId).finishWebhook({ jobId: call.jobId, round: 0, tryNumber: 1, result, status: 500 });
  expect((await list(endpointId, tenantId)).deliveries).toMatchObject([
    { jobId: call.jobId, webhookId: expect.stringMatching(/^msg_.*_r0$/), tryNumber: 1, status: 500, tookMs: null },
  ]);
});

it("has no try twice when a report comes again, and none of a report that settles nothing", async () => {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const { endpointId, deliverOne } = await quietBroker(tenantId);
  const report = await deliverOne();
  await brokerOf(env, endpointId).finishWebhook(report);
  await brokerOf(env, endpointId).finishWebhook({ ...report, round: 3 });
  expect((await list(endpointId, tenantId)).deliveries).toHaveLength(1);
});

it("is not written without the try's settlement, nor the settlement without it", async () => {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const { endpointId, deliverOne, broker } = await quietBroker(tenantId);
  await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, state) => {
    state.storage.sql.exec("CREATE TRIGGER broken BEFORE INSERT ON deliveries BEGIN SELECT raise(ABORT, 'full'); END");
  });
  await expect(deliverOne()).rejects.toThrow("full");
  const [job] = (await broker.requests({ tenantId })).jobs;
  const report = await broker.describe({ tenantId, jobId: job?.id ?? "" });
  expect(report).toMatchObject({ ok: true, value: { webhook: { tries: 0 } } });
});

it("shows a tenant of a shared endpoint no try of another", async () => {
  const mine = `tn-${crypto.randomUUID()}`;
  const theirs = `tn-${crypto.randomUUID()}`;
  const { endpointId, deliverOne } = await quietBroker(mine);
  const { jobId } = await deliverOne(mine);
  await deliverOne(theirs);
  await deliverOne(theirs);
  expect((await list(endpointId, mine)).deliveries.map((one) => one.jobId)).toEqual([jobId]);
  expect((await list(endpointId, theirs)).deliveries).toHaveLength(2);
});

it("takes no try of an endpoint that has no settings, such as one that was deleted and is empty", async () => {
  const endpointId = `ep-${crypto.randomUUID()}`;
  const tried = { atMs: Date.now(), jobId: "j", webhookId: "msg_1_r0", tryNumber: 11, delivered: true };
  const entry = { ...tried, status: 204, detail: "the receiver answered 204", tookMs: 5 };
  await brokerOf(env, endpointId).noteDelivery({ tenantId: "owner", tried: entry });
  expect(await list(endpointId, "owner")).toEqual({ deliveries: [], next: null });
});

it("is read page by page, newest first, and no try comes twice while others are added", async () => {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const { endpointId, deliverOne } = await quietBroker(tenantId);
  const jobs: string[] = [];
  for (let made = 0; made < 5; made += 1) jobs.unshift((await deliverOne()).jobId);
  const first = await list(endpointId, tenantId, null, 2);
  expect(first.deliveries.map((one) => one.jobId)).toEqual(jobs.slice(0, 2));
  await deliverOne();
  const second = await list(endpointId, tenantId, first.next, 2);
  expect(second.deliveries.map((one) => one.jobId)).toEqual(jobs.slice(2, 4));
  const third = await list(endpointId, tenantId, second.next, 2);
  expect(third).toMatchObject({ deliveries: [{ jobId: jobs[4] }], next: null });
});

it("keeps the newest of too many, and shows none past its time", async () => {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const { endpointId, deliverOne } = await quietBroker(tenantId);
  await fill(endpointId, tenantId, DELIVERIES_TENANT_MAX + 3, Date.now());
  for (let made = 0; made < 5; made += 1) await deliverOne();
  const all = await readAll(endpointId, tenantId, DELIVERIES_LISTED_MAX);
  expect(all).toHaveLength(DELIVERIES_TENANT_MAX);
  expect(new Set(all.map(({ webhookId }) => webhookId)).size).toBe(DELIVERIES_TENANT_MAX);

  vi.setSystemTime(Date.now() + DELIVERY_MS + 60_000);
  expect(await list(endpointId, tenantId)).toEqual({ deliveries: [], next: null });
  const { jobId } = await deliverOne();
  expect((await readAll(endpointId, tenantId, 10)).map((one) => one.jobId)).toEqual([jobId]);
});

it("costs one row a try, and one that goes once the log is full", async () => {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const { endpointId, broker, deliverOne } = await quietBroker(tenantId);
  await fill(endpointId, tenantId, DELIVERIES_TENANT_MAX, Date.now());
  const call = submission({ tenantId, webhook: { url: RECEIVER_URL, sealedSecret: "sealed" } });
  await deliverOne();
  await broker.submit(call);
  await broker.cancel({ tenantId, jobId: call.jobId });
  const meter = () =>
    runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (object) => {
      if (!(object instanceof EndpointBroker)) throw new Error("not a broker");
      return { ...object.meter };
    });
  const before = await meter();
  const result = { kind: "delivered" } as const;
  await brokerOf(env, endpointId).finishWebhook({ jobId: call.jobId, round: 0, tryNumber: 1, result, status: 204 });
  const after = await meter();
  // The job's row, the row of the try, and the one that goes for it.
  expect(after.rowsWritten - before.rowsWritten).toBeLessThanOrEqual(3);
  expect(after.rowsRead - before.rowsRead).toBeLessThanOrEqual(12);
});
