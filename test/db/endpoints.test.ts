// Endpoints as D1 gives them: by id or slug, with enabled upstreams, live worker keys and the prices of the tiers in use.
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { fleetSchema } from "../../src/contract/manage/fleet.ts";
import { endpointSettingsSchema } from "../../src/contract/settings.ts";
import { parseApiKey } from "../../src/core/access/api-key.ts";
import { loadEndpoint, loadEndpointSettings, loadManySettings, loadNumberedEndpoint } from "../../src/db/endpoints.ts";
import { insertWorkerKey } from "../../src/db/keys.ts";
import { updateManaged } from "../../src/db/managed-endpoints.ts";
import { runAll } from "../../src/db/statement.ts";
import { settings as makeSettings } from "../support/broker.ts";
import { insertEndpoint } from "../support/endpoint-row.ts";
import { drawNumber, makeTenant } from "../support/tenant.ts";

describe("an endpoint's number", () => {
  it("finds the same endpoint as its id, and none where nobody has it", async () => {
    const made = await makeTenant();
    const byId = await loadEndpoint(env.DB, made.endpointId);
    expect(await loadNumberedEndpoint(env.DB, byId?.settings.number ?? 0)).toEqual(byId);
    await env.DB.prepare("UPDATE endpoints SET number = NULL WHERE id = ?").bind(made.endpointId).run();
    expect(await loadNumberedEndpoint(env.DB, byId?.settings.number ?? 0)).toBeNull();
    expect(await loadNumberedEndpoint(env.DB, 0)).toBeNull();
  });

  it("is refused where another endpoint has it, by a name that tells its writer to draw anew", async () => {
    const { tenantId, slug } = await makeTenant();
    const number = (await loadEndpoint(env.DB, slug))?.settings.number ?? 0;
    const second = { id: crypto.randomUUID(), number, tenantId, slug: crypto.randomUUID(), createdAtMs: 7 };
    await expect(runAll(env.DB, [insertEndpoint(second)])).rejects.toThrow("endpoints.number");
  });
});

describe("loadEndpoint", () => {
  it("finds the same by id and by slug, and nothing under another name", async () => {
    const made = await makeTenant({ upstreams: [{ slots: 3, tier: "l4", local: true, dialect: "runpod" }] });
    const byId = await loadEndpoint(env.DB, made.endpointId);
    expect(byId).not.toBeNull();
    expect(await loadEndpoint(env.DB, made.slug)).toEqual(byId);
    expect(await loadEndpoint(env.DB, `${made.slug}x`)).toBeNull();
    expect(byId?.settings.upstreams).toMatchObject([{ slots: 3, tier: "l4", local: true, dialect: "runpod" }]);
    expect(byId?.shared).toBe(false);
  });

  it("takes the defaults of the limits for what was not said", async () => {
    const made = await makeTenant();
    expect(await loadEndpointSettings(env.DB, made.endpointId)).toEqual({
      kind: "queue",
      bodyMaxBytes: 30 * 1024 * 1024,
      endpointId: made.endpointId,
      number: expect.any(Number),
      tenantId: made.tenantId,
      version: 1,
      paused: false,
      maxAttempts: 2,
      executionTimeoutMs: 600_000,
      ttlMs: 86_400_000,
      runRetentionMs: 1_800_000,
      runsyncRetentionMs: 60_000,
      tenantSharePercent: 100,
      upstreams: [],
      workerKeys: [],
      rates: [],
      fleet: null,
      shared: false,
      openaiRoutes: "inference",
      deletedAtMs: null,
    });
  });

  it("gives a tenant all of an endpoint that is its owner's alone, a quarter of a shared one, and what was set", async () => {
    const shareOf = async (slug: string) => (await loadEndpointSettings(env.DB, slug))?.tenantSharePercent;
    const own = await makeTenant();
    const shared = await makeTenant({ shared: true });
    expect(await shareOf(own.slug)).toBe(100);
    expect(await shareOf(shared.slug)).toBe(25);
    await env.DB.prepare("UPDATE endpoints SET tenant_share_percent = 3 WHERE id IN (?, ?)")
      .bind(own.endpointId, shared.endpointId)
      .run();
    expect(await shareOf(own.slug)).toBe(3);
    expect(await shareOf(shared.slug)).toBe(3);
  });

  it("leaves out upstreams that are switched off, and the prices of their tiers", async () => {
    const made = await makeTenant({ upstreams: [{ tier: "a4000" }, { tier: "b200" }] });
    await env.DB.prepare("UPDATE upstreams SET enabled = 0 WHERE endpoint_id = ? AND tier = 'b200'")
      .bind(made.endpointId)
      .run();
    const settings = await loadEndpointSettings(env.DB, made.slug);
    expect(settings?.upstreams.map(({ tier }) => tier)).toEqual(["a4000"]);
    expect(settings?.rates).toEqual([
      { tier: "a4000", kind: "active", nanodollarsPerSecond: 110_000, effectiveFromMs: 0 },
      { tier: "a4000", kind: "flex", nanodollarsPerSecond: 160_000, effectiveFromMs: 0 },
    ]);
  });

  it("brings worker keys as digests, with what their jobs cost", async () => {
    const made = await makeTenant({ workerKeys: [{ tier: "h100-pro", rateKind: "active", slots: 4 }] });
    const settings = await loadEndpointSettings(env.DB, made.slug);
    const [key = ""] = made.workerKeys;
    expect(settings?.workerKeys).toEqual([
      {
        id: parseApiKey(key)?.id,
        digest: expect.stringMatching(/^[0-9a-f]{64}$/),
        tier: "h100-pro",
        rateKind: "active",
        slots: 4,
        expiresAtMs: null,
      },
    ]);
    expect(settings?.rates.map(({ tier, kind }) => `${tier} ${kind}`)).toEqual(["h100-pro active", "h100-pro flex"]);
    expect(JSON.stringify(settings)).not.toContain(key);
  });

  it("leaves out worker keys that are revoked, expired or another endpoint's, and the prices of their tiers", async () => {
    await makeTenant({ workerKeys: [{ tier: "a100" }] });
    const made = await makeTenant({
      workerKeys: [{ tier: "l4" }, { tier: "b200" }, { tier: "a6000" }, { tier: "l40s" }],
    });
    const change = (tier: string, column: "revoked_at" | "expires_at", atMs: number) =>
      env.DB.prepare(`UPDATE api_keys SET ${column} = ? WHERE endpoint_id = ? AND tier = ?`)
        .bind(atMs, made.endpointId, tier)
        .run();
    await change("b200", "revoked_at", Date.now());
    await change("a6000", "expires_at", Date.now() - 1_000);
    await change("l40s", "expires_at", Date.now() + 60_000);
    const settings = await loadEndpointSettings(env.DB, made.endpointId);
    expect(settings?.workerKeys.map(({ tier }) => tier).sort()).toEqual(["l4", "l40s"]);
    expect([...new Set(settings?.rates.map(({ tier }) => tier))]).toEqual(["l4", "l40s"]);
  });

  it("cannot meet a worker key without a price: the table holds all of it or none", async () => {
    const made = await makeTenant({ workerKeys: [{}] });
    const strip = env.DB.prepare("UPDATE api_keys SET tier = NULL WHERE endpoint_id = ?").bind(made.endpointId);
    await expect(strip.run()).rejects.toThrow(/CHECK constraint failed/);
  });

  it("brings past and announced prices, so that the broker needs no D1 when they begin", async () => {
    const made = await makeTenant({ upstreams: [{ tier: "a100" }] });
    await env.DB.prepare("INSERT INTO gpu_rates VALUES ('a100', 'flex', 4102444800000, 700000)").run();
    const rates = (await loadEndpointSettings(env.DB, made.endpointId))?.rates.filter(({ kind }) => kind === "flex");
    expect(rates?.map(({ nanodollarsPerSecond }) => nanodollarsPerSecond)).toEqual([760_000, 700_000]);
  });

  it("lets an id win over another tenant's slug of the same text", async () => {
    const victim = await makeTenant({ upstreams: [{ url: "http://127.0.0.1:9/victim" }] });
    const thief = await makeTenant({ upstreams: [{ url: "http://127.0.0.1:9/thief" }] });
    await env.DB.prepare("UPDATE endpoints SET slug = ? WHERE id = ?").bind(victim.endpointId, thief.endpointId).run();
    const found = await loadEndpointSettings(env.DB, victim.endpointId);
    expect(found?.tenantId).toBe(victim.tenantId);
    expect(found?.upstreams.map(({ url }) => url)).toEqual(["http://127.0.0.1:9/victim"]);
  });

  it("reads many as each alone, by as many statements as one, and leaves out what cannot be read", async () => {
    const made = [
      await makeTenant({ upstreams: [{ tier: "l4" }, { tier: "b200" }], workerKeys: [{ tier: "a100" }] }),
      await makeTenant({ upstreams: [{ tier: "a4000" }] }),
      await makeTenant(),
    ];
    const broken = await makeTenant();
    await env.DB.prepare("UPDATE endpoints SET max_attempts = 0 WHERE id = ?").bind(broken.endpointId).run();
    const alone = await Promise.all(made.map(({ endpointId }) => loadEndpointSettings(env.DB, endpointId)));
    const prepared = vi.spyOn(env.DB, "prepare");
    const many = await loadManySettings(env.DB, ["nowhere", ...[...made, broken].map(({ endpointId }) => endpointId)]);
    expect(prepared).toHaveBeenCalledTimes(4);
    vi.restoreAllMocks();
    expect(many).toHaveLength(3);
    expect(many).toEqual(expect.arrayContaining(alone));
  });
});

describe("a new endpoint", () => {
  it("leaves no column to the table's defaults, and is like a row that the migrations have filled", async () => {
    const { tenantId } = await makeTenant();
    const statement = insertEndpoint({
      id: "written",
      number: drawNumber(),
      tenantId,
      slug: "written",
      createdAtMs: 7,
    });
    const filled = "INSERT INTO endpoints (id, tenant_id, slug, created_at) VALUES ('filled', ?, 'filled', 7)";
    const row = (id: string) => ({ sql: "SELECT * FROM endpoints WHERE id = ?", params: [id] });
    const rows = await runAll(env.DB, [statement, { sql: filled, params: [tenantId] }, row("written"), row("filled")]);
    const [, , [written] = [], [older] = []] = rows;
    const own = { id: "written", slug: "written", number: expect.any(Number), fleet: expect.any(String) };
    expect(written).toEqual({ ...Object(older), ...own });
    const [fleet, ofOlder] = [written, older].map((one) => fleetSchema.parse(JSON.parse(Object(one).fleet)));
    expect(fleet).toEqual(ofOlder);
    const columns = /\((.*?)\)/.exec(statement.sql)?.[1]?.split(", ") ?? [];
    expect(columns.sort()).toEqual(Object.keys(Object(written)).sort());
  });

  it("takes any text as a name, and is refused another's slug and a tenant that does not exist", async () => {
    const { tenantId, slug } = await makeTenant();
    const hostile = "x'); DELETE FROM endpoints; --";
    const add = (change: { readonly tenantId?: string; readonly slug?: string; readonly name?: string }) =>
      runAll(env.DB, [
        insertEndpoint({
          id: crypto.randomUUID(),
          number: drawNumber(),
          tenantId,
          slug: crypto.randomUUID(),
          createdAtMs: 7,
          ...change,
        }),
      ]);
    await expect(add({ slug })).rejects.toThrow(/UNIQUE constraint failed/);
    await expect(add({ tenantId: "nobody" })).rejects.toThrow(/FOREIGN KEY constraint failed/);
    await add({ slug: "hostile", name: hostile });
    expect(await env.DB.prepare("SELECT name FROM endpoints WHERE slug = 'hostile'").first("name")).toBe(hostile);
    expect(await loadEndpoint(env.DB, slug)).not.toBeNull();
  });
});

describe("a change of an endpoint", () => {
  it("leaves what is not given as it is, and raises the version", async () => {
    const { endpointId } = await makeTenant({ openaiRoutes: "inference,GET /v1/files/*", tenantSharePercent: 7 });
    const before = await loadEndpointSettings(env.DB, endpointId);
    await runAll(env.DB, [updateManaged(endpointId, { shared: true })]);
    expect(await loadEndpointSettings(env.DB, endpointId)).toEqual({ ...before, shared: true, version: 2 });
    const close = { shared: false, openaiRoutes: "all", tenantSharePercent: 9 };
    await runAll(env.DB, [updateManaged(endpointId, close)]);
    expect(await loadEndpointSettings(env.DB, endpointId)).toEqual({ ...before, ...close, version: 3 });
  });
});

describe("a new worker key", () => {
  it("is refused for an endpoint that does not exist", async () => {
    const price = { tier: "a4000", rateKind: "flex", slots: 1 } as const;
    const key = { id: "lost", digest: "0".repeat(64), name: "lost", createdAtMs: 7, endpointId: "nowhere", ...price };
    await expect(runAll(env.DB, [insertWorkerKey(key)])).rejects.toThrow(/NOT NULL constraint failed/);
  });
});

describe("the settings that a broker stored under an earlier release", () => {
  it("have no worker keys and are read as having none", () => {
    const { workerKeys, ...stored } = makeSettings();
    expect(endpointSettingsSchema.parse(JSON.parse(JSON.stringify(stored))).workerKeys).toEqual(workerKeys);
  });
});

describe("the seeded prices", () => {
  it("are the nine tiers, flex and active, from the beginning of time", async () => {
    const { results } = await env.DB.prepare(
      `SELECT tier, vram_gb, group_concat(kind || ' ' || nanodollars_per_second, ', ' ORDER BY kind DESC) AS prices
       FROM gpu_rates JOIN gpu_tiers ON gpu_tiers.id = tier WHERE effective_from = 0 GROUP BY tier ORDER BY vram_gb, tier`,
    ).all();
    expect(results).toEqual([
      { tier: "a4000", vram_gb: 16, prices: "flex 160000, active 110000" },
      { tier: "4090-pro", vram_gb: 24, prices: "flex 310000, active 210000" },
      { tier: "l4", vram_gb: 24, prices: "flex 190000, active 130000" },
      { tier: "a6000", vram_gb: 48, prices: "flex 340000, active 240000" },
      { tier: "l40s", vram_gb: 48, prices: "flex 530000, active 370000" },
      { tier: "a100", vram_gb: 80, prices: "flex 760000, active 600000" },
      { tier: "h100-pro", vram_gb: 80, prices: "flex 1160000, active 930000" },
      { tier: "h200-pro", vram_gb: 141, prices: "flex 1550000, active 1240000" },
      { tier: "b200", vram_gb: 180, prices: "flex 2400000, active 1900000" },
    ]);
  });
});
