// The submits of tokens for browsers: counted with the job, kept until the token has ended, bounded a tenant, and dropped in portions.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MeteredSql } from "../../../src/broker/store/metered-sql.ts";
import { TokenCalls } from "../../../src/broker/store/token-calls.ts";
import { TOKEN_LIFE_MAX_SECONDS, TOKENS_SWEEP_AFTER_MS, TOKENS_TENANT_MAX } from "../../../src/core/access/limits.ts";
import { TURN_ROWS_MAX } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { failureAnswer } from "../../../src/http/kit/failures.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { inBroker } from "../../support/kept-jobs.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function token(partial: { readonly calls?: number; readonly expiresAtMs?: number } = {}) {
  return { id: crypto.randomUUID(), calls: 2, expiresAtMs: Date.now() + 3_600_000, ...partial };
}

/** Puts rows of tokens into the storage. */
function putTokens({ sql }: DurableObjectStorage, tenantId: string, tokens: number, expiresAtMs: number): void {
  sql.exec(
    `WITH RECURSIVE n (at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < ?2)
     INSERT INTO token_calls (expires_at, token_id, tenant_id, calls) SELECT ?3, 't' || at, ?1, 1 FROM n`,
    tenantId,
    tokens,
    expiresAtMs,
  );
}

function countRows({ sql }: DurableObjectStorage): number {
  return sql.exec<{ rows: number }>("SELECT count(*) AS rows FROM token_calls").one().rows;
}

/** Runs over the storage of a broker that does nothing by itself. */
async function withStorage<T>(run: (storage: DurableObjectStorage) => T): Promise<T> {
  const { endpointId } = await makeBroker({ upstreams: [] });
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) => run(storage));
}

it("counts with the job, over restarts of the object, and not a repeated call", async () => {
  const { endpointId, broker } = await makeBroker({ upstreams: [] });
  const mine = token();
  const first = submission({ token: mine });
  expect(await broker.submit(first)).toMatchObject({ ok: true });
  // The edge repeats a call whose answer was lost.
  for (let times = 0; times < 3; times += 1) expect(await broker.submit(first)).toMatchObject({ ok: true });
  await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
  const again = brokerOf(env, endpointId);
  expect(await again.submit(submission({ token: mine }))).toMatchObject({ ok: true });
  expect(await again.submit(submission({ token: mine }))).toEqual({
    ok: false,
    failure: { kind: "token_refused", why: "calls" },
  });
  expect(await again.submit(first)).toMatchObject({ ok: true });
  expect(await again.submit(submission())).toMatchObject({ ok: true });
});

it("costs a submit one row more, and a submit by a key nothing", async () => {
  const { endpointId, broker } = await makeBroker({ upstreams: [] });
  const rowsOf = async (call: Parameters<typeof broker.submit>[0]): Promise<number> => {
    const stub = env.ENDPOINT_BROKER.getByName(endpointId);
    const written = () =>
      runInDurableObject(stub, ({ meter }: { readonly meter: { rowsWritten: number } }) => meter.rowsWritten);
    const before = await written();
    await broker.submit(call);
    return (await written()) - before;
  };
  await rowsOf(submission());
  const byKey = await rowsOf(submission());
  const mine = token();
  expect([await rowsOf(submission({ token: mine })), await rowsOf(submission({ token: mine }))]).toEqual([
    byKey + 1,
    byKey + 1,
  ]);
});

it("lets no token in that has ended, also where its row is gone", async () => {
  const { broker } = await makeBroker({ upstreams: [] });
  const mine = token({ calls: 1 });
  expect(await broker.submit(submission({ token: mine }))).toMatchObject({ ok: true });
  vi.setSystemTime(mine.expiresAtMs + TOKEN_LIFE_MAX_SECONDS * 1_000);
  expect(await broker.submit(submission({ token: mine }))).toMatchObject({
    ok: false,
    failure: { kind: "unauthorized", misused: "token_over" },
  });
});

it("refuses a tenant's new token beyond the bound, and neither a known one, nor another tenant's, nor a key", async () => {
  const { endpointId, broker } = await makeBroker({ upstreams: [] });
  const known = token();
  expect(await broker.submit(submission({ token: known }))).toMatchObject({ ok: true });
  await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) =>
    putTokens(storage, "owner", TOKENS_TENANT_MAX - 1, Date.now() + 3_600_000),
  );
  await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
  const full = brokerOf(env, endpointId);
  const refused = await full.submit(submission({ token: token() }));
  if (refused.ok) throw new Error("the bound does not hold");
  expect(refused.failure.kind).toBe("too_many_tokens");
  const answer = failureAnswer(refused.failure, "r");
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, expect.any(String)]);
  expect(await full.submit(submission({ token: known }))).toMatchObject({ ok: true });
  expect(await full.submit(submission({ tenantId: "guest", token: token() }))).toMatchObject({ ok: true });
  expect(await full.submit(submission())).toMatchObject({ ok: true });
});

it("does not count the token of a submit that is rolled back", async () => {
  const { endpointId } = await makeBroker({ upstreams: [] });
  await inBroker(endpointId, async (broker, storage) => {
    putTokens(storage, "owner", TOKENS_TENANT_MAX - 1, Date.now() + 3_600_000);
    const idempotency = { key: "order", fingerprint: "f" };
    const submit = () => broker.submit(submission({ token: token(), idempotency }));
    // The key is stored after the token is counted, in the same transaction.
    storage.sql.exec("CREATE TRIGGER no_room BEFORE INSERT ON idempotency BEGIN SELECT raise(ABORT, 'no room'); END");
    await expect(submit()).rejects.toThrow("no room");
    storage.sql.exec("DROP TRIGGER no_room");
    expect(await submit()).toMatchObject({ ok: true });
    const beyond = await broker.submit(submission({ token: token() }));
    expect(beyond).toMatchObject({ ok: false, failure: { kind: "too_many_tokens" } });
  });
});

it("is dropped after the token's end, many by one alarm, a portion a turn", async () => {
  await withStorage((storage) => {
    const nowMs = Date.now();
    putTokens(storage, "owner", 250, nowMs + 1_000);
    putTokens(storage, "owner", 10, nowMs + 2_000);
    putTokens(storage, "owner", 5, nowMs + 3_600_000);
    const calls = new TokenCalls(new MeteredSql(storage));
    expect(calls.nextAtMs()).toBe(nowMs + 1_000 + TOKENS_SWEEP_AFTER_MS);
    expect(calls.run(nowMs + 3_000)).toBe(false);
    expect(countRows(storage)).toBe(265);
    const dueMs = calls.nextAtMs();
    expect(calls.run(dueMs)).toBe(true);
    expect(countRows(storage)).toBe(265 - TURN_ROWS_MAX);
    // Where the alarm ends here, the next one goes on at once.
    expect(calls.nextAtMs()).toBeLessThanOrEqual(dueMs);
    while (calls.run(dueMs));
    expect(countRows(storage)).toBe(5);
    expect(calls.nextAtMs()).toBe(nowMs + 3_600_000 + TOKENS_SWEEP_AFTER_MS);
    expect(calls.run(calls.nextAtMs())).toBe(false);
    expect([countRows(storage), calls.nextAtMs()]).toEqual([0, Number.POSITIVE_INFINITY]);
  });
});

it("counts a tenant's tokens right over drops", async () => {
  await withStorage((storage) => {
    const nowMs = Date.now();
    const calls = new TokenCalls(new MeteredSql(storage));
    putTokens(storage, "owner", TOKENS_TENANT_MAX, nowMs + 1_000);
    const late = token({ expiresAtMs: nowMs + 3_600_000 });
    expect(calls.refuse("owner", late, nowMs)).toMatchObject({ kind: "too_many_tokens" });
    const fresh = new TokenCalls(new MeteredSql(storage));
    expect(fresh.refuse("owner", late, nowMs)).not.toBeNull();
    fresh.run(nowMs + 1_000 + TOKENS_SWEEP_AFTER_MS);
    for (let at = 0; at < TURN_ROWS_MAX; at += 1) {
      const one = token({ expiresAtMs: nowMs + 3_600_000 });
      expect(fresh.refuse("owner", one, nowMs)).toBeNull();
      fresh.note("owner", one)();
    }
    expect(fresh.refuse("owner", late, nowMs)).toMatchObject({ kind: "too_many_tokens" });
  });
});
