// Slots, the line and the bill of load-balanced requests, in the broker of their endpoint.
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { TenantAccount } from "../../../src/account/tenant-account.ts";
import type { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import type { LbOutcome, LbTicket } from "../../../src/contract/load-balancer.ts";
import type { EndpointSettings } from "../../../src/contract/settings.ts";
import type { ProbedHealth } from "../../../src/core/lb/pool.ts";
import { LB_GIVEN_UP_AFTER_MS, LB_RECALL_MS, LB_WAITING_MAX, POST_LINES_MAX } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { makeBroker, upstream } from "../../support/broker.ts";
import { answerPings, lbRequest } from "../../support/load-balanced.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function makeLb(partial: Partial<EndpointSettings> = {}): Promise<string> {
  const { endpointId } = await makeBroker({
    kind: "load_balancer",
    upstreams: [upstream({ id: "w1", slots: 1 })],
    ...partial,
  });
  return endpointId;
}

async function linesOf(endpointId: string, tenantId: string) {
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
  await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenantId));
  const { results } = await env.DB.prepare(
    `SELECT source, seq, job_id, slots, seconds, billed_ms, amount_nanodollars FROM usage_lines
     WHERE tenant_id = ? AND endpoint_id = ? ORDER BY source`,
  )
    .bind(tenantId, endpointId)
    .all();
  return results;
}

describe("the workers of a load-balanced endpoint", () => {
  it("are not asked while nobody wants one; the first request asks all and takes the first that is ready", async () => {
    const slow = Promise.withResolvers<ProbedHealth>();
    const asked = answerPings((id) => (id === "w1" ? slow.promise : "ready"));
    const endpointId = await makeLb({ upstreams: [upstream({ id: "w1" }), upstream({ id: "w2" })] });
    expect((await brokerOf(env, endpointId).health({ tenantId: "owner" })).workers).toMatchObject({
      idle: 2,
      ready: 0,
    });
    expect(asked).toEqual([]);
    expect((await lbRequest(endpointId).ticket()).upstream.id).toBe("w2");
    expect(asked).toEqual(["w1", "w2"]);
    slow.resolve("unhealthy");
    await vi.waitFor(async () => {
      const { workers } = await brokerOf(env, endpointId).health({ tenantId: "owner" });
      expect(workers).toEqual({ idle: 0, ready: 1, running: 1, unhealthy: 1, initializing: 0, throttled: 0 });
    });
  });

  it("that start are asked again while a request waits for them, and serve it then", { timeout: 15_000 }, async () => {
    let asks = 0;
    answerPings(() => {
      asks += 1;
      return asks < 3 ? "starting" : "ready";
    });
    const endpointId = await makeLb();
    const startedMs = Date.now();
    expect((await lbRequest(endpointId).ticket()).upstream.id).toBe("w1");
    expect(asks).toBe(3);
    expect(Date.now() - startedMs).toBeLessThan(6_000);
  });

  it("that could not be reached are left out until they say that they are ready", async () => {
    let health: ProbedHealth = "ready";
    answerPings(() => health);
    const endpointId = await makeLb();
    const first = lbRequest(endpointId);
    const ticket = await first.ticket();
    health = "unhealthy";
    await first.leave(ticket, "unreachable");
    expect(await lbRequest(endpointId).enter(50)).toEqual({
      ok: true,
      value: { kind: "wait", retryAfterSeconds: 120, why: null },
    });
    expect(await lbRequest(endpointId, { affinity: "strict w1" }).enter()).toEqual({
      ok: false,
      failure: { kind: "affinity_gone" },
    });
  });
});

describe("the slots of a load-balanced endpoint", () => {
  it("are never more than there are, whatever comes at once, and go in order of arrival", async () => {
    answerPings(() => "ready");
    const endpointId = await makeLb({
      upstreams: [upstream({ id: "w1", slots: 2 }), upstream({ id: "w2", slots: 1 })],
    });
    const served: number[] = [];
    const running = new Map<string, number>();
    await Promise.all(
      Array.from({ length: 30 }, async (_, at) => {
        const request = lbRequest(endpointId);
        const ticket = await request.ticket();
        const { id, slots } = ticket.upstream;
        running.set(id, (running.get(id) ?? 0) + 1);
        expect(running.get(id)).toBeLessThanOrEqual(slots);
        served.push(at);
        await scheduler.wait(2);
        running.set(id, (running.get(id) ?? 0) - 1);
        await request.leave(ticket);
      }),
    );
    expect(served).toEqual(served.toSorted((a, b) => a - b));
  });

  it("keep a request's place in line between two slices of its wait", async () => {
    answerPings(() => "ready");
    const endpointId = await makeLb();
    const holder = lbRequest(endpointId);
    const held = await holder.ticket();
    const first = lbRequest(endpointId);
    expect(await first.enter(30)).toMatchObject({ ok: true, value: { kind: "wait" } });
    const second = lbRequest(endpointId);
    const secondTicket = second.ticket();
    const firstTicket = first.ticket();
    const order: string[] = [];
    const serve = async (request: typeof first, ticket: Promise<LbTicket>): Promise<void> => {
      const given = await ticket;
      order.push(request.requestId);
      await request.leave(given);
    };
    const both = [serve(second, secondTicket), serve(first, firstTicket)];
    await holder.leave(held);
    await Promise.all(both);
    expect(order).toEqual([first.requestId, second.requestId]);
  });

  it("are free again when a request says nothing for 30 s, which then costs nothing", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    answerPings(() => "ready");
    const endpointId = await makeLb();
    const lost = lbRequest(endpointId, { tenantId: "lost" });
    const ticket = await lost.ticket();
    const broker = brokerOf(env, endpointId);
    vi.setSystemTime(Date.now() + LB_GIVEN_UP_AFTER_MS - 1_000);
    expect(await broker.renewLb(ticket)).toBe(true);
    vi.setSystemTime(Date.now() + LB_GIVEN_UP_AFTER_MS + 1_000);
    const next = lbRequest(endpointId);
    expect((await next.ticket()).upstream.id).toBe("w1");
    expect(await broker.renewLb(ticket)).toBe(false);
    await lost.leave(ticket);
    expect(await linesOf(endpointId, "lost")).toEqual([]);
  });

  it("are exact also after the broker has lost its memory: it waits until it must have heard of every request", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    answerPings(() => "ready");
    const endpointId = await makeLb();
    const running = lbRequest(endpointId);
    const ticket = await running.ticket();
    await abortAllDurableObjects();
    expect(await enterWhileTimePasses(endpointId)).toMatchObject({ value: { kind: "wait" } });
    expect(await brokerOf(env, endpointId).renewLb(ticket)).toBe(true);
    vi.setSystemTime(Date.now() + LB_RECALL_MS);
    expect(await enterWhileTimePasses(endpointId)).toMatchObject({ value: { kind: "wait" } });
    await running.leave(ticket);
    expect((await lbRequest(endpointId).ticket()).upstream.id).toBe("w1");
  });

  it("are not taken up again by a request that was not heard of in time, once another has them", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    answerPings(() => "ready");
    const endpointId = await makeLb();
    const silent = await lbRequest(endpointId).ticket();
    await abortAllDurableObjects();
    expect(await enterWhileTimePasses(endpointId)).toMatchObject({ value: { kind: "wait" } });
    vi.setSystemTime(Date.now() + LB_RECALL_MS);
    await lbRequest(endpointId).ticket();
    expect(await brokerOf(env, endpointId).renewLb(silent)).toBe(false);
  });

  it("are not hoped for soon, and no worker is asked, while the endpoint is paused", async () => {
    const asked = answerPings(() => "ready");
    const endpointId = await makeLb();
    const request = lbRequest(endpointId);
    await request.leave(await request.ticket());
    const settings = await settingsOf(endpointId);
    await brokerOf(env, endpointId).configure({ ...settings, version: 2, paused: true });
    expect(await lbRequest(endpointId).enter(50)).toEqual({
      ok: true,
      value: { kind: "wait", retryAfterSeconds: 120, why: null },
    });
    const paused = await makeLb({ paused: true });
    asked.length = 0;
    await lbRequest(paused).enter(50);
    expect(asked).toEqual([]);
    const waiting = lbRequest(paused).ticket();
    await brokerOf(env, paused).configure({ ...(await settingsOf(paused)), version: 2, paused: false });
    expect((await waiting).upstream.id).toBe("w1");
  });

  it("are given out at once by a broker that starts when nothing ran", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    answerPings(() => "ready");
    const endpointId = await makeLb();
    const request = lbRequest(endpointId);
    await request.leave(await request.ticket());
    vi.setSystemTime(Date.now() + 11_000);
    const waited = lbRequest(endpointId);
    await waited.leave(await waited.ticket(), "unused");
    vi.setSystemTime(Date.now() + 11_000);
    await brokerOf(env, endpointId).configure({ ...(await settingsOf(endpointId)), version: 2 });
    await abortAllDurableObjects();
    const startedMs = performance.now();
    expect((await lbRequest(endpointId).ticket()).upstream.id).toBe("w1");
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });

  it("have a line that ends: the next request is told when to come back", async () => {
    answerPings(() => "ready");
    const endpointId = await makeLb();
    const holder = lbRequest(endpointId);
    await holder.ticket();
    const waiting = Array.from({ length: LB_WAITING_MAX }, () => lbRequest(endpointId));
    const entered = waiting.map((request) => request.enter());
    expect(await lbRequest(endpointId).enter()).toEqual({
      ok: false,
      failure: { kind: "no_worker", retryAfterSeconds: expect.any(Number), why: null },
    });
    await Promise.all(waiting.map((request) => request.leave(null)));
    expect(await lbRequest(endpointId).enter(20)).toMatchObject({ ok: true, value: { kind: "wait" } });
    for (const answer of await Promise.all(entered))
      expect(answer).toMatchObject({ ok: true, value: { kind: "wait" } });
  });
});

describe("tenants that share a load-balanced endpoint", () => {
  it("take turns: one that floods it keeps another waiting for one request at most", async () => {
    answerPings(() => "ready");
    const endpointId = await makeLb();
    const holder = lbRequest(endpointId, { tenantId: "flood" });
    const held = await holder.ticket();
    const order: string[] = [];
    const before = await callsTo(endpointId);
    const flood = Array.from({ length: 20 }, () => serve(lbRequest(endpointId, { tenantId: "flood" }), "flood"));
    const other = [serve(lbRequest(endpointId, { tenantId: "other" }), "other")];
    async function serve(request: ReturnType<typeof lbRequest>, name: string): Promise<void> {
      const ticket = await request.ticket();
      order.push(name);
      await request.leave(ticket);
    }
    await vi.waitFor(async () => expect(await callsTo(endpointId)).toBe(before + 21));
    await holder.leave(held);
    await Promise.all([...flood, ...other]);
    expect(order.indexOf("other")).toBeLessThanOrEqual(1);
  });

  it("share its line: where one has filled it, the newest of its requests yields to another's", async () => {
    answerPings(() => "ready");
    const endpointId = await makeLb();
    await lbRequest(endpointId, { tenantId: "flood" }).ticket();
    const flood = Array.from({ length: LB_WAITING_MAX }, () => lbRequest(endpointId, { tenantId: "flood" }));
    const entered = flood.map((request) => request.enter());
    const other = lbRequest(endpointId, { tenantId: "other" });
    expect(await other.enter(20)).toMatchObject({ ok: true, value: { kind: "wait" } });
    expect(await entered.at(-1)).toMatchObject({ ok: false, failure: { kind: "no_worker" } });
    const more = lbRequest(endpointId, { tenantId: "flood" });
    expect(await more.enter()).toMatchObject({ ok: false, failure: { kind: "no_worker" } });
    await Promise.all([...flood, other].map((request) => request.leave(null)));
    await Promise.all(entered);
  });
});

describe("the bill of a load-balanced request", () => {
  it.each<[LbOutcome, number]>([
    ["served", 1],
    ["client_left", 1],
    ["too_large", 1],
    ["worker_failed", 0],
    ["unreachable", 0],
    ["unused", 0],
  ])("that ended as %s is %i lines", async (outcome, lines) => {
    vi.useFakeTimers({ toFake: ["Date"] });
    answerPings(() => "ready");
    const endpointId = await makeLb({ upstreams: [upstream({ id: "w1", slots: 3 })] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    const request = lbRequest(endpointId, { tenantId });
    const ticket = await request.ticket();
    vi.setSystemTime(Date.now() + 1_250);
    await request.leave(ticket, outcome);
    const line = { source: request.requestId, seq: 1, job_id: `lb-${request.requestId}`, slots: 3, seconds: 2 };
    const billed = { ...line, billed_ms: 1_300, amount_nanodollars: Math.ceil((13 * 160_000) / 30) };
    vi.setSystemTime(Date.now() + 2_000);
    if (lines === 1) {
      await vi.waitFor(async () => expect(await linesOf(endpointId, tenantId)).toEqual([billed]), { timeout: 5_000 });
    }
    await request.leave(ticket, outcome);
    vi.setSystemTime(Date.now() + 2_000);
    expect(await linesOf(endpointId, tenantId)).toHaveLength(lines);
  });

  it("is written by a broker that has lost its memory, once", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    answerPings(() => "ready");
    const endpointId = await makeLb();
    const tenantId = `tn-${crypto.randomUUID()}`;
    const request = lbRequest(endpointId, { tenantId });
    const ticket = await request.ticket();
    vi.setSystemTime(Date.now() + 100);
    await abortAllDurableObjects();
    // The edge repeats a call whose answer was lost.
    await request.leave(ticket);
    await request.leave(ticket);
    await abortAllDurableObjects();
    await vi.waitFor(
      async () => {
        vi.setSystemTime(Date.now() + 2_000);
        expect(await linesOf(endpointId, tenantId)).toMatchObject([{ billed_ms: 100, amount_nanodollars: 16_000 }]);
      },
      { timeout: 5_000 },
    );
  });

  it("is posted with all that are owed, however many they are", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    answerPings(() => "ready");
    const endpointId = await makeLb({ upstreams: [upstream({ id: "w1", slots: 1_000 })] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    vi.spyOn(TenantAccount.prototype, "post").mockImplementation(async ({ broker, lines }) => {
      const through = lines.at(-1)?.finishSeq ?? 0;
      if (broker === endpointId) posted.push(lines.length);
      return { postedThrough: through };
    });
    const posted: number[] = [];
    const made = POST_LINES_MAX * 2 + 100;
    await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (instance) => {
      const broker = instance as EndpointBroker;
      for (let at = 0; at < made; at += 1) {
        const request = { requestId: crypto.randomUUID(), tenantId };
        const call = {
          ...request,
          settingsVersion: 1,
          affinity: { kind: "none" },
          avoidIds: [],
          holdMs: 1_000,
        } as const;
        const entered = await broker.enterLb(call);
        if (!entered.ok || entered.value.kind !== "ticket") throw new Error("no slot");
        await broker.leaveLb({ ...request, ticket: entered.value.ticket, outcome: "served" });
      }
    });
    vi.setSystemTime(Date.now() + 2_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    await vi.waitFor(() => expect(posted).toEqual([POST_LINES_MAX, POST_LINES_MAX, 100]));
  });

  it("costs one row a request, and one more when it is posted", async () => {
    answerPings(() => "ready");
    const endpointId = await makeLb({ upstreams: [upstream({ id: "w1", slots: 10 })] });
    for (let made = 0; made < 50; made += 1) {
      const request = lbRequest(endpointId, { tenantId: "rows" });
      await request.leave(await request.ticket());
    }
    const rows = await runInDurableObject(
      env.ENDPOINT_BROKER.getByName(endpointId),
      (instance) => (instance as EndpointBroker).meter.rowsWritten,
    );
    expect(rows).toBeLessThanOrEqual(2 * 50 + 5);
  });
});

/** Calls that the broker has got. */
async function callsTo(endpointId: string): Promise<number> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (instance) => {
    return (instance as EndpointBroker).meter.calls;
  });
}

/** Under a fake `Date`, which stands still by itself. */
async function enterWhileTimePasses(endpointId: string) {
  const entered = lbRequest(endpointId).enter(30);
  const clock = setInterval(() => vi.setSystemTime(Date.now() + 10), 5);
  try {
    return await entered;
  } finally {
    clearInterval(clock);
  }
}

async function settingsOf(endpointId: string): Promise<EndpointSettings> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_instance, state) => {
    const row = state.storage.sql.exec<{ json: string }>("SELECT json FROM settings").one();
    return JSON.parse(row.json);
  });
}
