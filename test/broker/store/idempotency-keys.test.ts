// Idempotency-Keys are bounded a tenant, and dropped after their day a page at a time.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import { KeyCounts } from "../../../src/broker/store/key-counts.ts";
import { MeteredSql } from "../../../src/broker/store/metered-sql.ts";
import {
  IDEMPOTENCY_KEYS_TENANT_MAX,
  IDEMPOTENCY_MS,
  IDEMPOTENCY_SWEEP_EVERY_MS,
  KEYS_COUNTED_AHEAD,
  KEYS_WALKED_AT_ONCE,
} from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { failureAnswer } from "../../../src/http/kit/failures.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { undoMigrations } from "../../support/older-store.ts";
import { passTime } from "../../support/pulling-worker.ts";

function keyed(key: string, tenantId = "owner") {
  return submission({ tenantId, idempotency: { key, fingerprint: "f" } });
}

/** Puts so many keys of a tenant into the storage, as a release before the count has left them. */
function putKeys({ sql }: DurableObjectStorage, tenantId: string, keys: number, expiresAtMs: number): void {
  sql.exec(
    `WITH RECURSIVE n (at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < ?2)
     INSERT INTO idempotency (tenant_id, key, uuid, mode, fingerprint, last_status, expires_at)
     SELECT ?1, 'key-' || ?3 || '-' || at, 'u', 'run', 'f', 'COMPLETED', ?3 FROM n`,
    tenantId,
    keys,
    expiresAtMs,
  );
}

function countKeys({ sql }: DurableObjectStorage, tenantId: string): number {
  return sql.exec<{ keys: number }>("SELECT count(*) AS keys FROM idempotency WHERE tenant_id = ?", tenantId).one()
    .keys;
}

/** Runs over the storage of a broker that does nothing by itself. */
async function withStorage<T>(run: (storage: DurableObjectStorage) => T): Promise<T> {
  const { endpointId } = await makeBroker({ upstreams: [] });
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) => run(storage));
}

/** The whole walk. Returns how many pages it took. */
function walk(counts: KeyCounts, nowMs: number): number {
  counts.beginWalk(nowMs);
  let pages = 0;
  for (; counts.nextAtMs() <= nowMs; pages += 1) counts.walkOn(nowMs);
  return pages;
}

it("refuses a new key beyond the bound, and neither a known one, nor a job without one, nor another tenant", async () => {
  const { endpointId, broker } = await makeBroker({ upstreams: [] });
  const first = keyed("first");
  expect(await broker.submit(first)).toMatchObject({ ok: true });
  await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) => {
    storage.sql.exec("UPDATE key_counts SET keys = ?", IDEMPOTENCY_KEYS_TENANT_MAX);
  });
  await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
  const again = brokerOf(env, endpointId);
  const refused = { kind: "too_many_keys", keysMax: IDEMPOTENCY_KEYS_TENANT_MAX };
  expect(await again.submit(keyed("second"))).toMatchObject({ ok: false, failure: refused });
  const answer = failureAnswer({ ...refused, kind: "too_many_keys", retryAfterSeconds: 60 }, "r");
  expect([answer.status, await answer.text()]).toEqual([429, expect.stringContaining("Idempotency-Key")]);
  const replayed = await again.submit(keyed("first"));
  expect(replayed).toMatchObject({ ok: true, value: { created: false, job: { id: first.jobId } } });
  expect(await again.submit(submission())).toMatchObject({ ok: true });
  expect(await again.submit(keyed("second", "others"))).toMatchObject({ ok: true });
  // The job of the refused key was not kept either.
  expect(await again.depth({ tenantId: "owner" })).toEqual({ waiting: 2, running: 0 });
});

it("counts no fewer keys than are stored, over however many starts, for a row in a hundred keys", async () => {
  await withStorage((storage) => {
    let starts = 0;
    let written = 0;
    for (let at = 0; at < 1_000; at += 1) {
      const counts = new KeyCounts(new MeteredSql(storage));
      starts += 1;
      for (let key = 0; key <= at % 7; key += 1) {
        putKeys(storage, "restarted", 1, 1_000_000 + at * 10 + key);
        const before = storage.sql.exec("SELECT keys FROM key_counts").toArray()[0]?.keys;
        counts.note("restarted");
        const after = storage.sql.exec<{ keys: number }>("SELECT keys FROM key_counts").one().keys;
        if (before !== after) written += 1;
      }
      if (at % 100 === 0) {
        const { keys } = storage.sql.exec<{ keys: number }>("SELECT keys FROM key_counts").one();
        expect(keys).toBeGreaterThanOrEqual(countKeys(storage, "restarted"));
      }
    }
    expect(written).toBeLessThanOrEqual(starts);
    const lasting = new KeyCounts(new MeteredSql(storage));
    lasting.note("busy");
    for (let key = 1; key < KEYS_COUNTED_AHEAD; key += 1) lasting.note("busy");
    const busy = storage.sql.exec<{ keys: number }>("SELECT keys FROM key_counts WHERE tenant_id = 'busy'").one();
    expect(busy.keys).toBe(KEYS_COUNTED_AHEAD);
  });
});

it("counts the keys that an earlier release has left, at the first start after the upgrade", async () => {
  const { endpointId } = await makeBroker({ upstreams: [] });
  const object = () => env.ENDPOINT_BROKER.getByName(endpointId);
  await runInDurableObject(object(), (_, { storage }) => {
    putKeys(storage, "uncounted", 250, Date.now() + IDEMPOTENCY_MS);
    putKeys(storage, "counted-too-low", 120, Date.now() + IDEMPOTENCY_MS);
    putKeys(storage, "counted-ahead", 20, Date.now() + IDEMPOTENCY_MS);
    storage.sql.exec(
      "INSERT INTO key_counts (tenant_id, keys) VALUES ('counted-too-low', 100), ('counted-ahead', 101)",
    );
    undoMigrations(storage.sql, 8);
  });
  await evictDurableObject(object());
  const counted = await runInDurableObject(object(), (_, { storage }) =>
    storage.sql.exec("SELECT * FROM key_counts ORDER BY tenant_id").toArray(),
  );
  expect(counted).toEqual([
    { tenant_id: "counted-ahead", keys: 101 },
    { tenant_id: "counted-too-low", keys: 120 },
    { tenant_id: "uncounted", keys: 250 },
  ]);
});

it("drops the keys past their day in pages, reading each once, and sets the counts right", async () => {
  await withStorage((storage) => {
    const nowMs = 10 * IDEMPOTENCY_MS;
    putKeys(storage, "a", 3_000, nowMs);
    putKeys(storage, "a", 2_500, nowMs + 1);
    putKeys(storage, "b", 1_000, nowMs - 1);
    putKeys(storage, "c", 1_200, nowMs + 5);
    storage.sql.exec("INSERT INTO key_counts (tenant_id, keys) VALUES ('b', 5), ('c', 1234567), ('gone', 9)");
    const sql = new MeteredSql(storage);
    const counts = new KeyCounts(sql);
    expect(counts.hasRoom("c")).toBe(false);
    const pages = walk(counts, nowMs);
    expect(pages).toBe(Math.ceil(7_700 / KEYS_WALKED_AT_ONCE));
    expect(["a", "b", "c"].map((tenant) => countKeys(storage, tenant))).toEqual([2_500, 0, 1_200]);
    expect(storage.sql.exec("SELECT * FROM key_counts").toArray()).toEqual([
      { tenant_id: "a", keys: 2_500 },
      { tenant_id: "c", keys: 1_200 },
    ]);
    expect(counts.hasRoom("c")).toBe(true);
    // One read a key, and one more for each that goes.
    expect(sql.meter.rowsRead).toBeLessThanOrEqual(7_700 + 4_000 + 50);
  });
});

it("counts what is stored while a walk goes on", async () => {
  await withStorage((storage) => {
    const nowMs = 10 * IDEMPOTENCY_MS;
    putKeys(storage, "m", 3 * KEYS_WALKED_AT_ONCE, nowMs + 1);
    const counts = new KeyCounts(new MeteredSql(storage));
    counts.beginWalk(nowMs);
    for (const [tenantId, expiresAtMs] of [
      ["m", nowMs + 2],
      ["a", nowMs + 2],
      ["z", nowMs + 2],
      ["m", nowMs],
    ] as const) {
      counts.walkOn(nowMs);
      putKeys(storage, tenantId, 10, expiresAtMs);
      for (let key = 0; key < 10; key += 1) counts.note(tenantId);
    }
    while (counts.nextAtMs() <= nowMs) counts.walkOn(nowMs);
    for (const tenantId of ["a", "m", "z"]) {
      const row = storage.sql.exec<{ keys: number }>("SELECT keys FROM key_counts WHERE tenant_id = ?", tenantId).one();
      expect(row.keys).toBeGreaterThanOrEqual(countKeys(storage, tenantId));
    }
  });
});

it("walks once an hour, however often the object starts, and only when jobs are swept", {
  timeout: 20_000,
}, async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  try {
    const { endpointId, broker } = await makeBroker({ upstreams: [], runRetentionMs: 1_000 });
    const storageOf = <T>(run: (storage: DurableObjectStorage) => T) =>
      runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) => run(storage));
    const endJob = async () => {
      const call = submission();
      await broker.submit(call);
      await brokerOf(env, endpointId).cancel({ tenantId: "owner", jobId: call.jobId });
    };
    await storageOf((storage) => putKeys(storage, "owner", 10, Date.now() - 1));
    await endJob();
    await passTime(endpointId, 60_000);
    await passTime(endpointId, 1_000);
    expect(await storageOf((storage) => countKeys(storage, "owner"))).toBe(0);
    await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
    await storageOf((storage) => putKeys(storage, "owner", 10, Date.now() - 1));
    await endJob();
    await passTime(endpointId, 60_000);
    await passTime(endpointId, 1_000);
    expect(await storageOf((storage) => countKeys(storage, "owner"))).toBe(10);
    await endJob();
    await passTime(endpointId, IDEMPOTENCY_SWEEP_EVERY_MS);
    await passTime(endpointId, 1_000);
    expect(await storageOf((storage) => countKeys(storage, "owner"))).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
