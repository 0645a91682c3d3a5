// /v1/gpu-types and /v1/rates: exact prices, and a new one that every broker of its tier has before it begins.
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { repairBrokers } from "../../../src/consumers/repair.ts";
import type { EndpointSettings } from "../../../src/contract/settings.ts";
import { createApp } from "../../../src/http/app.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

beforeEach(async () => {
  // What other tests have left behind would be pushed, too.
  await env.DB.prepare("UPDATE endpoints SET taken_version = version WHERE taken_version < version").run();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const MINUTE_MS = 60_000;
const inMinutes = (minutes: number) => new Date(Date.now() + minutes * MINUTE_MS).toISOString();

async function scene() {
  const operator = await makeTenant({ scopes: ["admin"] });
  const announce = (body: object, headers = {}) => manage(operator.key, "POST", "/v1/rates", body, headers);
  return { ...operator, announce };
}

const A100 = { tier: "a100", kind: "flex", nanodollarsPerSecond: 700_000 } as const;

describe("GET /v1/gpu-types", () => {
  it("has each type with its memory, RunPod's names for it, and exact prices", async () => {
    const { key } = await makeTenant();
    const { body } = await manage(key, "GET", "/v1/gpu-types");
    const ids = body.gpuTypes.map(({ id }: { id: string }) => id);
    expect(ids).toEqual(["a4000", "4090-pro", "l4", "a6000", "l40s", "a100", "h100-pro", "h200-pro", "b200"]);
    expect(body.gpuTypes[0]).toEqual({
      id: "a4000",
      title: "A4000 / A4500 / RTX 4000",
      vramGb: 16,
      runpodPools: [{ id: "AMPERE_16", types: expect.arrayContaining(["NVIDIA RTX A4000"]) }],
      flex: { nanodollarsPerSecond: 160_000, dollarsPerSecond: "0.000160000", dollarsPerHour: "0.576000000" },
      active: { nanodollarsPerSecond: 110_000, dollarsPerSecond: "0.000110000", dollarsPerHour: "0.396000000" },
      announced: [],
    });
  });

  it("has a price that is announced, and shows it as the present one once it holds", async () => {
    const { key, announce } = await scene();
    const typeOf = async () =>
      (await manage(key, "GET", "/v1/gpu-types")).body.gpuTypes.find(({ id }: { id: string }) => id === "b200");
    const { body } = await announce({ tier: "b200", kind: "active", dollarsPerSecond: "0.002" });
    const { applied: _, ...rate } = body;
    expect(await typeOf()).toMatchObject({ active: { nanodollarsPerSecond: 1_900_000 }, announced: [rate] });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse(rate.effectiveFrom) });
    expect(await typeOf()).toMatchObject({ active: { dollarsPerSecond: "0.002000000" }, announced: [] });
  });
});

describe("a price", () => {
  it.each([
    [{ nanodollarsPerSecond: 1 }, 1, "0.000000001", "0.000003600"],
    [{ dollarsPerSecond: "0.000000001" }, 1, "0.000000001", "0.000003600"],
    [{ dollarsPerSecond: "0.123456789" }, 123_456_789, "0.123456789", "444.444440400"],
    [{ dollarsPerSecond: "10" }, 10_000_000_000, "10.000000000", "36000.000000000"],
    [{ nanodollarsPerSecond: 0 }, 0, "0.000000000", "0.000000000"],
  ])("is taken and shown exactly: %o", async (price, nanodollars, second, hour) => {
    const { announce } = await scene();
    const effectiveFrom = inMinutes(100 + Math.random() * 1_000);
    const { status, body } = await announce({ tier: "l40s", kind: "flex", ...price, effectiveFrom });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      tier: "l40s",
      kind: "flex",
      nanodollarsPerSecond: nanodollars,
      dollarsPerSecond: second,
      dollarsPerHour: hour,
      effectiveFrom,
    });
  });

  it("begins 11 min ahead unless it is said otherwise, and never less than 10", async () => {
    const { announce } = await scene();
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    expect((await announce(A100)).body.effectiveFrom).toBe(inMinutes(11));
    expect((await announce({ ...A100, effectiveFrom: inMinutes(10) })).status).toBe(201);
    const soon = new Date(Date.now() + 10 * MINUTE_MS - 1).toISOString();
    const refused = await announce({ ...A100, effectiveFrom: soon });
    expect(refused).toMatchObject({ status: 400, body: { field: "effectiveFrom" } });
    expect(refused.body.detail).toContain("10 min ahead");
  });

  it("begins in a year that can be written", async () => {
    const { announce } = await scene();
    const { status, body } = await announce({ ...A100, effectiveFrom: "9999-12-31T23:59:59-23:59" });
    expect({ status, body }).toMatchObject({ status: 400, body: { errors: [{ field: "effectiveFrom" }] } });
  });

  it("is never changed: another one for its very time is refused", async () => {
    const { announce, key } = await scene();
    const effectiveFrom = inMinutes(30);
    await announce({ ...A100, effectiveFrom });
    const second = await announce({ ...A100, nanodollarsPerSecond: 1, effectiveFrom });
    expect(second).toMatchObject({ status: 409, body: { field: "effectiveFrom" } });
    expect(second.body.detail).toContain(effectiveFrom);
    const { rates } = (await manage(key, "GET", "/v1/rates?limit=100")).body;
    const there = rates.filter((rate: { effectiveFrom: string }) => rate.effectiveFrom === effectiveFrom);
    expect(there).toMatchObject([{ nanodollarsPerSecond: 700_000 }]);
  });

  it("is announced once by a call that is repeated, also when its time is near by then", async () => {
    const { announce, key } = await scene();
    const headers = { "idempotency-key": crypto.randomUUID() };
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    const wanted = { ...A100, effectiveFrom: inMinutes(15) };
    const first = await announce(wanted, headers);
    vi.setSystemTime(Date.now() + 10 * MINUTE_MS);
    const again = await announce(wanted, headers);
    expect(again.status).toBe(201);
    expect(again.body).toMatchObject({ ...A100, effectiveFrom: first.body.effectiveFrom });
    const lines = (await manage(key, "GET", "/v1/audit")).body.lines;
    expect(lines).toMatchObject([
      { action: "rate.create", changes: [{ field: "nanodollarsPerSecond", new: 700_000 }, {}] },
    ]);
  });

  it.each([
    [{ tier: "h900" }, "there are a4000"],
    [{ kind: "spot" }, "kind"],
    [{ nanodollarsPerSecond: -1 }, "nanodollarsPerSecond"],
    [{ nanodollarsPerSecond: 10_000_000_001 }, "nanodollarsPerSecond"],
    [{ dollarsPerSecond: "0.1" }, "not both"],
    [{ nanodollarsPerSecond: undefined }, "dollarsPerSecond is required"],
    [{ nanodollarsPerSecond: undefined, dollarsPerSecond: "0.0000000001" }, "nine decimals"],
    [{ nanodollarsPerSecond: undefined, dollarsPerSecond: "10.000000001" }, "at most 10"],
    [{ nanodollarsPerSecond: undefined, dollarsPerSecond: "1e3" }, "decimal"],
    [{ effectiveFrom: "tomorrow" }, "effectiveFrom"],
  ])("is refused where it makes no sense, with the field: %o", async (more, part) => {
    const { announce } = await scene();
    const { status, body } = await announce({ ...A100, ...more });
    expect(status).toBe(400);
    expect(body.detail).toContain(part);
  });

  it("is announced by the scope admin alone, and read by any key but a worker's", async () => {
    const tenant = await makeTenant({ scopes: ["jobs", "manage"] });
    expect((await manage(tenant.key, "POST", "/v1/rates", A100)).status).toBe(403);
    const { rates, pagination } = (await manage(tenant.key, "GET", "/v1/rates?limit=2")).body;
    expect(rates).toHaveLength(2);
    const next = await manage(tenant.key, "GET", `/v1/rates?limit=100&cursor=${pagination.nextCursor}`);
    const times = [...rates, ...next.body.rates].map(({ effectiveFrom }) => Date.parse(effectiveFrom));
    expect(times).toEqual([...times].sort((a, b) => b - a));
    const all = [...rates, ...next.body.rates].map(
      ({ tier, kind, effectiveFrom }) => `${tier} ${kind} ${effectiveFrom}`,
    );
    expect(new Set(all).size).toBe(all.length);
    const { worker } = { worker: await makeTenant({ scopes: ["worker"] }) };
    expect((await manage(worker.key, "GET", "/v1/rates")).status).toBe(403);
  });
});

describe("a new price", () => {
  /** 1,200 endpoints, each with an upstream of a tier. */
  async function makeEndpoints(tier: string): Promise<string> {
    const { tenantId } = await makeTenant();
    const prefix = crypto.randomUUID();
    await env.DB.batch([
      env.DB.prepare(
        `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1200)
         INSERT INTO endpoints (id, tenant_id, slug, created_at)
         SELECT printf('%s-%05d', ?1, n), ?2, printf('slug-%s-%05d', ?1, n), 0 FROM numbers`,
      ).bind(prefix, tenantId),
      env.DB.prepare(
        `INSERT INTO upstreams (id, endpoint_id, url, dialect, slots, tier, rate_kind, created_at)
         SELECT 'up-' || id, id, 'http://127.0.0.1:9', 'http', 1, ?2, 'flex', 0 FROM endpoints WHERE id LIKE ?1 || '-%'`,
      ).bind(prefix, tier),
      env.DB.prepare("UPDATE endpoints SET taken_version = version WHERE taken_version < version"),
    ]);
    return prefix;
  }

  /** Brokers that note which prices they have; `isLost`: they do not answer. */
  function watchedBrokers() {
    const known = new Map<string, EndpointSettings["rates"]>();
    const state = { isLost: false };
    const getByName = (endpointId: string) => ({
      configure: async (settings: EndpointSettings) => {
        if (state.isLost) throw new Error("lost");
        known.set(endpointId, settings.rates);
        return { version: settings.version };
      },
    });
    return { known, state, bindings: { ...env, ENDPOINT_BROKER: { getByName } as unknown as Env["ENDPOINT_BROKER"] } };
  }

  async function announce(bindings: Env, body: object): Promise<{ applied: boolean; effectiveFrom: string }> {
    const { key } = await makeTenant({ scopes: ["admin"] });
    const headers = { authorization: key, "content-type": "application/json" };
    const request = new Request("https://waybill.test/v1/rates", {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
    const context = createExecutionContext();
    const answer = await createApp().fetch(request, bindings, context);
    expect(answer.status).toBe(201);
    await waitOnExecutionContext(context);
    return answer.json();
  }

  it("reaches all 1,200 brokers of its tier with the call that announces it, and no other", {
    timeout: 30_000,
  }, async () => {
    const prefix = await makeEndpoints("h200-pro");
    const other = await makeTenant({ upstreams: [{ tier: "a4000" }] });
    const { known, bindings } = watchedBrokers();
    const { applied, effectiveFrom } = await announce(bindings, { ...A100, tier: "h200-pro" });
    expect(applied).toBe(false);
    expect([...known.keys()].filter((id) => id.startsWith(prefix))).toHaveLength(1_200);
    expect(known.has(other.endpointId)).toBe(false);
    const rate = {
      tier: "h200-pro",
      kind: "flex",
      nanodollarsPerSecond: 700_000,
      effectiveFromMs: Date.parse(effectiveFrom),
    };
    for (const rates of known.values()) expect(rates).toContainEqual(rate);
  });

  it("reaches them by one round of the cron where the call itself reaches none", { timeout: 30_000 }, async () => {
    vi.spyOn(console, "log").mockImplementation(() => undefined);
    const prefix = await makeEndpoints("h100-pro");
    const { known, state, bindings } = watchedBrokers();
    state.isLost = true;
    await announce(bindings, { ...A100, tier: "h100-pro" });
    expect(known.size).toBe(0);
    state.isLost = false;
    await repairBrokers(bindings);
    expect([...known.keys()].filter((id) => id.startsWith(prefix))).toHaveLength(1_200);
    const sql = "SELECT count(*) AS behind FROM endpoints WHERE taken_version < version";
    expect(await env.DB.prepare(sql).first("behind")).toBe(0);
  });

  it("is applied at once where no endpoint has its tier", async () => {
    const { announce: say } = await scene();
    expect((await say({ ...A100, tier: "a6000" })).body.applied).toBe(true);
  });
});
