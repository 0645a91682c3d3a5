// A purge cancels any number of jobs by one row, and the end that it gives them is theirs for good.

import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { failed } from "../../../src/core/job/failure.ts";
import { expiresAtMs, type Job } from "../../../src/core/job/job.ts";
import { SWEEP_EVERY_MS } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { holdCarriers, makeBroker, settings, submission, upstream } from "../../support/broker.ts";
import { undoMigrations } from "../../support/older-store.ts";

const owner = { tenantId: "owner" };
const RETENTION_MS = 600_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function pass(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

function rowsOf<T extends Record<string, SqlStorageValue>>(endpointId: string, sql: string): Promise<T[]> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, state) =>
    state.storage.sql.exec<T>(sql).toArray(),
  );
}

/** Alarms until the sweep has walked over all rows. */
async function sweep(endpointId: string): Promise<void> {
  for (let rung = 0; rung < 5; rung += 1) {
    pass(SWEEP_EVERY_MS);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
  }
}

interface Purged {
  readonly endpointId: string;
  readonly jobId: string;
}

/** A job that a purge has cancelled, one minute ago. */
async function makePurged(): Promise<Purged> {
  const { endpointId, broker } = await makeBroker({ upstreams: [], runRetentionMs: RETENTION_MS });
  const { jobId } = submission();
  await broker.submit(submission({ jobId }));
  await broker.purgeQueue(owner);
  pass(60_000);
  return { endpointId, jobId };
}

async function submitAndPurge(endpointId: string, tenantId: string): Promise<void> {
  await brokerOf(env, endpointId).submit(submission({ tenantId }));
  expect(await brokerOf(env, endpointId).purgeQueue({ tenantId })).toEqual({ removed: 1 });
}

describe("the end of a purged job", () => {
  it.each<[string, (purged: Purged) => Promise<unknown>]>([
    ["time alone", async () => undefined],
    ["a later purge", ({ endpointId }) => submitAndPurge(endpointId, "owner")],
    ["a purge of another tenant", ({ endpointId }) => submitAndPurge(endpointId, "another")],
    [
      "a purge after a restart",
      async ({ endpointId }) => {
        await abortAllDurableObjects();
        await submitAndPurge(endpointId, "owner");
        await abortAllDurableObjects();
      },
    ],
    ["its cancel", ({ endpointId, jobId }) => brokerOf(env, endpointId).cancel({ ...owner, jobId })],
    ["a refused retry", ({ endpointId, jobId }) => brokerOf(env, endpointId).retry({ ...owner, jobId })],
    ["a new ttl", ({ endpointId, jobId }) => brokerOf(env, endpointId).read({ ...owner, jobId, ttlMs: 5_000_000 })],
    [
      "settings with a longer retention",
      ({ endpointId }) =>
        brokerOf(env, endpointId).configure(settings({ endpointId, version: 2, runRetentionMs: RETENTION_MS * 9 })),
    ],
  ])("is not moved by %s", async (_, happens) => {
    const purged = await makePurged();
    await happens(purged);
    pass(RETENTION_MS - 60_001);
    const read = () => brokerOf(env, purged.endpointId).read({ ...owner, jobId: purged.jobId, ttlMs: null });
    expect(await read()).toMatchObject({ ok: true, value: { status: "CANCELLED" } });
    pass(1);
    expect(await read()).toMatchObject({ ok: false, failure: { kind: "not_found" } });
    await submitAndPurge(purged.endpointId, "owner");
    expect(await read()).toMatchObject({ ok: false, failure: { kind: "not_found" } });
  });

  it("comes for a client that purges more often than its retention: nothing of it is left behind", async () => {
    const { endpointId } = await makeBroker({ upstreams: [], runRetentionMs: 60_000 });
    for (let purge = 0; purge < 12; purge += 1) {
      await submitAndPurge(endpointId, "owner");
      pass(SWEEP_EVERY_MS);
      await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    }
    const kept = await rowsOf(endpointId, "SELECT uuid FROM jobs");
    expect(kept.length).toBeLessThanOrEqual(4);
    expect(await rowsOf(endpointId, "SELECT through FROM purges")).toHaveLength(kept.length);
    await sweep(endpointId);
    expect(await rowsOf(endpointId, "SELECT uuid FROM jobs")).toEqual([]);
    expect(await rowsOf(endpointId, "SELECT through FROM purges")).toEqual([]);
  });
});

describe("the end of a job that has one", () => {
  it.each(["COMPLETED", "FAILED", "CANCELLED"] as const)(
    "is not moved by anything that comes later: %s",
    async (end) => {
      const carriers = holdCarriers();
      const { endpointId, broker } = await makeBroker({ upstreams: [upstream()], runRetentionMs: RETENTION_MS });
      const call = submission();
      const job = { ...owner, jobId: call.jobId };
      await broker.submit(call);
      await vi.waitFor(() => expect(carriers).toHaveLength(1));
      const lease = carriers[0] ?? { jobId: "", lease: "" };
      const outcomes = {
        COMPLETED: { kind: "completed", output: null },
        FAILED: { kind: "handler_error", failure: failed("handler_error", "no"), output: null },
      } as const;
      if (end === "CANCELLED") await broker.cancel(job);
      else await broker.finish({ ...lease, outcome: outcomes[end] });
      const endMs = async () => {
        const [row] = await rowsOf<{ facts: string }>(endpointId, "SELECT facts FROM jobs LIMIT 1");
        return row === undefined ? undefined : expiresAtMs(JSON.parse(row.facts) as Job);
      };
      const expected = await endMs();
      expect(expected).toBe(Date.now() + RETENTION_MS);
      const later: (() => Promise<unknown>)[] = [
        () => broker.finish({ ...lease, outcome: { kind: "completed", output: null } }),
        () => broker.cancel(job),
        () => broker.read({ ...job, ttlMs: 5_000_000 }),
        () => broker.purgeQueue(owner),
        () => broker.configure(settings({ endpointId, version: 2, runRetentionMs: RETENTION_MS * 9 })),
        () => runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId)),
      ];
      for (const happens of later) {
        pass(10_000);
        await happens();
        expect(await endMs()).toBe(expected);
      }
    },
  );
});

describe("rows of purges", () => {
  it("are one for any number of jobs, and go with the last of them", async () => {
    const { endpointId, broker } = await makeBroker({
      upstreams: [],
      runRetentionMs: RETENTION_MS,
      runsyncRetentionMs: 60_000,
    });
    for (let made = 0; made < 4; made += 1) {
      await broker.submit(submission({ mode: "run" }));
      await broker.submit(submission({ mode: "runsync" }));
    }
    expect(await broker.purgeQueue(owner)).toEqual({ removed: 8 });
    expect(await rowsOf(endpointId, "SELECT jobs FROM purges")).toEqual([{ jobs: 8 }]);
    pass(60_000);
    await sweep(endpointId);
    expect(await rowsOf(endpointId, "SELECT jobs FROM purges")).toEqual([{ jobs: 4 }]);
    await abortAllDurableObjects();
    expect(await brokerOf(env, endpointId).depth(owner)).toEqual({ waiting: 0, running: 0 });
    await submitAndPurge(endpointId, "owner");
    expect(await rowsOf(endpointId, "SELECT jobs FROM purges")).toEqual([{ jobs: 4 }, { jobs: 1 }]);
    pass(RETENTION_MS);
    await sweep(endpointId);
    expect(await rowsOf(endpointId, "SELECT uuid FROM jobs")).toEqual([]);
    expect(await rowsOf(endpointId, "SELECT jobs FROM purges")).toEqual([]);
  });

  it("are known to an Idempotency-Key as well: a job that is gone does not show again by it", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [], runRetentionMs: RETENTION_MS });
    const call = submission({ idempotency: { key: "once", fingerprint: "f" } });
    await broker.submit(call);
    await broker.purgeQueue(owner);
    pass(RETENTION_MS + 1);
    const again = await brokerOf(env, endpointId).submit({ ...call, jobId: submission().jobId });
    expect(again).toMatchObject({ ok: false, failure: { kind: "idempotency_gone", status: "CANCELLED" } });
  });

  it("of a release before are taken over with the jobs that they have cancelled", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [], runRetentionMs: RETENTION_MS });
    const calls = [submission(), submission(), submission()];
    for (const call of calls) await broker.submit(call);
    const purgedMs = Date.now();
    await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage: { sql } }) => {
      undoMigrations(sql, 6);
      sql.exec(
        "CREATE TABLE purged (tenant_id TEXT PRIMARY KEY, through INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
      );
      sql.exec("INSERT INTO purged VALUES ('owner', 2, ?), ('gone', 1, ?)", purgedMs, purgedMs);
    });
    await abortAllDurableObjects();
    expect(await brokerOf(env, endpointId).depth(owner)).toEqual({ waiting: 1, running: 0 });
    const rows = await rowsOf(endpointId, "SELECT tenant_id, through, at, jobs FROM purges");
    expect(rows).toEqual([{ tenant_id: "owner", through: 2, at: purgedMs, jobs: 2 }]);
  });
});
