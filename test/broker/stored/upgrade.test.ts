// An upgrade from each earlier state of a broker's tables: what that release has stored is migrated, shown, run, sent and billed.
// It is called by HTTP, with the newest D1, as after `npm run deploy`, which migrates D1 before it deploys the code.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BROKER_MIGRATIONS } from "../../../src/broker/store/schema.ts";
import type { RateKind } from "../../../src/core/job/pricing.ts";
import { LEASE_MS, WORKER_GONE_AFTER_MS } from "../../../src/core/limits.ts";
import { loadEndpointSettings } from "../../../src/db/endpoints.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { ACTIVE_RATE } from "../../support/active.ts";
import { answerUpstreams, submission } from "../../support/broker.ts";
import { keptOf } from "../../support/kept.ts";
import { makePulling } from "../../support/pulling.ts";
import { RECEIVER_URL, type ReceivedWebhook, verifiedBy, webhookTo } from "../../support/webhooks.ts";
import {
  BOUNDED,
  CHUNK,
  HELD_MS,
  leaveBehind,
  ORDER,
  OUTPUT,
  PURGER,
  TOKEN_ID,
  TOKEN_LEFT_MS,
} from "./older-broker.ts";
import { COST, RATE } from "./older-jobs.ts";
import { postLines } from "./post-lines.ts";

const POLL = { timeout: 8_000, interval: 10 };
/** No alarm rings by itself before this. */
const NOW_MS = Date.UTC(2050, 0, 1);
const ANSWER = { ran: "anew" };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(NOW_MS);
  // Jobs and webhooks start when a test says so.
  vi.spyOn(Object.getPrototypeOf(env.DISPATCH), "send").mockResolvedValue(undefined);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function upgrade(migrations: number, rateKind: RateKind = "flex") {
  const pulling = await makePulling({ upstreams: [{ url: "https://gpu.example.com/work", slots: 20, rateKind }] });
  const { tenantId, endpointId, webhookSecret } = pulling.tenant;
  const settings = await loadEndpointSettings(env.DB, endpointId);
  if (settings === null) throw new Error("the endpoint is missing");
  const left = await leaveBehind(migrations, { settings, webhook: await webhookTo(RECEIVER_URL, webhookSecret) });
  const stub = () => env.ENDPOINT_BROKER.getByName(endpointId);
  return {
    ...pulling,
    tenantId,
    endpointId,
    settings,
    left,
    broker: () => brokerOf(env, endpointId),
    jobCounts: async () => (await brokerOf(env, endpointId).health({ tenantId })).jobs,
    /** The broker's alarm rings so much later. */
    passTime: async (ms: number) => {
      vi.setSystemTime(Date.now() + ms);
      await runDurableObjectAlarm(stub());
    },
    countRows: (sql: string) =>
      runInDurableObject(stub(), (_, { storage }) => Number(storage.sql.exec(sql).one().rows)),
  };
}

type Upgraded = Awaited<ReturnType<typeof upgrade>>;

/** Upstreams complete each job, receivers take each webhook; both stand here as they came. */
function watchCalls({ broker }: Upgraded) {
  const ran: string[] = [];
  const received: ReceivedWebhook[] = [];
  const boundedAtOnce: number[] = [];
  answerUpstreams(async (request) => {
    const text = await request.text();
    if (request.url.startsWith(RECEIVER_URL)) {
      const headers = Object.fromEntries(request.headers);
      received.push({ url: request.url, id: headers["webhook-id"] ?? null, text, headers });
      return new Response(null, { status: 204 });
    }
    ran.push(text);
    boundedAtOnce.push((await broker().depth({ tenantId: BOUNDED })).running);
    return Response.json(ANSWER);
  });
  return { ran, received, boundedAtOnce };
}

/** What D1 has of the tenant, once broker and account owe nothing more: each line as its job, attempt and price. */
async function billOf({ endpointId, tenantId }: Upgraded) {
  await postLines(endpointId, tenantId);
  const { results } = await env.DB.prepare(
    "SELECT job_id AS id, seq, amount_nanodollars AS amount FROM usage_lines WHERE tenant_id = ? ORDER BY job_id, seq",
  )
    .bind(tenantId)
    .all<{ id: string; seq: number; amount: number }>();
  return results;
}

const STATES = BROKER_MIGRATIONS.map((_, at) => at + 1);

describe.each(STATES)("a broker that a release with %i migrations has left", (migrations) => {
  it("shows all as it was", async () => {
    const upgraded = await upgrade(migrations);
    const { left, status, jobCounts, broker, tenantId, endpointId, asClient, settings } = upgraded;
    expect(await status(left.settled.id)).toMatchObject({ status: "COMPLETED", output: JSON.parse(OUTPUT) });
    expect(await status(left.completed.id)).toMatchObject({ status: "COMPLETED", output: JSON.parse(OUTPUT) });
    expect(await status(left.failed.id)).toMatchObject({ status: "FAILED", error: "no such model" });
    for (const job of [left.retried, left.queued]) expect(await status(job.id)).toMatchObject({ status: "IN_QUEUE" });
    const running = left.pulled === null ? [left.pushed] : [left.pushed, left.pulled];
    for (const job of running) expect(await status(job.id)).toMatchObject({ status: "IN_PROGRESS" });
    const counts = { completed: 2, failed: 1, inQueue: 2, inProgress: running.length, retried: 0 };
    expect(await jobCounts()).toEqual(counts);
    expect(await (await asClient("health")).json()).toMatchObject({ jobs: counts });
    const purged = { tenantId: PURGER, jobId: left.purged.id };
    expect(await broker().read({ ...purged, ttlMs: null })).toMatchObject({ value: { status: "CANCELLED" } });
    expect(await broker().depth({ tenantId: PURGER })).toEqual({ waiting: 0, running: 0 });
    const again = await broker().submit(submission({ tenantId, idempotency: ORDER }));
    expect(again).toMatchObject({ ok: true, value: { created: false, job: { id: left.completed.id } } });
    expect(await broker().configure({ ...settings, version: 0 })).toEqual({ version: settings.version });
    // All sums are those of a recount.
    const { rows, start, memory, numbers } = await keptOf(endpointId, [tenantId, PURGER, BOUNDED]);
    expect(start).toEqual(rows);
    expect(memory).toEqual(rows.tallies);
    // The last finish stands in the row of an owed line alone.
    expect(numbers.byStart).toEqual({ queueSeq: 11, finishSeq: 4 });
  });

  it("keeps what it had for chunks, keys, tries and tokens", async () => {
    const { left, broker, tenantId, countRows } = await upgrade(migrations);
    const job = { tenantId, jobId: left.completed.id };
    const page = await broker().readStream({ ...job, after: { attempt: 0, seq: 0 }, holdMs: 0 });
    const chunks = page.ok ? page.value.chunks.map(({ bytes }) => new TextDecoder().decode(bytes)) : null;
    expect(chunks).toEqual(migrations < 3 ? [] : [CHUNK]);
    expect(await countRows(`SELECT keys AS rows FROM key_counts WHERE tenant_id = '${tenantId}'`)).toBe(1);
    const { deliveries } = await broker().listDeliveries({ tenantId, before: null, limit: 10 });
    expect(deliveries).toMatchObject(migrations < 9 ? [] : [{ jobId: left.completed.id, status: 500 }]);
    const token = { id: TOKEN_ID, calls: 2, expiresAtMs: NOW_MS + TOKEN_LEFT_MS };
    const used = await broker().submit(submission({ tenantId, token }));
    const refused = { ok: false, failure: { kind: "token_refused", why: "calls" } };
    expect(used).toMatchObject(migrations < 11 ? { ok: true } : refused);
  });

  it("runs what waits, takes the results of what runs, sends each webhook and bills each attempt once", async () => {
    const upgraded = await upgrade(migrations);
    const { left, status, jobCounts, broker, tenant, done, tenantId } = upgraded;
    const { ran, received, boundedAtOnce } = watchCalls(upgraded);
    const waited = [left.retried, left.queued];
    await vi.waitFor(async () => {
      await broker().start();
      for (const { id } of waited) expect(await status(id)).toMatchObject({ status: "COMPLETED", output: ANSWER });
      expect(await broker().depth({ tenantId: BOUNDED })).toEqual({ waiting: 0, running: 0 });
    }, POLL);
    expect(ran.filter((text) => text.includes(left.queued.id))).toHaveLength(1);
    expect(Math.max(...boundedAtOnce)).toBe(migrations >= 10 ? 1 : 2);

    vi.setSystemTime(NOW_MS + 5_000);
    const held = { jobId: left.pushed.id, lease: left.pushedLease };
    const outcome = {
      kind: "completed",
      output: { kind: "inline", bytes: new TextEncoder().encode('"pushed"') },
    } as const;
    expect(await broker().finish({ ...held, lease: crypto.randomUUID(), outcome })).toMatchObject({ accepted: false });
    expect(await broker().finish({ ...held, outcome })).toMatchObject({ accepted: true });
    expect(await status(left.pushed.id)).toMatchObject({ status: "COMPLETED", output: "pushed" });
    if (left.pulled !== null) {
      expect((await done(left.pulled.id, '{"output":"pulled"}', "w2")).status).toBe(200);
      expect(await status(left.pulled.id)).toMatchObject({ status: "IN_PROGRESS" });
      expect((await done(left.pulled.id, '{"output":"pulled"}')).status).toBe(200);
      expect(await status(left.pulled.id)).toMatchObject({ status: "COMPLETED", output: "pulled" });
    }
    const ended = [left.completed, left.failed, left.pushed, left.retried, left.queued, left.pulled].filter(
      (job) => job !== null,
    );
    expect(await jobCounts()).toEqual({ completed: ended.length, failed: 1, inQueue: 0, inProgress: 0, retried: 0 });

    // A webhook of a finish before the retry, too, where the release had a table for it.
    const webhooks = [left.completed, left.retried].map(
      ({ uuid }, round) => `msg_${uuid}_r${migrations < 2 ? 0 : round}`,
    );
    if (migrations >= 2) webhooks.push(`msg_${left.retried.uuid}_r0`);
    await vi.waitFor(async () => {
      await broker().startWebhooks();
      expect(received.map(({ id }) => id).sort()).toEqual(webhooks.sort());
      const { deliveries } = await broker().listDeliveries({ tenantId, before: null, limit: 10 });
      expect(deliveries.filter(({ delivered }) => delivered)).toHaveLength(webhooks.length);
    }, POLL);
    for (const call of received) expect(verifiedBy(call, tenant.webhookSecret)).toEqual([tenant.webhookSecret]);
    expect(await broker().startWebhooks()).toEqual({ started: 0 });
    const first = received.find(({ id }) => id === `msg_${left.completed.uuid}_r0`);
    expect(JSON.parse(first?.text ?? "")).toMatchObject({ id: left.completed.id, output: JSON.parse(OUTPUT) });

    const lines = ended.map(({ id }) => ({ id, seq: id === left.retried.id ? 2 : 1 }));
    lines.push({ id: left.retried.id, seq: 1 });
    const bill = await billOf(upgraded);
    const inOrder = lines.sort((a, b) => (a.id === b.id ? a.seq - b.seq : a.id < b.id ? -1 : 1));
    expect(bill.map(({ id, seq }) => ({ id, seq }))).toEqual(inOrder);
    // Those that had ended cost what was stored, those that ran the rate of their leases for all of their time.
    const ran7s = { seq: 1, amount: 7 * RATE };
    const costs = [left.completed, left.failed].map(({ id }) => ({ id, seq: 1, amount: COST.amountNanodollars }));
    const running = left.pulled === null ? [left.pushed] : [left.pushed, left.pulled];
    expect(bill).toEqual(expect.arrayContaining([...costs, ...running.map(({ id }) => ({ id, ...ran7s }))]));
    expect(await billOf(upgraded)).toEqual(bill);
  });

  it("runs again what nobody reports on, and bills that attempt alone", async () => {
    const upgraded = await upgrade(migrations);
    const { left, status, jobCounts, broker, passTime } = upgraded;
    watchCalls(upgraded);
    const running = left.pulled === null ? [left.pushed] : [left.pushed, left.pulled];
    expect(await jobCounts()).toMatchObject({ inProgress: running.length });
    // The start of the object has given each lease one more period.
    await passTime(LEASE_MS - 3_000);
    for (const { id } of running) expect(await status(id)).toMatchObject({ status: "IN_PROGRESS" });
    await passTime(4_000);
    for (const { id } of running) expect(await status(id)).toMatchObject({ status: "IN_QUEUE" });
    await vi.waitFor(async () => {
      await passTime(1_000);
      await broker().start();
      for (const { id } of running) expect(await status(id)).toMatchObject({ status: "COMPLETED", output: ANSWER });
    }, POLL);
    expect(await jobCounts()).toMatchObject({ inQueue: 0, inProgress: 0 });
    const bill = await billOf(upgraded);
    for (const { id } of running) expect(bill.filter((line) => line.id === id)).toMatchObject([{ seq: 2 }]);
  });

  it("shows why there were so many machines, and ends those that it had", async () => {
    const { broker, tenantId, passTime, countRows } = await upgrade(migrations);
    const machines = () => countRows("SELECT count(*) AS rows FROM instances");
    const decisions = await broker().listDecisions({ tenantId, below: 2, limit: 10 });
    expect(decisions).toMatchObject(migrations < 13 ? [] : [{ from: 0, to: 1, reason: "REQUEST_COUNT" }]);
    expect(await machines()).toBe(migrations < 13 ? 0 : 1);
    // Its worker does not call, its provider does not have it, and a list shows that half a minute later.
    await vi.waitFor(async () => {
      await passTime(WORKER_GONE_AFTER_MS);
      expect(await machines()).toBe(0);
    }, POLL);
  });

  it("bills an active upstream from its first start on, or goes on with what it has billed", async () => {
    const upgraded = await upgrade(migrations, "active");
    const { settings, broker } = upgraded;
    // The start of the object.
    await broker().depth({ tenantId: "nobody" });
    vi.setSystemTime(NOW_MS + 10_000);
    await broker().configure({ ...settings, version: settings.version + 1, upstreams: [] });
    const id = `active-${settings.upstreams[0]?.id}`;
    const held = (await billOf(upgraded)).filter((line) => line.id === id);
    const seconds = migrations < 12 ? 10 : HELD_MS / 1_000 - 3_600 + 10;
    expect(held).toEqual([{ id, seq: migrations < 12 ? 1 : 2, amount: seconds * ACTIVE_RATE }]);
  });
});
