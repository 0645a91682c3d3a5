// What the broker of a deleted endpoint answers: no new work, no worker, no later settings; and what it does with the work it has.
import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { EndpointSettings } from "../../../src/contract/settings.ts";
import { EMPTYING_RETRY_MS } from "../../../src/core/endpoint/limits.ts";
import { fail } from "../../../src/core/failure.ts";
import { TURN_ROWS_MAX } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { Carrier } from "../../../src/dispatch/carrier.ts";
import { holdCarriers, makeBroker, settings, submission, upstream, workerKey } from "../../support/broker.ts";
import { alarmOf, deletion, passTheDay, ring, rowsLeft, untilEmpty, untilEnded } from "../../support/closing.ts";
import { answerPings, lbRequest } from "../../support/load-balanced.ts";
import { pullingWorker, pullOnly } from "../../support/pulling-worker.ts";
import { stateOf } from "../../support/quiet.ts";

const UNKNOWN = fail({ kind: "not_found", what: "endpoint" });
const POLL = { timeout: 10_000, interval: 10 };

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function storedSettings(endpointId: string): Promise<EndpointSettings> {
  return stateOf(endpointId, ({ storage }) =>
    JSON.parse(storage.sql.exec<{ json: string }>("SELECT json FROM settings").one().json),
  );
}

async function linesOf(tenantId: string) {
  await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenantId));
  const sql = "SELECT source, billed_ms FROM usage_lines WHERE tenant_id = ? ORDER BY source";
  return (await env.DB.prepare(sql).bind(tenantId).all()).results;
}

describe("the broker of a deleted endpoint", () => {
  it("refuses a submit as an unknown endpoint, whatever settings its caller has, and one that is repeated, too", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    const call = submission({ idempotency: { key: "k", fingerprint: "f" } });
    await broker.submit(call);
    await broker.configure(deletion({ endpointId }));
    for (const settingsVersion of [1, 9, 10]) {
      expect(await broker.submit(submission({ settingsVersion }))).toEqual(UNKNOWN);
      expect(await broker.submit({ ...call, settingsVersion })).toEqual(UNKNOWN);
    }
    await abortAllDurableObjects();
    expect(await brokerOf(env, endpointId).submit(submission())).toEqual(UNKNOWN);
  });

  it("takes no settings that open it again, older or newer, and writes none that are pushed again", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    const deleted = deletion({ endpointId });
    await broker.configure(deleted);
    expect(await broker.configure(settings({ endpointId, version: 3 }))).toEqual({ version: 9 });
    const rows = () => stateOf(endpointId, ({ storage }) => storage.sql.exec("SELECT total_changes() AS n").one());
    const before = await rows();
    expect(await broker.configure(deleted)).toEqual({ version: 9 });
    expect(await rows()).toEqual(before);
    expect(await broker.configure(settings({ endpointId, version: 12 }))).toEqual({ version: 12 });
    expect(await broker.submit(submission({ settingsVersion: 12 }))).toEqual(UNKNOWN);
    expect(await storedSettings(endpointId)).toMatchObject({ version: 12, deletedAtMs: deleted.deletedAtMs });
  });

  it("does not let a failed job be retried, which would live again", async () => {
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({ maxAttempts: 1 });
    const call = submission({ mode: "runsync" });
    await broker.submit(call);
    await vi.waitFor(() => expect(given).toHaveLength(1));
    const failure = { code: "handler_error", message: "no", source: "worker" } as const;
    for (const carrier of given) {
      await broker.finish({ ...carrier, outcome: { kind: "handler_error", failure, output: null } });
    }
    await broker.configure(deletion({ endpointId }));
    expect(await broker.retry({ tenantId: "owner", jobId: call.jobId })).toEqual(UNKNOWN);
    const many = { tenantId: "owner", filter: {}, before: null, limit: 10, waitingMax: 10 };
    expect(await broker.changeJobs({ ...many, action: "retry" })).toMatchObject({
      changed: 0,
      refused: 1,
      refusal: UNKNOWN.failure,
    });
    expect(await broker.depth({ tenantId: "owner" })).toEqual({ waiting: 0, running: 0 });
  });

  it("answers who waits for a job with its end, and starts nothing that waits", async () => {
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 1 })] });
    const [running, waiting] = [submission({ mode: "runsync" }), submission()];
    await broker.submit(running);
    await broker.submit(waiting);
    await vi.waitFor(() => expect(given).toHaveLength(1));
    const waits = [running, waiting].map(({ jobId }) =>
      brokerOf(env, endpointId).wait({ tenantId: "owner", jobId, holdMs: 20_000 }),
    );
    await scheduler.wait(50);
    await broker.configure(deletion({ endpointId }));
    for (const wait of waits) expect(await wait).toMatchObject({ ok: true, value: { status: "CANCELLED" } });
    const [carrier] = given;
    expect(await broker.renew({ jobId: carrier?.jobId ?? "", lease: carrier?.lease ?? "", holdMs: 0 })).toBe(false);
    await broker.start();
    expect(given).toHaveLength(1);
  });

  it("asks a hosted upstream to stop its job with the credential of before, and forgets that afterwards", async () => {
    const given = holdCarriers();
    const stopped = vi.spyOn(Carrier.prototype, "stop").mockResolvedValue();
    const hosted = upstream({ id: "hosted", dialect: "runpod", credential: "sealed" });
    const { endpointId, broker } = await makeBroker({ upstreams: [hosted] });
    await broker.submit(submission({ mode: "runsync" }));
    await vi.waitFor(() => expect(given).toHaveLength(1));
    for (const carrier of given) await broker.noteUpstreamJob({ ...carrier, upstreamJobId: "theirs" });
    await broker.configure(deletion({ endpointId }));
    await vi.waitFor(() => expect(stopped).toHaveBeenCalledWith({ upstream: hosted, upstreamJobId: "theirs" }));
    await untilEnded(endpointId, "owner");
    await vi.waitFor(async () => {
      await ring(endpointId);
      expect(await storedSettings(endpointId)).toMatchObject({ upstreams: [] });
    }, POLL);
  });

  it("keeps the upstreams to cancel at when it is lost between the deletion and the cancels", async () => {
    const given = holdCarriers();
    const stopped = vi.spyOn(Carrier.prototype, "stop").mockResolvedValue();
    const hosted = upstream({ id: "hosted", dialect: "runpod", credential: "sealed", slots: 300 });
    const { endpointId, broker } = await makeBroker({ upstreams: [hosted] });
    // More than a turn cancels, so that some are left when the object is lost.
    for (let made = 0; made < 150; made += 1) await broker.submit(submission({ mode: "runsync" }));
    await vi.waitFor(() => expect(given).toHaveLength(150), POLL);
    for (const carrier of given) await broker.noteUpstreamJob({ ...carrier, upstreamJobId: carrier.jobId });
    await broker.configure(deletion({ endpointId }));
    await vi.waitFor(() => expect(stopped.mock.calls.length).toBeGreaterThanOrEqual(TURN_ROWS_MAX), POLL);
    await abortAllDurableObjects();
    await untilEnded(endpointId, "owner");
    await vi.waitFor(() => expect(stopped).toHaveBeenCalledTimes(150), POLL);
  }, 20_000);
});

describe("a pulling worker of a deleted endpoint", () => {
  it("is told to stop its job, gets no other one, and is refused as with a revoked key", async () => {
    const { endpointId, broker } = await makeBroker({ ...pullOnly, workerKeys: [workerKey({ id: "key1", slots: 2 })] });
    const [running, waiting] = [submission(), submission()];
    await broker.submit(running);
    const w1 = pullingWorker(broker, "w1");
    expect((await w1.takeOne()).jobId).toBe(running.jobId);
    const stops = brokerOf(env, endpointId).awaitStops({ ...w1.name, holdMs: 20_000 });
    const idle = pullingWorker(brokerOf(env, endpointId), "w2").take();
    await vi.waitFor(async () => expect((await broker.health({ tenantId: "owner" })).workers.ready).toBe(1));
    await broker.configure(deletion({ endpointId }));
    expect(await stops).toEqual([running.jobId]);
    expect(await idle).toEqual([]);
    expect(await broker.submit(waiting)).toEqual(UNKNOWN);
    expect(await broker.takeJobs({ ...w1.name, pollId: "p", wanted: 1, idle: true, gpu: null, version: null })).toEqual(
      fail({ kind: "unauthorized" }),
    );
    expect(await broker.workerKey({ keyId: "key1" })).toMatchObject({ ok: false });
    expect(await w1.done(running.jobId)).toBe("late");
  });
});

describe("a load-balanced endpoint that is deleted", () => {
  async function makeLb(tenantId: string) {
    answerPings(() => "ready");
    const upstreams = [upstream({ id: "w1", slots: 1 })];
    return makeBroker({ kind: "load_balancer", tenantId, upstreams });
  }

  it("ends what runs by its next renewal, bills it until then, and refuses who waits and who comes", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    const { endpointId, broker } = await makeLb(tenantId);
    const running = lbRequest(endpointId, { tenantId });
    const ticket = await running.ticket();
    const inLine = lbRequest(endpointId, { tenantId }).enter();
    vi.setSystemTime(Date.now() + 4_000);
    expect(await broker.renewLb(ticket)).toBe(true);
    await broker.configure(deletion({ endpointId, tenantId, kind: "load_balancer" }));
    expect(await inLine).toEqual(UNKNOWN);
    expect(await lbRequest(endpointId, { tenantId }).enter()).toEqual(UNKNOWN);
    vi.setSystemTime(Date.now() + 1_000);
    expect(await broker.renewLb(ticket)).toBe(false);
    // What an edge reports of a request that has lost its worker before the answer has begun.
    await running.leave(ticket, "unused");
    await running.leave(ticket, "unused");
    vi.setSystemTime(Date.now() + 2_000);
    await ring(endpointId);
    await vi.waitFor(async () =>
      expect(await linesOf(tenantId)).toEqual([{ source: running.requestId, billed_ms: 5_000 }]),
    );
  });

  it("bills it once, too, when the broker is lost before the renewal and the end", async () => {
    const tenantId = `tn-${crypto.randomUUID()}`;
    const { endpointId, broker } = await makeLb(tenantId);
    const running = lbRequest(endpointId, { tenantId });
    const ticket = await running.ticket();
    await broker.configure(deletion({ endpointId, tenantId, kind: "load_balancer" }));
    await abortAllDurableObjects();
    expect(await brokerOf(env, endpointId).renewLb(ticket)).toBe(false);
    await running.leave(ticket, "unused");
    await abortAllDurableObjects();
    await running.leave(ticket, "served");
    await vi.waitFor(async () => {
      await ring(endpointId);
      expect(await linesOf(tenantId)).toHaveLength(1);
    }, POLL);
  });

  it("is not emptied while requests may run, also after a start of the object, and is once they do not", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    const { endpointId, broker } = await makeLb(tenantId);
    await lbRequest(endpointId, { tenantId }).ticket();
    const deletedAtMs = Date.now();
    await broker.configure(deletion({ endpointId, tenantId, deletedAtMs, kind: "load_balancer" }));
    passTheDay(deletedAtMs);
    await ring(endpointId);
    await abortAllDurableObjects();
    await ring(endpointId);
    await scheduler.wait(50);
    expect(await rowsLeft(endpointId)).toBeGreaterThan(0);
    expect(await alarmOf(endpointId)).toBeGreaterThan(Date.now());
    // As the timer does it, once every renewal must have come.
    await stateOf(endpointId, ({ storage }) => storage.sql.exec("DELETE FROM lb_running"));
    await abortAllDurableObjects();
    vi.setSystemTime(Date.now() + EMPTYING_RETRY_MS);
    await untilEmpty(endpointId);
  });
});

describe("an emptied object that is called again", () => {
  it("takes no job and no worker, sets no alarm, and stores nothing", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker(pullOnly);
    const call = submission();
    await broker.submit(call);
    const deletedAtMs = Date.now();
    await broker.configure(deletion({ endpointId, deletedAtMs }));
    passTheDay(deletedAtMs);
    await untilEmpty(endpointId);
    const again = () => brokerOf(env, endpointId);
    const job = { tenantId: "owner", jobId: call.jobId };
    expect(await again().submit(submission())).toEqual(fail({ kind: "settings_behind" }));
    expect(await again().read({ ...job, ttlMs: null })).toMatchObject({ ok: false });
    expect(await again().retry(job)).toMatchObject({ ok: false });
    const name = { keyId: "key1", workerId: "w1" };
    expect(await again().takeJobs({ ...name, pollId: "p", wanted: 1, idle: true, gpu: null, version: null })).toEqual(
      fail({ kind: "unauthorized" }),
    );
    await again().ping({ ...name, jobIds: [call.jobId], unfit: null, leaving: false, gpu: null, version: null });
    await again().start();
    await again().startWebhooks();
    const ticket = {
      ...{ token: "t", tenantId: "owner", incarnation: "another", upstream: upstream() },
      ...{ startedAtMs: deletedAtMs, nanodollarsPerSecond: 1 },
    };
    expect(await again().renewLb(ticket)).toBe(false);
    await again().leaveLb({ requestId: crypto.randomUUID(), tenantId: "owner", ticket, outcome: "served" });
    expect(await again().purgeQueue({ tenantId: "owner" })).toEqual({ removed: 0 });
    expect(await alarmOf(endpointId)).toBeNull();
    const stored = await stateOf(endpointId, ({ storage }) =>
      storage.sql.exec("SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM owed) AS rows").one(),
    );
    expect(stored).toEqual({ rows: 0 });
  });

  it("is emptied again when the deletion is pushed to it once more", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker(pullOnly);
    const deleted = deletion({ endpointId });
    await broker.configure(deleted);
    passTheDay(deleted.deletedAtMs ?? 0);
    await untilEmpty(endpointId);
    expect(await brokerOf(env, endpointId).configure(deleted)).toEqual({ version: 9 });
    expect(await brokerOf(env, endpointId).submit(submission())).toEqual(UNKNOWN);
    await untilEmpty(endpointId);
    expect(await alarmOf(endpointId)).toBeNull();
  });
});

it("a broker that was never called closes by the deletion alone", async () => {
  const { endpointId } = settings();
  const deleted = deletion({ endpointId });
  expect(await brokerOf(env, endpointId).configure(deleted)).toEqual({ version: 9 });
  expect(await brokerOf(env, endpointId).submit(submission())).toEqual(UNKNOWN);
});
