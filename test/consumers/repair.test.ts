// The cron asks the brokers that are behind and nobody else, within the platform's 10,000 subrequests a round, and none of them
// waits for ever behind one that fails.
import { runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { repairBrokers } from "../../src/consumers/repair.ts";
import type { BrokerApi } from "../../src/contract/broker.ts";
import type { EndpointSettings } from "../../src/contract/settings.ts";
import { loadEndpointSettings } from "../../src/db/endpoints.ts";
import { noteTaken } from "../../src/db/taken-versions.ts";
import { brokerOf } from "../../src/dispatch/broker-client.ts";
import { watchD1 } from "../support/d1.ts";
import { makeTenant } from "../support/tenant.ts";

beforeEach(async () => {
  // Each test counts what the whole database makes the cron do.
  await env.DB.batch([
    env.DB.prepare("UPDATE endpoints SET taken_version = version WHERE taken_version < version"),
    env.DB.prepare("DELETE FROM meta WHERE name = 'repaired_through'"),
  ]);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Endpoints `{prefix}-00001` and on, in one statement. */
async function makeEndpoints(prefix: string, count: number, takenVersion: number): Promise<void> {
  const { tenantId } = await makeTenant();
  await env.DB.prepare(
    `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
     INSERT INTO endpoints (id, tenant_id, slug, taken_version, created_at)
     SELECT printf('%s-%05d', ?2, n), ?3, printf('slug-%s-%05d', ?2, n), ?4, 0 FROM numbers`,
  )
    .bind(count, prefix, tenantId, takenVersion)
    .run();
}

/** A tenant whose endpoint's settings have changed since its broker took them. */
async function makeChanged(options: Parameters<typeof makeTenant>[0] = {}) {
  const made = await makeTenant(options);
  await env.DB.prepare("UPDATE endpoints SET ttl_ms = 60000 WHERE id = ?").bind(made.endpointId).run();
  return made;
}

/** Runs one round with brokers of the test's own. Returns the endpoints that it asked and the statements that it ran. */
async function runRound(
  configure: (settings: EndpointSettings) => Promise<{ version: number }>,
  endpointsMax?: number,
) {
  const asked: string[] = [];
  const getByName = (endpointId: string): Partial<BrokerApi> => ({
    configure: (settings) => {
      asked.push(endpointId);
      return configure(settings);
    },
  });
  const namespace = { getByName } as unknown as Env["ENDPOINT_BROKER"];
  const statements = watchD1();
  // A line for each that fails would bury the report of the tests.
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  await repairBrokers({ ...env, ENDPOINT_BROKER: namespace }, endpointsMax);
  vi.restoreAllMocks();
  return { asked, statements };
}

const takes = async ({ version }: EndpointSettings) => ({ version });
const isWrite = (sql: string) => !/^\s*SELECT\b/.test(sql);

async function behind(): Promise<number> {
  const sql = "SELECT count(*) AS behind FROM endpoints WHERE taken_version < version";
  return (await env.DB.prepare(sql).first<number>("behind")) ?? -1;
}

async function versionOf(endpointId: string): Promise<number> {
  const sql = "SELECT version FROM endpoints WHERE id = ?";
  return (await env.DB.prepare(sql).bind(endpointId).first<number>("version")) ?? -1;
}

describe("the cron", () => {
  it("of 10,000 endpoints where nothing has changed asks no broker, writes nothing, and reads an empty index", async () => {
    await makeEndpoints("same", 10_000, 1);
    const { asked, statements } = await runRound(takes);
    expect(asked).toEqual([]);
    expect(statements).toHaveLength(1);
    expect(statements.filter(isWrite)).toEqual([]);
    const { meta } = await env.DB.prepare(statements[0] ?? "")
      .bind(100)
      .all();
    expect(meta.rows_read).toBeLessThan(5);
  });

  it("asks one that has changed, once", async () => {
    await makeEndpoints("calm", 100, 1);
    const { endpointId } = await makeChanged({ upstreams: [{}] });
    expect((await runRound(takes)).asked).toEqual([endpointId]);
    expect((await runRound(takes)).asked).toEqual([]);
  });

  it("starts no broker for an endpoint that was just made: that asks for its settings when it is called", async () => {
    const { endpointId } = await makeTenant();
    expect((await runRound(takes)).asked).toEqual([]);
    await env.DB.prepare("UPDATE endpoints SET paused = 1 WHERE id = ?").bind(endpointId).run();
    expect((await runRound(takes)).asked).toEqual([endpointId]);
  });

  it("brings 10,000 up in two rounds of at most 10,000 subrequests and 1,000 statements", async () => {
    await makeEndpoints("late", 10_000, 0);
    const rounds = [await runRound(takes), await runRound(takes)];
    for (const { asked, statements } of rounds) {
      expect(asked.length + statements.length).toBeLessThan(10_000);
      expect(statements.length).toBeLessThan(1_000);
    }
    expect(rounds[0]?.asked).toHaveLength(8_000);
    expect(new Set(rounds.flatMap(({ asked }) => asked)).size).toBe(10_000);
    expect(await behind()).toBe(0);
    expect((await runRound(takes)).statements).toHaveLength(1);
  });

  it("lets 900 that always fail, and the rows of one that make no sense, keep nobody waiting", {
    timeout: 20_000,
  }, async () => {
    await makeEndpoints("a-dead", 900, 0);
    await makeEndpoints("b-sound", 300, 0);
    await env.DB.prepare("UPDATE endpoints SET max_attempts = 0 WHERE id = 'b-sound-00007'").run();
    const failing = async (settings: EndpointSettings) => {
      if (settings.endpointId.startsWith("a-dead")) throw new Error("the object is overloaded");
      return takes(settings);
    };
    await runRound(failing, 800);
    await runRound(failing, 800);
    // 800 a round: the second one begins where the first has ended, and reaches everybody.
    expect(await behind()).toBe(901);
    // Those are asked again, in turn, and the cursor never loses one.
    const again = new Set([...(await runRound(failing, 800)).asked, ...(await runRound(failing, 800)).asked]);
    expect(again.size).toBe(900);
    await runRound(takes);
    await runRound(takes);
    expect(await behind()).toBe(1);
  });

  it("does not take a version for taken that came while the broker was told of the one before", async () => {
    const { endpointId } = await makeChanged();
    await runRound(async ({ version }) => {
      await env.DB.prepare("UPDATE endpoints SET paused = 1 WHERE id = ?").bind(endpointId).run();
      return { version };
    });
    expect((await runRound(takes)).asked).toEqual([endpointId]);
    // An older answer that comes late takes nothing back.
    await noteTaken(env.DB, [{ endpointId, version: 1 }]);
    expect(await behind()).toBe(0);
  });

  it("is not asked for by the operator's push, whose broker has answered", async () => {
    const { endpointId, key } = await makeChanged({ upstreams: [{}], scopes: ["admin"] });
    expect(await behind()).toBe(1);
    const headers = { authorization: `Bearer ${key}` };
    const body = JSON.stringify({ endpointId });
    await exports.default.fetch(
      new Request("https://waybill.test/v1/admin/configure", { method: "POST", headers, body }),
    );
    expect((await runRound(takes)).asked).toEqual([]);
  });

  it("reaches the broker itself, which has the new settings then", async () => {
    const { endpointId, tenantId } = await makeChanged({ upstreams: [{ id: `up-${crypto.randomUUID()}` }] });
    await repairBrokers(env);
    expect(await brokerOf(env, endpointId).listWorkers({ tenantId })).toHaveLength(1);
    expect(await behind()).toBe(0);
  });
});

describe("every change of what a broker must know", () => {
  const CHANGES: Readonly<Record<string, string>> = {
    "an upstream is added": `INSERT INTO upstreams (id, endpoint_id, url, dialect, slots, tier, rate_kind, created_at)
      VALUES ('new-' || ?1, ?1, 'http://127.0.0.1:9', 'http', 1, 'l4', 'flex', 0)`,
    "an upstream is switched off": "UPDATE upstreams SET enabled = 0 WHERE endpoint_id = ?1",
    "an upstream is removed": "DELETE FROM upstreams WHERE endpoint_id = ?1",
    "a worker key is made": `INSERT INTO api_keys
      (id, tenant_id, digest, scopes, name, created_at, endpoint_id, tier, rate_kind, slots)
      SELECT 'new-' || id, tenant_id, printf('%064d', 0), 'worker', '', 0, id, 'l4', 'flex', 1 FROM endpoints WHERE id = ?1`,
    "a worker key is revoked": "UPDATE api_keys SET revoked_at = 1 WHERE endpoint_id = ?1",
    "a worker key is removed": "DELETE FROM api_keys WHERE endpoint_id = ?1",
    "the endpoint is paused": "UPDATE endpoints SET paused = 1 WHERE id = ?1",
    "a limit of the endpoint is changed": "UPDATE endpoints SET ttl_ms = 60000 WHERE id = ?1",
    "a price is announced for the tier of an upstream": `INSERT INTO gpu_rates
      SELECT 'h200-pro', 'flex', 4102444800000, 1 WHERE ?1 <> ''`,
    "a price is announced for the tier of a worker key": `INSERT INTO gpu_rates
      SELECT 'b200', 'flex', 4102444800000, 1 WHERE ?1 <> ''`,
    "a price is corrected": "UPDATE gpu_rates SET nanodollars_per_second = 2 WHERE tier = 'b200' AND ?1 <> ''",
    "a price is taken back": "DELETE FROM gpu_rates WHERE tier = 'h200-pro' AND effective_from > 0 AND ?1 <> ''",
  };

  it.each(Object.keys(CHANGES))("raises the version of its endpoint and of no other: %s", async (what) => {
    const made = await makeTenant({ upstreams: [{ tier: "h200-pro" }], workerKeys: [{ tier: "b200" }] });
    const other = await makeTenant({ upstreams: [{ tier: "l4" }], workerKeys: [{ tier: "l4" }] });
    const before = await loadEndpointSettings(env.DB, made.endpointId);
    await env.DB.prepare(CHANGES[what] ?? "")
      .bind(made.endpointId)
      .run();
    expect(await versionOf(made.endpointId)).toBeGreaterThan(before?.version ?? 1);
    expect(await versionOf(other.endpointId)).toBe(1);
  });

  it("is not what concerns no broker", async () => {
    const { endpointId, tenantId } = await makeTenant();
    await env.DB.batch([
      env.DB.prepare("UPDATE tenants SET waiting_max = 7 WHERE id = ?").bind(tenantId),
      env.DB.prepare("UPDATE api_keys SET revoked_at = 1 WHERE tenant_id = ?").bind(tenantId),
    ]);
    expect(await versionOf(endpointId)).toBe(1);
  });
});

describe("a broker", () => {
  it("writes nothing and sets no alarm for settings that it has", async () => {
    const { endpointId } = await makeTenant({ upstreams: [{}], workerKeys: [{}] });
    const settings = await loadEndpointSettings(env.DB, endpointId);
    if (settings === null) throw new Error("the endpoint is not there");
    const stub = env.ENDPOINT_BROKER.getByName(endpointId);
    const costs = () =>
      runInDurableObject(stub, ({ meter }) => [meter.rowsWritten, meter.alarmsSet, meter.messages] as const);
    await brokerOf(env, endpointId).configure(settings);
    const before = await costs();
    expect(await brokerOf(env, endpointId).configure(settings)).toEqual({ version: settings.version });
    expect(await costs()).toEqual(before);
  });

  it("takes what a newer release reads out of the same rows", async () => {
    const { endpointId } = await makeTenant();
    const settings = await loadEndpointSettings(env.DB, endpointId);
    if (settings === null) throw new Error("the endpoint is not there");
    await brokerOf(env, endpointId).configure({ ...settings, paused: true });
    const written = () =>
      runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), ({ meter }) => meter.rowsWritten);
    const before = await written();
    await brokerOf(env, endpointId).configure(settings);
    expect(await written()).toBe(before + 1);
  });
});
