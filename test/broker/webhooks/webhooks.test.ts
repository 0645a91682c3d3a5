// Webhooks: a bad receiver holds up nobody else, is tried again by the schedule, and is given up for all to see.
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { WEBHOOK_SECRET_PLACE } from "../../../src/core/access/sealing.ts";
import { WEBHOOK_SCHEDULE_MS } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { WebhookSender } from "../../../src/dispatch/webhook-sender.ts";
import { seal } from "../../../src/outbound/credentials.ts";
import { answerUpstreams, makeBroker, submission } from "../../support/broker.ts";
import { breakD1 } from "../../support/d1.ts";

const BAD_URL = "https://bad-receiver.example.com/hook";
const GOOD_URL = "https://good-receiver.example.com/hook";
/** So that no result goes before the test has ended. */
const RETENTION_MS = 14 * 86_400_000;
const POLL = { timeout: 8_000, interval: 10 };

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function webhookTo(url: string) {
  const secret = `whsec_${btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24))))}`;
  return { url, sealedSecret: await seal(secret, env.ENCRYPTION_KEY, WEBHOOK_SECRET_PLACE) };
}

/** Upstreams complete every job at once; the receivers' calls go to `receive`. */
function receiveWebhooks(receive: (request: Request) => Promise<Response> | Response): void {
  answerUpstreams((request) =>
    request.url === BAD_URL || request.url === GOOD_URL ? receive(request) : Response.json({ ok: true }),
  );
}

/** How far the webhook of the only job of an endpoint has come, by its row. */
async function webhookState(endpointId: string): Promise<{ tries: number; nextAtMs: number | null }> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, state) =>
    state.storage.sql
      .exec<{ tries: number; nextAtMs: number | null }>(
        `SELECT json_extract(facts, '$.webhook.tries') AS tries, json_extract(facts, '$.webhook.nextAtMs') AS nextAtMs
         FROM jobs`,
      )
      .one(),
  );
}

async function deadLettersOf(tenantId: string) {
  const { results } = await env.DB.prepare(
    "SELECT webhook_id, endpoint_id, job_id, url, tries, detail FROM webhook_dead_letters WHERE tenant_id = ?",
  )
    .bind(tenantId)
    .all();
  return results;
}

describe("a receiver", () => {
  it("that hangs with 10 jobs delays another host's first delivery by less than 2 s", { timeout: 30_000 }, async () => {
    const end = Promise.withResolvers<void>();
    let hanging = 0;
    let deliveredMs = 0;
    receiveWebhooks(async (request) => {
      if (request.url === GOOD_URL) {
        deliveredMs = Date.now();
        return new Response(null, { status: 204 });
      }
      hanging += 1;
      await end.promise;
      return new Response(null, { status: 204 });
    });
    const { endpointId } = await makeBroker();
    for (let made = 0; made < 10; made += 1) {
      const call = submission({ tenantId: "slow", mode: "runsync", webhook: await webhookTo(BAD_URL) });
      expect((await brokerOf(env, endpointId).submit(call)).ok).toBe(true);
    }
    // Six calls to one host at once, and no more.
    await vi.waitFor(() => expect(hanging).toBe(6), POLL);

    const call = submission({ tenantId: "quick", mode: "runsync", webhook: await webhookTo(GOOD_URL) });
    const submittedMs = Date.now();
    await brokerOf(env, endpointId).submit(call);
    await vi.waitFor(() => expect(deliveredMs).not.toBe(0), POLL);
    expect(deliveredMs - submittedMs).toBeLessThan(2_000);
    expect(hanging).toBe(6);
    end.resolve();
    await vi.waitFor(() => expect(hanging).toBe(10), POLL);
  });

  it("that hangs for one tenant is called at once for another one", { timeout: 30_000 }, async () => {
    const end = Promise.withResolvers<void>();
    const ofQuick = new Set<string>();
    const calls: string[] = [];
    answerUpstreams(async (request) => {
      if (request.url !== GOOD_URL) return Response.json({ ok: true });
      const { id } = await request.clone().json<{ id: string }>();
      calls.push(id);
      if (!ofQuick.has(id)) await end.promise;
      return new Response(null, { status: 204 });
    });
    const { endpointId } = await makeBroker();
    for (let made = 0; made < 50; made += 1) {
      const call = submission({ tenantId: "slow", mode: "runsync", webhook: await webhookTo(GOOD_URL) });
      expect((await brokerOf(env, endpointId).submit(call)).ok).toBe(true);
    }
    await vi.waitFor(() => expect(calls).toHaveLength(6), POLL);
    const submittedMs = Date.now();
    for (let made = 0; made < 3; made += 1) {
      const call = submission({ tenantId: "quick", mode: "runsync", webhook: await webhookTo(GOOD_URL) });
      ofQuick.add(call.jobId);
      await brokerOf(env, endpointId).submit(call);
    }
    await vi.waitFor(() => expect(new Set(calls.slice(6))).toEqual(ofQuick), POLL);
    expect(Date.now() - submittedMs).toBeLessThan(2_000);
    end.resolve();
    await vi.waitFor(() => expect(calls).toHaveLength(53), POLL);
  });

  it("that answers 500 is tried by the schedule with one webhook-id, then given up", { timeout: 60_000 }, async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    const ids: (string | null)[] = [];
    receiveWebhooks((request) => {
      ids.push(request.headers.get("webhook-id"));
      return new Response("no", { status: 500 });
    });
    const { endpointId } = await makeBroker({ tenantId, runsyncRetentionMs: RETENTION_MS });
    const call = submission({ tenantId, mode: "runsync", webhook: await webhookTo(BAD_URL) });
    await brokerOf(env, endpointId).submit(call);

    let sentMs = Date.now();
    for (const [tries, waitMs] of WEBHOOK_SCHEDULE_MS.entries()) {
      if (tries === 0) continue;
      const { nextAtMs } = await vi.waitFor(async () => {
        const state = await webhookState(endpointId);
        expect(state.tries).toBe(tries);
        return state;
      }, POLL);
      if (nextAtMs === null) throw new Error("no next try is planned");
      expect(nextAtMs - sentMs).toBeGreaterThanOrEqual(waitMs);
      // A quarter of jitter, and what the polls of this test move the clock by.
      expect(nextAtMs - sentMs).toBeLessThanOrEqual(waitMs * 1.25 + POLL.timeout);
      vi.setSystemTime(nextAtMs - 1);
      expect(await brokerOf(env, endpointId).startWebhooks()).toEqual({ started: 0 });
      vi.setSystemTime(nextAtMs);
      sentMs = nextAtMs;
      expect(await brokerOf(env, endpointId).startWebhooks()).toEqual({ started: 1 });
    }
    await vi.waitFor(async () => expect(await deadLettersOf(tenantId)).toHaveLength(1), POLL);
    expect(ids).toHaveLength(WEBHOOK_SCHEDULE_MS.length);
    expect(new Set(ids).size).toBe(1);
    const dead = { endpoint_id: endpointId, job_id: call.jobId, url: BAD_URL, tries: WEBHOOK_SCHEDULE_MS.length };
    expect(await deadLettersOf(tenantId)).toMatchObject([{ ...dead, webhook_id: ids[0] }]);
  });

  it("that answers 410 is tried once and is a dead letter", { timeout: 30_000 }, async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    const ids: (string | null)[] = [];
    receiveWebhooks((request) => {
      ids.push(request.headers.get("webhook-id"));
      return new Response(null, { status: 410 });
    });
    const { endpointId } = await makeBroker({ tenantId, runsyncRetentionMs: RETENTION_MS });
    const call = submission({ tenantId, mode: "runsync", webhook: await webhookTo(BAD_URL) });
    await brokerOf(env, endpointId).submit(call);
    await vi.waitFor(async () => expect(await webhookState(endpointId)).toEqual({ tries: 1, nextAtMs: null }), POLL);
    for (const waitMs of WEBHOOK_SCHEDULE_MS) {
      vi.setSystemTime(Date.now() + waitMs * 1.25);
      expect(await brokerOf(env, endpointId).startWebhooks()).toEqual({ started: 0 });
    }
    expect(ids).toHaveLength(1);
    expect(await deadLettersOf(tenantId)).toEqual([
      {
        webhook_id: ids[0],
        endpoint_id: endpointId,
        job_id: call.jobId,
        url: BAD_URL,
        tries: 1,
        detail: "the receiver answered 410",
      },
    ]);
  });

  it.each([
    ["", false],
    [", after a restart too", true],
  ])("gets the failure that a retry followed, and the finish of the retry, under two ids%s", async (_, isEvicted) => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    const received: { readonly id: string | null; readonly body: Record<string, unknown> }[] = [];
    let accepts = false;
    let handlerFails = true;
    answerUpstreams(async (request) => {
      if (request.url !== GOOD_URL) {
        return handlerFails ? new Response('{"error":"no such model"}', { status: 422 }) : Response.json({ ok: true });
      }
      if (!accepts) return new Response("not now", { status: 503 });
      received.push({ id: request.headers.get("webhook-id"), body: await request.json() });
      return new Response(null, { status: 204 });
    });
    const { endpointId } = await makeBroker({ tenantId, runsyncRetentionMs: RETENTION_MS });
    const call = submission({ tenantId, mode: "runsync", webhook: await webhookTo(GOOD_URL) });
    const job = { tenantId, jobId: call.jobId };
    const lines = vi.spyOn(console, "log");
    await brokerOf(env, endpointId).submit(call);
    // The first try of the failure's webhook was refused.
    await vi.waitFor(async () => expect((await webhookState(endpointId)).tries).toBe(1), POLL);
    // An eviction waits for the timer of the log, and the second run would begin meanwhile.
    const isFinished = ([line]: unknown[]) =>
      String(line).includes("job_finished") && String(line).includes(call.jobId);
    await vi.waitFor(() => expect(lines.mock.calls.some(isFinished)).toBe(true), POLL);
    handlerFails = false;
    expect(await brokerOf(env, endpointId).retry(job)).toMatchObject({ ok: true, value: { status: "IN_QUEUE" } });
    // What is owed is in a row, and in memory as long as the object lives.
    if (isEvicted) await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
    accepts = true;
    await brokerOf(env, endpointId).start();
    await vi.waitFor(() => expect(received).toHaveLength(1), POLL);
    vi.setSystemTime(Date.now() + WEBHOOK_SCHEDULE_MS[1] * 1.25);
    await brokerOf(env, endpointId).startWebhooks();
    await vi.waitFor(() => expect(received).toHaveLength(2), POLL);
    const [finish, failure] = received;
    expect(finish?.body).toMatchObject({ id: call.jobId, status: "COMPLETED", output: { ok: true }, input: { n: 1 } });
    expect(failure?.body).toMatchObject({
      id: call.jobId,
      status: "FAILED",
      error: "the upstream answered 422: no such model",
      input: { n: 1 },
    });
    expect(failure?.id).not.toBe(finish?.id);
    await vi.waitFor(async () => {
      vi.setSystemTime(Date.now() + WEBHOOK_SCHEDULE_MS[1] * 1.25);
      expect(await brokerOf(env, endpointId).startWebhooks()).toEqual({ started: 0 });
    }, POLL);
    expect(received).toHaveLength(2);
  });

  it("whose late answer belongs to the finish before a retry settles nothing of the new one", async () => {
    let tells = 0;
    const held = Promise.withResolvers<void>();
    answerUpstreams(async (request) => {
      if (request.url !== GOOD_URL) return new Response('{"error":"no"}', { status: 422 });
      tells += 1;
      if (tells > 1) await held.promise;
      return new Response(null, { status: 204 });
    });
    const { endpointId, broker } = await makeBroker();
    const call = submission({ mode: "runsync", webhook: await webhookTo(GOOD_URL) });
    const job = { tenantId: "owner", jobId: call.jobId };
    await broker.submit(call);
    await vi.waitFor(async () => expect(await webhookState(endpointId)).toEqual({ tries: 1, nextAtMs: null }), POLL);
    await broker.retry(job);
    await broker.cancel(job);
    await vi.waitFor(() => expect(tells).toBe(2), POLL);
    const owed = await webhookState(endpointId);
    expect(owed).toMatchObject({ tries: 0, nextAtMs: expect.any(Number) });
    await broker.finishWebhook({ jobId: call.jobId, round: 0, tryNumber: 1, result: { kind: "delivered" } });
    expect(await webhookState(endpointId)).toEqual(owed);
    held.resolve();
    await vi.waitFor(async () => expect(await webhookState(endpointId)).toEqual({ tries: 1, nextAtMs: null }), POLL);
  });

  it("is called again when a sender was lost, and once only after a 410 while D1 is away", {
    timeout: 30_000,
  }, async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    let lost = 0;
    const senders = vi.spyOn(WebhookSender.prototype, "deliver").mockImplementation(async () => {
      lost += 1;
    });
    const { endpointId, broker } = await makeBroker({ tenantId, upstreams: [], runRetentionMs: RETENTION_MS });
    const call = submission({ tenantId, webhook: await webhookTo(BAD_URL) });
    await broker.submit(call);
    await broker.cancel({ tenantId, jobId: call.jobId });
    await vi.waitFor(() => expect(lost).toBe(1), POLL);
    senders.mockRestore();
    const { deliver } = WebhookSender.prototype;
    let underWay = 0;
    vi.spyOn(WebhookSender.prototype, "deliver").mockImplementation(async function (this: WebhookSender, delivery) {
      underWay += 1;
      await deliver.call(this, delivery).finally(() => {
        underWay -= 1;
      });
    });
    let calls = 0;
    answerUpstreams(() => {
      calls += 1;
      return new Response(null, { status: 410 });
    });
    const outage = breakD1();
    for (let passedMs = 0; passedMs < 600_000; passedMs += 10_000) {
      vi.setSystemTime(Date.now() + 10_000);
      await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
      await brokerOf(env, endpointId).startWebhooks();
      await scheduler.wait(1);
      // A sender that a busy machine holds up would seem to be lost while the clock runs ahead.
      await vi.waitFor(() => expect(underWay).toBe(0), POLL);
    }
    expect(calls).toBe(1);
    expect(outage.calls()).toBeGreaterThan(1);
    outage.heal();
    expect(await deadLettersOf(tenantId)).toEqual([]);
    await vi.waitFor(async () => {
      vi.setSystemTime(Date.now() + 10_000);
      await brokerOf(env, endpointId).startWebhooks();
      expect(await deadLettersOf(tenantId)).toMatchObject([{ job_id: call.jobId, tries: 1 }]);
    }, POLL);
  });
});
