// What is held active, from when until when, and what becomes of its lines whatever happens to the broker meanwhile.
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { BrokerStore } from "../../../src/broker/store/jobs.ts";
import { UsageOutbox } from "../../../src/broker/usage/outbox.ts";
import {
  ACTIVE_RATE,
  type ActiveLine,
  activeKey,
  activeRate,
  activeUpstream,
  makeActive,
  passMs,
} from "../../support/active.ts";
import { answerUpstreams, submission, upstream, workerKey } from "../../support/broker.ts";
import { deletion, passTheDay, rowsLeft, untilEmpty } from "../../support/closing.ts";
import { passQuietly, stateOf } from "../../support/quiet.ts";

/** No alarm rings by itself before this. */
const NOW_MS = Date.UTC(2050, 0, 1);
const HOUR_MS = 3_600_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(NOW_MS);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Lines as [id, tier, start, end, seconds], times in seconds after the beginning of the test. */
function shown(lines: readonly ActiveLine[]) {
  const after = (ms: number) => (ms - NOW_MS) / 1_000;
  return lines.map(({ jobId, tier, startedAt, finishedAt, seconds }) => [
    jobId,
    tier,
    after(startedAt),
    after(finishedAt),
    seconds,
  ]);
}

describe("an active upstream", () => {
  it("is billed to the endpoint's owner by the hour while it is in the settings, paused or not, and its jobs cost nothing", async () => {
    answerUpstreams(() => Response.json({ ok: true }));
    const active = await makeActive({ upstreams: [activeUpstream({ slots: 4 })] });
    const guest = { tenantId: `tn-${crypto.randomUUID()}` };
    await active.broker().submit(submission(guest));
    await active.broker().start();
    while ((await active.broker().health(guest)).jobs.completed === 0) await scheduler.wait(1);
    passMs(1_800_000);
    await active.change({ paused: true });
    passMs(2 * HOUR_MS - 1_800_000);
    await active.ring();
    passMs(10_400);
    await active.change({ upstreams: [] });
    const lines = await active.lines();
    expect(shown(lines)).toEqual([
      ["active-u1", "a4000", 0, 3_600, 3_600],
      ["active-u1", "a4000", 3_600, 7_200, 3_600],
      ["active-u1", "a4000", 7_200, 7_210.4, 11],
    ]);
    expect(lines).toMatchObject([1, 2, 3].map((seq) => ({ seq, slots: 1, rateKind: "active", rate: ACTIVE_RATE })));
    expect(lines.map(({ amount }) => amount)).toEqual([3_600 * ACTIVE_RATE, 3_600 * ACTIVE_RATE, 11 * ACTIVE_RATE]);
    const sql = "SELECT rate_kind AS kind, amount_nanodollars AS amount FROM usage_lines WHERE tenant_id = ?";
    await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(guest.tenantId));
    const { results } = await env.DB.prepare(sql).bind(guest.tenantId).all();
    expect(results).toEqual([{ kind: "active", amount: 0 }]);
    expect(await active.holds()).toEqual([]);
  });

  it("of a load-balanced endpoint is held as well", async () => {
    const active = await makeActive({ kind: "load_balancer", upstreams: [activeUpstream()] });
    passMs(5_000);
    await active.change({ upstreams: [upstream()] });
    expect(shown(await active.lines())).toEqual([["active-u1", "a4000", 0, 5, 5]]);
  });

  it("is held anew when its tier changes, and goes on when anything else of it does", async () => {
    const rates = [activeRate(), activeRate({ tier: "b200", nanodollarsPerSecond: 1_900_000 })];
    const active = await makeActive({ rates, upstreams: [activeUpstream()] });
    passMs(1_500);
    await active.change({ upstreams: [activeUpstream({ slots: 99, url: "http://127.0.0.1:9/other" })] });
    passMs(1_500);
    await active.change({ upstreams: [activeUpstream({ tier: "b200" })] });
    passMs(1_500);
    await active.change({ upstreams: [upstream({ tier: "b200" })] });
    expect(shown(await active.lines()).toSorted()).toEqual([
      ["active-u1", "a4000", 0, 3, 3],
      ["active-u1", "b200", 3, 4.5, 2],
    ]);
  });

  it("is held by its tier's price, and from when it has one", async () => {
    const begins = { effectiveFromMs: NOW_MS + HOUR_MS, nanodollarsPerSecond: 7 };
    const active = await makeActive({ rates: [], upstreams: [activeUpstream()] });
    expect(await active.alarm()).toBeNull();
    passMs(600_000);
    await active.change({ rates: [activeRate(begins)] });
    const rises = { effectiveFromMs: NOW_MS + HOUR_MS + 9_500, nanodollarsPerSecond: 9 };
    await active.change({ rates: [activeRate(begins), activeRate(rises)] });
    await passQuietly(active.endpointId, NOW_MS + HOUR_MS + 20_000);
    await active.change({ upstreams: [] });
    const lines = await active.lines();
    expect(shown(lines)).toEqual([
      ["active-u1", "a4000", 3_600, 3_610, 10],
      ["active-u1", "a4000", 3_610, 3_620, 10],
    ]);
    expect(lines.map(({ amount }) => amount)).toEqual([70, 90]);
  });

  it("is not billed for time before its broker knew the price", async () => {
    const active = await makeActive({ rates: [], upstreams: [activeUpstream()] });
    passMs(600_000);
    await active.change({ rates: [activeRate({ effectiveFromMs: NOW_MS + 60_000 })] });
    passMs(2_000);
    await active.change({ upstreams: [] });
    expect(shown(await active.lines())).toEqual([["active-u1", "a4000", 600, 602, 2]]);
  });

  it("that an earlier release has put into the settings is held from the first start on", async () => {
    const active = await makeActive({ upstreams: [activeUpstream()] });
    await stateOf(active.endpointId, ({ storage }) => storage.sql.exec("DELETE FROM holds"));
    passMs(5 * HOUR_MS);
    await abortAllDurableObjects();
    expect(await active.holds()).toMatchObject([{ holder_id: "u1", from_at: Date.now(), metered_until: Date.now() }]);
    await passQuietly(active.endpointId, NOW_MS + 6 * HOUR_MS);
    await active.change({ upstreams: [] });
    expect(shown(await active.lines())).toEqual([["active-u1", "a4000", 5 * 3_600, 6 * 3_600, 3_600]]);
  });

  it("rings once an hour on an endpoint that nobody calls, whose object is evicted in between", async () => {
    const active = await makeActive({ upstreams: [activeUpstream(), activeUpstream({ id: "u2" })] });
    const rang = await passQuietly(active.endpointId, NOW_MS + 24 * HOUR_MS);
    // Each slice, and its posting a second later.
    expect(rang.length).toBeLessThanOrEqual(2 * 24 + 1);
    await active.change({ upstreams: [] });
    const lines = await active.lines();
    expect(lines).toHaveLength(2 * 24);
    expect(lines.reduce((sum, { seconds }) => sum + seconds, 0)).toBe(2 * 24 * 3_600);
  });

  it("goes on when the clock is set back, and no second of it is billed twice", async () => {
    const active = await makeActive({ upstreams: [activeUpstream()] });
    passMs(HOUR_MS);
    await active.ring();
    passMs(-1_800_000);
    await active.ring();
    await abortAllDurableObjects();
    await active.ring();
    passMs(1_800_000 + 30_000);
    await active.change({ upstreams: [] });
    expect(shown(await active.lines())).toEqual([
      ["active-u1", "a4000", 0, 3_600, 3_600],
      ["active-u1", "a4000", 3_600, 3_630, 30],
    ]);
    await active.change({ upstreams: [activeUpstream()] });
    passMs(-5_000);
    const before = (await active.lines()).length;
    await active.change({ upstreams: [] });
    expect(await active.lines()).toHaveLength(before);
  });
});

describe("an active worker that pulls", () => {
  const keys = { workerKeys: [activeKey()] };

  it("is held from its first call for a job until it was last seen, and slices end at whole hours", async () => {
    const active = await makeActive(keys);
    await active.ping("w1");
    passMs(5_000);
    expect(await active.ask("w1")).toBe(true);
    for (let seconds = 0; seconds < 3_700; seconds += 37) {
      passMs(37_000);
      await active.ping("w1");
    }
    passMs(60_001);
    await active.ring();
    expect(shown(await active.lines())).toEqual([
      ["active-w1", "a4000", 5, 3_605, 3_600],
      ["active-w1", "a4000", 3_605, 3_705, 100],
    ]);
  });

  it("that is silent for up to a minute is held on, and after that held anew when it asks again", async () => {
    const active = await makeActive(keys);
    await active.ask("w1");
    passMs(60_000);
    await active.ask("w1");
    passMs(60_001);
    await active.ping("w1");
    passMs(10_000);
    await active.ask("w1");
    passMs(5_000);
    await active.ask("w1");
    passMs(70_000);
    await active.ring();
    expect(shown(await active.lines())).toEqual([
      ["active-w1", "a4000", 0, 60, 60],
      ["active-w1", "a4000", 130.001, 135.001, 5],
    ]);
  });

  it("is billed for itself, not for its slots, and one of a flex key is not", async () => {
    const active = await makeActive({ workerKeys: [activeKey({ slots: 8 }), workerKey({ id: "flex" })] });
    await active.ask("w1");
    await active.ask("w2", "flex");
    passMs(9_000);
    await active.ask("w1");
    await active.ask("w2", "flex");
    passMs(70_000);
    await active.ring();
    const lines = await active.lines();
    expect(shown(lines)).toEqual([["active-w1", "a4000", 0, 9, 9]]);
    expect(lines[0]?.amount).toBe(9 * ACTIVE_RATE);
  });

  it("is held while it is drained", async () => {
    const active = await makeActive(keys);
    await active.ask("w1");
    await active.broker().drainWorker({ tenantId: active.tenantId, workerId: "w1", draining: true });
    passMs(30_000);
    expect(await active.ask("w1")).toBe(false);
    passMs(30_000);
    await active.ping("w1");
    passMs(70_000);
    await active.ring();
    expect(shown(await active.lines())).toEqual([["active-w1", "a4000", 0, 60, 60]]);
  });

  it("is held until its key is revoked, or expires, whenever that is noticed", async () => {
    const expiresAtMs = NOW_MS + 40_000;
    const active = await makeActive({ workerKeys: [activeKey(), activeKey({ id: "key2", expiresAtMs })] });
    await active.ask("w1");
    await active.ask("w2", "key2");
    passMs(20_000);
    await active.ping("w2", "key2");
    await active.ping("w1");
    passMs(10_000);
    await active.change({ workerKeys: active.settings().workerKeys.slice(1) });
    passMs(600_000);
    await active.change({ workerKeys: [] });
    expect(shown(await active.lines()).toSorted()).toEqual([
      ["active-w1", "a4000", 0, 30, 30],
      ["active-w2", "a4000", 0, 40, 40],
    ]);
  });

  it("goes on under the new tier of its key", async () => {
    const rates = [activeRate(), activeRate({ tier: "b200" })];
    const active = await makeActive({ ...keys, rates });
    await active.ask("w1");
    passMs(10_000);
    await active.change({ workerKeys: [activeKey({ tier: "b200" })] });
    passMs(10_000);
    await active.ping("w1");
    passMs(70_000);
    await active.ring();
    expect(shown(await active.lines()).toSorted()).toEqual([
      ["active-w1", "a4000", 0, 10, 10],
      ["active-w1", "b200", 10, 20, 10],
    ]);
  });

  it("goes on without a gap when its broker starts anew, if it calls again in time", async () => {
    const active = await makeActive(keys);
    await active.ask("w1");
    passMs(59_000);
    await active.ping("w1");
    await abortAllDurableObjects();
    // What is written of it is nearly two minutes old, and its last call one.
    passMs(60_000);
    await active.ring();
    await active.ping("w1");
    passMs(70_000);
    await active.ring();
    expect(shown(await active.lines())).toEqual([["active-w1", "a4000", 0, 119, 119]]);
  });

  it("was held until its last written call when its broker starts anew and it never calls again", async () => {
    const active = await makeActive(keys);
    await active.ask("w1");
    passMs(60_000);
    await active.ping("w1");
    passMs(50_000);
    await active.ping("w1");
    await passQuietly(active.endpointId, Date.now() + HOUR_MS);
    expect(await active.holds()).toEqual([]);
    expect(await active.alarm()).toBeNull();
    expect(shown(await active.lines())).toEqual([["active-w1", "a4000", 0, 60, 60]]);
  });

  it("costs a row a minute, and an alarm", async () => {
    const active = await makeActive(keys);
    const meter = () =>
      runInDurableObject(env.ENDPOINT_BROKER.getByName(active.endpointId), (broker) => ({
        ...(broker as EndpointBroker).meter,
      }));
    await active.ask("w1");
    const before = await meter();
    for (let seconds = 0; seconds < 3_000; seconds += 10) {
      passMs(10_000);
      const alarmAtMs = await active.alarm();
      if (alarmAtMs !== null && alarmAtMs <= Date.now()) await active.ring();
      await active.ping("w1");
    }
    const after = await meter();
    expect(after.rowsWritten - before.rowsWritten).toBeLessThanOrEqual(50);
    expect(after.alarmsSet - before.alarmsSet).toBeLessThanOrEqual(51);
    console.info(
      `50 min of an active worker: ${after.rowsWritten - before.rowsWritten} rows, ${after.alarmsSet - before.alarmsSet} alarms`,
    );
  });
});

describe("an endpoint without active upstreams and workers", () => {
  it("has no row of a hold, and no alarm for one", async () => {
    const rates = [activeRate(), { ...activeRate(), kind: "flex" as const }];
    const active = await makeActive({ rates, upstreams: [upstream()], workerKeys: [workerKey(), activeKey()] });
    await active.ask("w1", "k1");
    await abortAllDurableObjects();
    expect(await active.holds()).toEqual([]);
    expect(await active.alarm()).toBeNull();
  });
});

describe("the lines of a hold", () => {
  it("are posted before the object of a deleted endpoint is erased, the last one up to the deletion", async () => {
    const active = await makeActive({ upstreams: [activeUpstream()], workerKeys: [activeKey()] });
    await active.ask("w1");
    passMs(12_000);
    await active.ping("w1");
    passMs(8_000);
    const { endpointId, tenantId } = active;
    await active.broker().configure(deletion({ endpointId, tenantId }));
    const deletedAtMs = Date.now();
    expect(await rowsLeft(endpointId)).toBeGreaterThan(0);
    expect(await active.ask("w1")).toBe(false);
    expect(shown(await active.lines()).toSorted()).toEqual([
      ["active-u1", "a4000", 0, 20, 20],
      ["active-w1", "a4000", 0, 20, 20],
    ]);
    await abortAllDurableObjects();
    expect(await active.holds()).toEqual([]);
    passTheDay(deletedAtMs);
    await untilEmpty(endpointId);
    expect(await active.lines()).toHaveLength(2);
  });

  it("are there once when the broker is killed between the row and the posting", async () => {
    const active = await makeActive({ upstreams: [activeUpstream()] });
    passMs(HOUR_MS);
    await active.ring();
    const owed = () => stateOf(active.endpointId, ({ storage }) => storage.sql.exec("SELECT line FROM owed").toArray());
    expect(await owed()).toHaveLength(1);
    await abortAllDurableObjects();
    await active.ring();
    passMs(10_000);
    await active.change({ upstreams: [] });
    await abortAllDurableObjects();
    expect(shown(await active.lines())).toEqual([
      ["active-u1", "a4000", 0, 3_600, 3_600],
      ["active-u1", "a4000", 3_600, 3_610, 10],
    ]);
  });

  it("are written with their row or not at all", async () => {
    const active = await makeActive({ upstreams: [activeUpstream()] });
    passMs(HOUR_MS);
    const broken = vi.spyOn(BrokerStore.prototype, "owe").mockImplementation(() => {
      throw new Error("the disk is full");
    });
    await active.ring();
    const before = active.settings();
    await expect(active.change({ upstreams: [] })).rejects.toThrow("the disk is full");
    expect(await active.holds()).toMatchObject([{ slices: 0, metered_until: NOW_MS }]);
    expect(broken).toHaveBeenCalled();
    broken.mockRestore();
    // Neither were the settings taken: the upstream is still held.
    passMs(5_000);
    await active.ring();
    await active.broker().configure({ ...before, version: 9, upstreams: [] });
    expect(shown(await active.lines())).toEqual([
      ["active-u1", "a4000", 0, 3_600, 3_600],
      ["active-u1", "a4000", 3_600, 3_605, 5],
    ]);
  });

  it("wait while the endpoint owes as many as it may, and none is lost", async () => {
    const active = await makeActive({ upstreams: [activeUpstream()], workerKeys: [activeKey()] });
    await active.ask("w1");
    const full = vi.spyOn(UsageOutbox.prototype, "isFull", "get").mockReturnValue(true);
    for (let hour = 0; hour < 3; hour += 1) {
      passMs(HOUR_MS);
      await active.ring();
      // It is looked at again, but not over and over.
      expect(await active.alarm()).toBeGreaterThanOrEqual(Date.now() + 30_000);
    }
    expect(await active.holds()).toMatchObject([{ holder_id: "u1", slices: 0 }]);
    full.mockRestore();
    passMs(60_000);
    await active.ring();
    expect(shown(await active.lines()).filter(([id]) => id === "active-u1")).toEqual([
      ["active-u1", "a4000", 0, 3_600, 3_600],
      ["active-u1", "a4000", 3_600, 7_200, 3_600],
      ["active-u1", "a4000", 7_200, 10_800, 3_600],
    ]);
  });
});
