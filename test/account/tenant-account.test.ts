// A tenant's account beside a D1 that fails, hangs between two answers, or refuses a line: nothing lost, nothing doubled.
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ACCOUNT_MIGRATIONS } from "../../src/account/schema.ts";
import { AccountStore } from "../../src/account/store.ts";
import type { AccountApi, UsageBatch, UsageLine } from "../../src/contract/usage.ts";
import { ACCOUNT_MAX_BYTES } from "../../src/core/limits.ts";
import { dropAllTables, putRow } from "../support/older-store.ts";
import { usageLine } from "../support/usage-line.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

function stubOf(tenantId: string) {
  return env.TENANT_ACCOUNT.getByName(tenantId);
}

/** A fresh stub each time: one that saw an eviction stays broken. */
function accountOf(tenantId: string): AccountApi {
  return stubOf(tenantId) as unknown as AccountApi;
}

function batch(from: number, lines: readonly UsageLine[], broker = "broker-1"): UsageBatch {
  return { broker, lines: lines.map((each, at) => ({ finishSeq: from + at, line: each })) };
}

async function sources(tenantId: string): Promise<string[]> {
  const { results } = await env.DB.prepare("SELECT source FROM usage_lines WHERE tenant_id = ?")
    .bind(tenantId)
    .all<{ source: string }>();
  return results.map((row) => row.source).sort();
}

async function postedThrough(tenantId: string): Promise<number | null> {
  return env.DB.prepare("SELECT through FROM posted WHERE tenant_id = ? AND broker = 'broker-1'")
    .bind(tenantId)
    .first<number>("through");
}

async function rowsOf(tenantId: string, table: "batches" | "parked"): Promise<Record<string, SqlStorageValue>[]> {
  return runInDurableObject(stubOf(tenantId), (_account, state) =>
    state.storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
  );
}

/** Until D1 has so many lines of the tenant, without an alarm being forced. */
async function untilWritten(tenantId: string, count: number): Promise<void> {
  await vi.waitFor(async () => expect(await sources(tenantId)).toHaveLength(count), { timeout: 3_000 });
}

describe("a posted batch", () => {
  it("is in D1 at once, with the broker's position, and leaves nothing behind", async () => {
    const lines = [usageLine(), usageLine(), usageLine()];
    expect(await accountOf("t-plain").post(batch(1, lines))).toEqual({ postedThrough: 3 });
    await untilWritten("t-plain", 3);
    expect(await sources("t-plain")).toEqual(lines.map(({ source }) => source).sort());
    expect(await postedThrough("t-plain")).toBe(3);
    await vi.waitFor(async () => expect(await rowsOf("t-plain", "batches")).toEqual([]));
  });

  it("counts once when it is posted again, and when it overlaps the next", async () => {
    const [one, two, three] = [usageLine(), usageLine(), usageLine()];
    await accountOf("t-twice").post(batch(1, [one, two]));
    expect(await accountOf("t-twice").post(batch(1, [one, two]))).toEqual({ postedThrough: 2 });
    expect(await accountOf("t-twice").post(batch(2, [two, three]))).toEqual({ postedThrough: 3 });
    await untilWritten("t-twice", 3);
    expect(await accountOf("t-twice").post(batch(3, []))).toEqual({ postedThrough: 3 });
  });

  it("is refused by an account that is full, and taken once D1 has taken the others", async () => {
    const full = vi.spyOn(AccountStore.prototype, "sizeBytes", "get").mockReturnValue(ACCOUNT_MAX_BYTES);
    const posted = batch(1, [usageLine()]);
    await runInDurableObject(stubOf("t-full"), async (account) => {
      await expect((account as unknown as AccountApi).post(posted)).rejects.toThrow("full");
    });
    full.mockRestore();
    expect(await accountOf("t-full").post(posted)).toEqual({ postedThrough: 1 });
    await untilWritten("t-full", 1);
  });

  it("of one broker does not move the position of another", async () => {
    await accountOf("t-brokers").post(batch(1, [usageLine(), usageLine()], "broker-1"));
    expect(await accountOf("t-brokers").post(batch(1, [usageLine()], "broker-2"))).toEqual({ postedThrough: 1 });
    await untilWritten("t-brokers", 3);
  });

  it("keeps every field of a line as it was, up to the largest safe integer", async () => {
    const said = usageLine({
      tier: `it's "4090"`,
      amountNanodollars: Number.MAX_SAFE_INTEGER,
      rateKind: "active",
      slots: 7,
      billedMs: 2_000,
      tokens: { prompt: 11, completion: 0, estimated: true },
    });
    await accountOf("t-fields").post(batch(1, [said]));
    await untilWritten("t-fields", 1);
    const row = await env.DB.prepare("SELECT * FROM usage_lines WHERE tenant_id = 't-fields'").first();
    expect(row).toEqual({
      tenant_id: "t-fields",
      source: said.source,
      seq: 1,
      endpoint_id: "ep-1",
      job_id: said.jobId,
      tier: `it's "4090"`,
      rate_kind: "active",
      slots: 7,
      nanodollars_per_second: 160_000,
      seconds: 2,
      amount_nanodollars: Number.MAX_SAFE_INTEGER,
      started_at: 1_000,
      finished_at: 3_000,
      billed_ms: 2_000,
      prompt_tokens: 11,
      completion_tokens: 0,
      tokens_estimated: 1,
    });
  });

  it("costs at most 1.2 billed rows a line from ten lines on", async () => {
    const written: number[] = [];
    const send = env.DB.batch.bind(env.DB);
    vi.spyOn(env.DB, "batch").mockImplementation(async (statements) => {
      const results = await send(statements);
      written.push(...results.map(({ meta }) => meta.rows_written));
      return results as never;
    });
    await accountOf("t-cost").post(
      batch(
        1,
        Array.from({ length: 10 }, () => usageLine()),
      ),
    );
    await untilWritten("t-cost", 10);
    expect(written.length).toBeGreaterThan(0);
    expect(written.reduce((sum, rows) => sum + rows, 0)).toBeLessThanOrEqual(12);
  });

  it("may have as many lines as a broker ever posts", async () => {
    await accountOf("t-large").post(
      batch(
        1,
        Array.from({ length: 500 }, () => usageLine()),
      ),
    );
    await untilWritten("t-large", 500);
  });
});

describe("while D1 is down", () => {
  it("every batch is taken and none is lost or doubled once it is back", async () => {
    const down = vi.spyOn(env.DB, "batch").mockRejectedValue(new Error("D1_ERROR: D1 DB is overloaded"));
    const lines = Array.from({ length: 30 }, () => usageLine());
    for (let at = 0; at < lines.length; at += 10) {
      const posted = await accountOf("t-down").post(batch(at + 1, lines.slice(at, at + 10)));
      expect(posted.postedThrough).toBe(at + 10);
    }
    expect(await runDurableObjectAlarm(stubOf("t-down"))).toBe(true);
    expect(await runDurableObjectAlarm(stubOf("t-down"))).toBe(true);
    expect(await sources("t-down")).toEqual([]);
    down.mockRestore();
    expect(await runDurableObjectAlarm(stubOf("t-down"))).toBe(true);
    expect(await sources("t-down")).toEqual(lines.map(({ source }) => source).sort());
    expect(await postedThrough("t-down")).toBe(30);
    expect(await rowsOf("t-down", "batches")).toEqual([]);
  });

  it("what is kept outlives the object", async () => {
    const down = vi.spyOn(env.DB, "batch").mockRejectedValue(new Error("D1_ERROR: Network connection lost."));
    const kept = usageLine();
    await accountOf("t-evicted").post(batch(1, [kept]));
    await evictDurableObject(stubOf("t-evicted"));
    down.mockRestore();
    expect(await runDurableObjectAlarm(stubOf("t-evicted"))).toBe(true);
    expect(await sources("t-evicted")).toEqual([kept.source]);
    expect(await accountOf("t-evicted").post(batch(1, [kept]))).toEqual({ postedThrough: 1 });
  });

  it("posts do not ask it out of turn", async () => {
    const down = vi.spyOn(env.DB, "batch").mockRejectedValue(new Error("D1_ERROR: D1 DB is overloaded"));
    await accountOf("t-turn").post(batch(1, [usageLine()]));
    await vi.waitFor(() => expect(down).toHaveBeenCalledTimes(1));
    for (let seq = 2; seq <= 20; seq += 1) await accountOf("t-turn").post(batch(seq, [usageLine()]));
    expect(down).toHaveBeenCalledTimes(1);
    down.mockRestore();
    await runDurableObjectAlarm(stubOf("t-turn"));
    expect(await sources("t-turn")).toHaveLength(20);
  });

  it("a batch that D1 wrote before it failed counts once", async () => {
    const send = env.DB.batch.bind(env.DB);
    vi.spyOn(env.DB, "batch").mockImplementationOnce(async (statements) => {
      await send(statements);
      throw new Error("D1_ERROR: Network connection lost.");
    });
    const lines = [usageLine(), usageLine()];
    await accountOf("t-written").post(batch(1, lines));
    await untilWritten("t-written", 2);
    expect(await rowsOf("t-written", "batches")).toHaveLength(1);
    await runDurableObjectAlarm(stubOf("t-written"));
    expect(await sources("t-written")).toHaveLength(2);
    expect(await rowsOf("t-written", "batches")).toEqual([]);
  });
});

describe("a line that makes no sense", () => {
  it("is parked with its reason when its shape is wrong, and the others go on", async () => {
    const good = [usageLine(), usageLine()];
    const bad = { ...usageLine(), slots: 0 };
    await accountOf("t-shape").post(batch(1, [...good, bad]));
    await untilWritten("t-shape", 2);
    await vi.waitFor(async () => expect(await rowsOf("t-shape", "batches")).toEqual([]));
    const [parked] = await rowsOf("t-shape", "parked");
    expect(JSON.parse(String(parked?.line))).toEqual(bad);
    expect(parked?.reason).toMatch(/slots/);
    expect(await postedThrough("t-shape")).toBe(3);
  });

  it("is parked when D1 refuses it three times, and the others are written once", async () => {
    await env.DB.prepare(
      `CREATE TRIGGER refuse_some BEFORE INSERT ON usage_lines WHEN NEW.tier = 'refused'
       BEGIN SELECT RAISE(ABORT, 'this tier is refused'); END`,
    ).run();
    try {
      const lines = Array.from({ length: 20 }, (_, at) => usageLine(at === 13 ? { tier: "refused" } : {}));
      const tries = vi.spyOn(env.DB, "batch");
      await accountOf("t-refused").post(batch(1, lines));
      await untilWritten("t-refused", 19);
      await vi.waitFor(async () => expect(await rowsOf("t-refused", "batches")).toEqual([]));
      const parked = await rowsOf("t-refused", "parked");
      expect(parked).toHaveLength(1);
      expect(parked[0]?.reason).toMatch(/this tier is refused/);
      expect(await postedThrough("t-refused")).toBe(20);
      expect(tries.mock.calls.length).toBeLessThan(20);
      await accountOf("t-refused").post(batch(21, [usageLine()]));
      await untilWritten("t-refused", 20);
    } finally {
      await env.DB.prepare("DROP TRIGGER refuse_some").run();
    }
  });
});

/** The first accounts had the tables of the first migration, and none of migrations. */
const STATES = [0, ...ACCOUNT_MIGRATIONS.map(({ id }) => id)];

describe.each(STATES)("an account that a release with %i migrations has left", (migrations) => {
  it("writes what it has kept, once, and takes only what follows it", async () => {
    const tenantId = `t-older-${migrations}`;
    const lines = [usageLine(), usageLine(), usageLine()];
    const kept = lines.slice(0, 2).map(({ billedMs: _, tokens: __, ...line }) => line);
    await runInDurableObject(stubOf(tenantId), async (_account, { storage }) => {
      const { sql } = storage;
      dropAllTables(sql);
      for (const migration of ACCOUNT_MIGRATIONS.slice(0, Math.max(migrations, 1))) sql.exec(migration.sql);
      if (migrations > 0) sql.exec("CREATE TABLE migrations (id INTEGER PRIMARY KEY) STRICT");
      for (let id = 1; id <= migrations; id += 1) putRow(sql, "migrations", { id });
      putRow(sql, "seen", { broker: "broker-1", through: 5 });
      putRow(sql, "batches", { id: 1, broker: "broker-1", through: 5, lines: JSON.stringify(kept) });
      const parked = { id: 1, broker: "broker-1", line: "{}", reason: "no such tier", parked_at: 1 };
      if (migrations >= 2) putRow(sql, "parked", parked);
      await storage.setAlarm(Date.now() + 3_600_000);
    });
    await evictDurableObject(stubOf(tenantId));
    // The broker did not get the answer to its batch, and sends it again with one line more.
    expect(await accountOf(tenantId).post(batch(4, lines))).toEqual({ postedThrough: 6 });
    await untilWritten(tenantId, 3);
    await vi.waitFor(async () => expect(await rowsOf(tenantId, "batches")).toEqual([]));
    expect(await sources(tenantId)).toEqual(lines.map(({ source }) => source).sort());
    expect(await postedThrough(tenantId)).toBe(6);
    expect(await accountOf(tenantId).parked()).toMatchObject(migrations < 2 ? [] : [{ reason: "no such tier" }]);
  });
});
