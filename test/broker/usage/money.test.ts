// Every billed attempt becomes one usage line in D1, however long D1 is away.

import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { failed } from "../../../src/core/job/failure.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { answerUpstreams, holdCarriers, makeBroker, submission, upstream } from "../../support/broker.ts";
import { breakD1 } from "../../support/d1.ts";

const JOBS = 20;
const OUTAGE_MS = 120_000;
const STEP_MS = 5_000;

type Line = { source: string; seq: number; seconds: number; slots: number; amount_nanodollars: number };

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function linesOf(tenantId: string): Promise<Line[]> {
  const { results } = await env.DB.prepare(
    "SELECT source, seq, seconds, slots, amount_nanodollars FROM usage_lines WHERE tenant_id = ? ORDER BY source, seq",
  )
    .bind(tenantId)
    .all<Line>();
  return results;
}

async function passTime(endpointId: string, tenantId: string, ms: number): Promise<void> {
  vi.setSystemTime(Date.now() + ms);
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
  await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenantId));
}

function uuidOf(jobId: string): string {
  return jobId.replace(/^sync-/, "").replace(/-u1$/, "");
}

describe("the usage lines of a tenant", () => {
  it("are all there, once each, after D1 was away for 2 min while 20 jobs finished", { timeout: 60_000 }, async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    let calls = 0;
    const gate = Promise.withResolvers<void>();
    answerUpstreams(async () => {
      calls += 1;
      await gate.promise;
      return Response.json({ ok: true });
    });
    const { endpointId } = await makeBroker({
      tenantId,
      runsyncRetentionMs: OUTAGE_MS * 10,
      upstreams: [upstream({ slots: JOBS })],
    });
    const startedMs = Date.now();
    const jobs = Array.from({ length: JOBS }, () => submission({ tenantId, mode: "runsync" }));
    for (const job of jobs) expect((await brokerOf(env, endpointId).submit(job)).ok).toBe(true);
    await vi.waitFor(() => expect(calls).toBe(JOBS), { timeout: 5_000, interval: 10 });

    const outage = breakD1();
    // 2.2 s after the start is within the third second, also when the polls below move the clock a little.
    vi.setSystemTime(startedMs + 2_200);
    gate.resolve();
    await vi.waitFor(
      async () => expect((await brokerOf(env, endpointId).health({ tenantId })).jobs.completed).toBe(JOBS),
      { timeout: 5_000, interval: 10 },
    );
    for (let passedMs = 0; passedMs < OUTAGE_MS; passedMs += STEP_MS) await passTime(endpointId, tenantId, STEP_MS);
    expect(outage.calls()).toBeGreaterThan(1);
    outage.heal();
    expect(await linesOf(tenantId)).toEqual([]);

    await vi.waitFor(
      async () => {
        await passTime(endpointId, tenantId, STEP_MS);
        expect(await linesOf(tenantId)).toHaveLength(JOBS);
      },
      { timeout: 10_000, interval: 10 },
    );
    // Whatever is still to be posted would only double a line.
    for (let again = 0; again < 3; again += 1) await passTime(endpointId, tenantId, STEP_MS);
    const expected = jobs.map(({ jobId }) => ({
      source: uuidOf(jobId),
      seq: 1,
      seconds: 3,
      slots: JOBS,
      amount_nanodollars: (3 * 160_000) / JOBS,
    }));
    expect(await linesOf(tenantId)).toEqual(expected.sort((a, b) => (a.source < b.source ? -1 : 1)));
  });

  it("gain one by the retry of a FAILED billed job, and keep the first", { timeout: 30_000 }, async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    let gate = Promise.withResolvers<void>();
    let calls = 0;
    answerUpstreams(async () => {
      calls += 1;
      await gate.promise;
      return Response.json({ ok: true });
    });
    const { endpointId } = await makeBroker({
      tenantId,
      runsyncRetentionMs: OUTAGE_MS * 10,
      executionTimeoutMs: 5_000,
    });
    const call = submission({ tenantId, mode: "runsync" });
    const job = { tenantId, jobId: call.jobId };
    await brokerOf(env, endpointId).submit(call);
    await vi.waitFor(() => expect(calls).toBe(1), { timeout: 5_000, interval: 10 });
    // Its execution timeout passes: the broker itself ends and bills it.
    vi.setSystemTime(Date.now() + 6_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    expect(await brokerOf(env, endpointId).read({ ...job, ttlMs: null })).toMatchObject({
      ok: true,
      value: { status: "FAILED" },
    });
    gate.resolve();

    gate = Promise.withResolvers<void>();
    // Before the first line is posted: it must outlive the row's change.
    expect(await brokerOf(env, endpointId).retry(job)).toMatchObject({ ok: true, value: { status: "IN_QUEUE" } });
    await brokerOf(env, endpointId).start();
    await vi.waitFor(() => expect(calls).toBe(2), { timeout: 5_000, interval: 10 });
    vi.setSystemTime(Date.now() + 1_200);
    gate.resolve();
    await vi.waitFor(
      async () => {
        const answer = await brokerOf(env, endpointId).read({ ...job, ttlMs: null });
        expect(answer).toMatchObject({ ok: true, value: { status: "COMPLETED" } });
      },
      { timeout: 5_000, interval: 10 },
    );
    await vi.waitFor(
      async () => {
        await passTime(endpointId, tenantId, STEP_MS);
        expect(await linesOf(tenantId)).toHaveLength(2);
      },
      { timeout: 10_000, interval: 10 },
    );
    const line = { source: uuidOf(call.jobId), slots: 10 };
    expect(await linesOf(tenantId)).toEqual([
      { ...line, seq: 1, seconds: 5, amount_nanodollars: (5 * 160_000) / 10 },
      { ...line, seq: 2, seconds: 2, amount_nanodollars: (2 * 160_000) / 10 },
    ]);
  });

  it("are posted after a restart when a retry has wiped them from their row", { timeout: 30_000 }, async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    const given = holdCarriers();
    const { endpointId } = await makeBroker({ tenantId, upstreams: [upstream({ slots: 1 })] });
    const call = submission({ tenantId, mode: "runsync" });
    const job = { tenantId, jobId: call.jobId };
    await brokerOf(env, endpointId).submit(call);
    await vi.waitFor(() => expect(given).toHaveLength(1));
    const [first] = given;
    if (first === undefined) throw new Error("no carrier was started");
    vi.setSystemTime(Date.now() + 2_500);
    await brokerOf(env, endpointId).finish({
      ...first,
      outcome: { kind: "handler_error", failure: failed("handler_error", "x"), output: null },
    });
    await brokerOf(env, endpointId).retry(job);
    await abortAllDurableObjects();
    // No billed finish comes after it.
    await brokerOf(env, endpointId).cancel(job);
    await vi.waitFor(
      async () => {
        await passTime(endpointId, tenantId, STEP_MS);
        expect(await linesOf(tenantId)).toMatchObject([{ source: uuidOf(call.jobId), seq: 1, seconds: 3 }]);
      },
      { timeout: 10_000, interval: 10 },
    );
  });
});
