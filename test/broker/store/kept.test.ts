// What is kept of jobs: what a start of the object reads grows with those that live, never with those that are kept; and what a
// tenant keeps is counted.

import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { v7 } from "uuid";
import { afterEach, describe, expect, it, vi } from "vitest";
import { TenantAccount } from "../../../src/account/tenant-account.ts";
import { parseJob } from "../../../src/broker/store/job-row.ts";
import { KeptRows } from "../../../src/broker/store/kept-rows.ts";
import { MeteredSql } from "../../../src/broker/store/metered-sql.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { NOT_RUN } from "../../../src/core/job/job.ts";
import { START_SETTLED_ROWS_MAX } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { type Random, seededRandom } from "../../sim/random.ts";
import { holdCarriers, makeBroker, submission, upstream } from "../../support/broker.ts";
import { keptOf } from "../../support/kept.ts";
import { DAY_MS, inBroker, keepCopies, owner, start, startBeside, submitMany } from "../../support/kept-jobs.ts";
import { undoMigrations } from "../../support/older-store.ts";

afterEach(() => vi.restoreAllMocks());

/** As a release before would have left it: its rows do not have their bytes either. */
function becomeOld(sql: SqlStorage): void {
  sql.exec("UPDATE jobs SET facts = json_remove(facts, '$.stored')");
  undoMigrations(sql, 6);
  sql.exec("CREATE TABLE purged (tenant_id TEXT PRIMARY KEY, through INTEGER, at INTEGER) STRICT, WITHOUT ROWID");
}

describe("a start of the object", () => {
  it("beside 10,000 kept jobs and 300 live ones reads 5 rows a live one and 1,000 more", {
    timeout: 60_000,
  }, async () => {
    const { idle, busy } = await startBeside(10_000, 300);
    expect(idle.rowsRead).toBeLessThan(1_000);
    expect(busy.rowsRead).toBeLessThanOrEqual(5 * 300 + 1_000);
  });

  it("of a release before reads every row once, and never again", { timeout: 60_000 }, async () => {
    const { endpointId } = await makeBroker({ upstreams: [upstream({ slots: 1 })], runRetentionMs: DAY_MS });
    await keepCopies(endpointId, 30_000);
    await submitMany(endpointId, 300);
    await inBroker(endpointId, (_, { sql }) => becomeOld(sql));
    expect((await start(endpointId)).rowsRead).toBeGreaterThan(30_000);
    expect((await start(endpointId)).rowsRead).toBeLessThanOrEqual(5 * 300 + 1_000);
    const { rows, start: started, memory } = await keptOf(endpointId, ["owner"]);
    expect(rows.rows).toBe(30_301);
    expect(started).toEqual(rows);
    expect(memory).toEqual(rows.tallies);
  });

  it("of a release before counts once what a running attempt has streamed", async () => {
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 1 })] });
    await broker.submit(submission({ mode: "runsync" }));
    await vi.waitFor(() => expect(given).toHaveLength(1));
    const [carried] = given;
    if (carried === undefined) throw new Error("no carrier was started");
    await broker.appendChunks({ ...carried, firstSeq: 1, chunks: [new Uint8Array(5_000)] });
    await inBroker(endpointId, (_, { sql }) => becomeOld(sql));
    await abortAllDurableObjects();
    expect(await brokerOf(env, endpointId).renew({ ...carried, holdMs: 0 })).toBe(true);
    await brokerOf(env, endpointId).finish({ ...carried, outcome: { kind: "completed", output: null } });
    const { rows, memory } = await keptOf(endpointId, ["owner"]);
    expect(memory).toEqual(rows.tallies);
  });

  it("that finds a line owed looks for its row when that is past its retention", async () => {
    const down = vi.spyOn(TenantAccount.prototype, "post").mockRejectedValue(new Error("down"));
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({
      upstreams: [upstream({ slots: 1 })],
      runsyncRetentionMs: 60_000,
    });
    await broker.submit(submission({ mode: "runsync" }));
    await vi.waitFor(() => expect(given).toHaveLength(1));
    const [carried] = given;
    if (carried === undefined) throw new Error("no carrier was started");
    await broker.finish({ ...carried, outcome: { kind: "completed", output: null } });
    await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
    down.mockRestore();
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    await vi.waitFor(
      async () =>
        expect(
          await inBroker(endpointId, (_, { sql }) => sql.exec("SELECT through FROM posted").toArray()),
        ).toHaveLength(1),
      {
        timeout: 10_000,
        interval: 100,
      },
    );
    // In the object that has posted the line: another start would find the row by itself.
    await vi.waitFor(
      async () => {
        const alarmAtMs = await inBroker(endpointId, (_, storage) => storage.getAlarm());
        expect(alarmAtMs).toBeGreaterThan(Date.now() + 30_000);
      },
      { timeout: 10_000, interval: 100 },
    );
  });

  it("reads few rows though nothing was ever posted: of jobs that were cancelled, and of those that a purge has cancelled", {
    timeout: 60_000,
  }, async () => {
    const { endpointId } = await makeBroker({ upstreams: [] });
    const cancelled = await submitMany(endpointId, 1_500);
    await inBroker(endpointId, async (broker) => {
      for (const { jobId } of cancelled) expect(await broker.cancel({ ...owner, jobId })).toMatchObject({ ok: true });
    });
    expect((await start(endpointId)).rowsRead).toBeLessThan(1_000);
    await submitMany(endpointId, 1_500);
    expect((await start(endpointId)).rowsRead).toBeLessThanOrEqual(5 * 1_500 + 1_000);
    expect(await brokerOf(env, endpointId).purgeQueue(owner)).toEqual({ removed: 1_500 });
    expect((await start(endpointId)).rowsRead).toBeLessThan(1_000);
    const { rows, start: started, memory } = await keptOf(endpointId, ["owner"]);
    expect(rows).toMatchObject({ rows: 3_000, live: [] });
    expect(started).toEqual(rows);
    expect(memory).toEqual(rows.tallies);
  });

  it("reads the jobs that are not posted for as long as their account is down, and few rows once they are", {
    timeout: 60_000,
  }, async () => {
    const down = vi.spyOn(TenantAccount.prototype, "post").mockRejectedValue(new Error("down"));
    holdCarriers();
    const tenantId = `tn-${crypto.randomUUID()}`;
    const { endpointId } = await makeBroker({ tenantId, upstreams: [upstream({ slots: 1 })] });
    await inBroker(endpointId, async (broker, { sql }) => {
      for (let made = 0; made < 1_500; made += 1) {
        const call = submission({ tenantId });
        await broker.submit(call);
        const lease = "SELECT facts ->> '$.lease.token' AS lease FROM jobs WHERE uuid = ?";
        const leaseNow = () =>
          sql.exec<{ lease: string | null }>(lease, call.jobId.replace(/-u1$/, "")).toArray()[0]?.lease ?? null;
        let token = leaseNow();
        // So many jobs leave the object in one turn and no more, and in here no turn ends by itself. A wake-up may start one first.
        for (; token === null; token = leaseNow()) if ((await broker.start()).started === 0) await scheduler.wait(1);
        const outcome = { kind: "completed", output: null } as const;
        await broker.finish({ jobId: call.jobId, lease: token, outcome });
      }
    });
    const { rowsRead } = await start(endpointId);
    expect(rowsRead).toBeGreaterThan(1_500);
    expect(rowsRead).toBeLessThanOrEqual(5 * 1_500 + 1_000);
    expect((await keptOf(endpointId, [tenantId])).start.live).toHaveLength(1_500);
    down.mockRestore();
    await abortAllDurableObjects();
    await vi.waitFor(
      async () => {
        await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
        expect((await keptOf(endpointId, [tenantId])).rows.live).toEqual([]);
      },
      { timeout: 30_000, interval: 200 },
    );
    expect((await start(endpointId)).rowsRead).toBeLessThan(1_000);
    const { rows, start: started } = await keptOf(endpointId, [tenantId]);
    expect(rows).toMatchObject({ rows: 1_500, tallies: [{ completed: 1_500 }] });
    expect(started).toEqual(rows);
  });

  it.each<[string, number, (random: Random) => { readonly lateMs: number; readonly livesFor: number }]>([
    ["in order", 0.05, () => ({ lateMs: 0, livesFor: 20 })],
    ["and are finished out of order", 0.05, (random) => ({ lateMs: 0, livesFor: random.integer(1, 1_000) })],
    ["beside a backlog", 0.05, (random) => ({ lateMs: 0, livesFor: random.pick([10, 10, 5_000]) })],
    ["from edges whose clocks differ by 50 ms", 0.4, (random) => ({ lateMs: random.pick([0, 25, 50]), livesFor: 20 })],
    [
      "from one edge in four that is 10 s ahead",
      2,
      (random) => ({ lateMs: random.pick([0, 0, 0, -10_000]), livesFor: 20 }),
    ],
    ["and some took a minute", 2, (random) => ({ lateMs: random.pick([0, 0, 60_000]), livesFor: 20 })],
  ])("reads few rows too many, and costs few, whose jobs come %s", { timeout: 60_000 }, async (_, rowsAJob, arrive) => {
    const { endpointId } = await makeBroker({ upstreams: [] });
    const template = parseJob(
      JSON.stringify({ ...NOT_RUN, queueSeq: 1, tenantId: "t", stored: { input: 9, output: 0, chunks: 0 } }),
    );
    await inBroker(endpointId, (_broker, storage) => {
      const random = seededRandom(1);
      const sql = new MeteredSql(storage);
      const kept = new KeptRows(sql, () => 0);
      const uuids: string[] = [];
      const live = new Map<string, number>();
      for (let step = 0; step < 10_000; step += 1) {
        const { lateMs, livesFor } = arrive(random);
        // 200 a second.
        const uuid = v7({ msecs: 1_700_000_000_000 + step * 5 - lateMs });
        kept.insert(uuid);
        kept.entered({ ...template, uuid });
        uuids.push(uuid);
        live.set(uuid, step + livesFor);
        for (const [each, untilStep] of live) if (untilStep <= step) live.delete(each);
        if (kept.isDue(live.size))
          kept.settle(
            (each) => live.has(each),
            (write) => storage.transactionSync(write),
            step,
          );
        if (step % 500 > 0) continue;
        const next = new KeptRows(sql, () => 0);
        const read = new Set([...next.readListed(), ...uuids.filter((each) => each > next.floor)]);
        for (const each of live.keys()) expect(read.has(each)).toBe(true);
        expect(read.size).toBeLessThanOrEqual(1.25 * live.size + START_SETTLED_ROWS_MAX + 1);
      }
      expect(sql.meter.rowsWritten / 10_000).toBeLessThan(rowsAJob);
    });
  });

  it("costs a job a twentieth of a row", { timeout: 60_000 }, async () => {
    const { endpointId } = await makeBroker({ upstreams: [] });
    const written = () => inBroker(endpointId, (broker) => broker.meter.rowsWritten);
    const before = await written();
    await inBroker(endpointId, async (broker) => {
      for (let made = 0; made < 2_000; made += 1) {
        const call = submission();
        await broker.submit(call);
        await broker.cancel({ ...owner, jobId: call.jobId });
      }
    });
    // Each is inserted and cancelled.
    expect(((await written()) - before) / 2_000 - 2).toBeLessThan(0.05);
  });
});

describe("what a tenant keeps", () => {
  it.each([
    ["undisturbed", async () => undefined],
    [
      "with a restart before each step",
      (endpointId: string) => evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId)),
    ],
  ])("is counted to the byte over input, chunks, result and retry: %s", async (_, interrupt) => {
    const carriers = holdCarriers();
    const { endpointId } = await makeBroker({ upstreams: [upstream()], maxAttempts: 3 });
    const broker = () => brokerOf(env, endpointId);
    const input = { kind: "inline", bytes: new Uint8Array(30_000).fill(49) } as const;
    const call = submission({ input, fields: { s3Config: '{"é":1}' }, webhook: null });
    const chunks = async (lease: string, firstSeq: number) =>
      broker().appendChunks({ jobId: call.jobId, lease, firstSeq, chunks: [new Uint8Array(5_000).fill(49)] });
    const carrier = async (count: number) => {
      await vi.waitFor(async () => {
        await broker().start();
        expect(carriers.length).toBeGreaterThanOrEqual(count);
      });
      return carriers.at(-1) ?? { jobId: "", lease: "" };
    };
    const output = { kind: "inline", bytes: new Uint8Array(20_000).fill(49) } as const;
    const steps = [
      () => broker().submit(call),
      async () => chunks((await carrier(1)).lease, 1),
      async () => chunks((await carrier(1)).lease, 2),
      async () =>
        broker().finish({
          ...(await carrier(1)),
          outcome: { kind: "handler_error", failure: failed("handler_error", "no"), output },
        }),
      () => broker().retry({ ...owner, jobId: call.jobId }),
      async () => chunks((await carrier(2)).lease, 1),
      async () => broker().finish({ ...(await carrier(2)), outcome: { kind: "completed", output } }),
    ];
    for (const [at, step] of steps.entries()) {
      await broker().depth(owner);
      await interrupt(endpointId);
      await step();
      const { rows, memory } = await keptOf(endpointId, ["owner"]);
      expect(memory, `step ${at}`).toEqual(rows.tallies);
    }
    await interrupt(endpointId);
    const { rows, start: started } = await keptOf(endpointId, ["owner"]);
    expect(started).toEqual(rows);
    expect(rows.tallies[0]?.bytes).toBeGreaterThan(55_000);
  });
});
