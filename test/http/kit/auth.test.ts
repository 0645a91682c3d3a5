// Who is let in, from where it is known, and what happens while D1 is down. Time is a value here, no clock is mocked.
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Caller } from "../../../src/contract/identity.ts";
import { KEY_RANDOM_BYTES, makeApiKey } from "../../../src/core/access/api-key.ts";
import { KEY_MISSING_MS } from "../../../src/core/limits.ts";
import { authenticate, requireScope } from "../../../src/http/kit/auth.ts";
import { findEndpoint } from "../../../src/http/kit/find-endpoint.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** The tenant's caller with a key for jobs. */
function callerOf({ tenantId }: TestTenant): Caller {
  const key = { keyId: "key", endpointIds: null, scopes: ["jobs"] } as const;
  const limits = { waitingMax: 1, bound: { runningMax: null, version: 1 }, limits: null };
  return { ...key, tenantId, ...limits, sealedWebhookSecret: "" };
}

const NOW_MS = 1_800_000_000_000;
const DAY_MS = 86_400_000;

async function kindOf(header: string | null, nowMs = NOW_MS): Promise<string> {
  const result = await authenticate(new Headers(header === null ? {} : { authorization: header }), env, nowMs);
  return result.ok ? "ok" : result.failure.kind;
}

function d1Down() {
  const error = new Error("D1_ERROR: D1 DB is overloaded");
  vi.spyOn(env.DB, "batch").mockRejectedValue(error);
  return vi.spyOn(env.DB, "prepare").mockImplementation(() => {
    throw error;
  });
}

function keyIdOf(tenant: TestTenant): string {
  return tenant.key.split("_")[2] ?? "";
}

describe("a key", () => {
  it("is taken as Bearer in any case, or bare", async () => {
    const { key, tenantId } = await makeTenant({ scopes: ["jobs", "manage"], waitingMax: 7 });
    for (const header of [`Bearer ${key}`, `bearer ${key}`, `BEARER   ${key}`, key, ` ${key} `]) {
      expect(await kindOf(header)).toBe("ok");
    }
    const result = await authenticate(new Headers({ authorization: key }), env, NOW_MS);
    expect(result).toMatchObject({ value: { tenantId, scopes: ["jobs", "manage"], waitingMax: 7 } });
  });

  it("is refused without asking D1 when its text cannot be one", async () => {
    const { key } = await makeTenant();
    const asked = vi.spyOn(env.DB, "prepare");
    const wrong = [null, "", "Bearer", "Bearer ", `Basic ${key}`, `${key} ${key}`, `Bearer ${key},${key}`];
    const broken = [
      `Bearer ${key.slice(0, -1)}!`,
      `Bearer ${key}0`,
      "a".repeat(256),
      `Bearer Bearer ${key}`,
      "wb_live_x",
    ];
    for (const header of [...wrong, ...broken]) expect(await kindOf(header)).toBe("unauthorized");
    const doubled = new Headers({ authorization: `Bearer ${key}` });
    doubled.append("authorization", `Bearer ${key}`);
    expect(await authenticate(doubled, env, NOW_MS)).toMatchObject({ failure: { kind: "unauthorized" } });
    expect(asked).not.toHaveBeenCalled();
  });

  it("is refused alike when its id is unknown and when its secret is another", async () => {
    const tenant = await makeTenant();
    const other = makeApiKey(crypto.getRandomValues(new Uint8Array(KEY_RANDOM_BYTES)));
    const compared = vi.spyOn(crypto.subtle, "timingSafeEqual");
    expect(await kindOf(other.key)).toBe("unauthorized");
    // The dummy: an unknown id costs the same comparison.
    expect(compared).toHaveBeenCalledTimes(1);
    await env.DB.prepare("UPDATE api_keys SET id = ? WHERE id = ?").bind(other.id, keyIdOf(tenant)).run();
    expect(await kindOf(other.key, NOW_MS + KEY_MISSING_MS)).toBe("unauthorized");
    expect(compared).toHaveBeenCalledTimes(2);
  });

  it("ends at its expiry to the millisecond, also from the cache", async () => {
    const tenant = await makeTenant();
    await env.DB.prepare("UPDATE api_keys SET expires_at = ? WHERE id = ?")
      .bind(NOW_MS + 10, keyIdOf(tenant))
      .run();
    expect(await kindOf(tenant.key, NOW_MS + 9)).toBe("ok");
    expect(await kindOf(tenant.key, NOW_MS + 10)).toBe("unauthorized");
  });

  it("that was revoked ends within 30 s", async () => {
    const tenant = await makeTenant();
    expect(await kindOf(tenant.key)).toBe("ok");
    await env.DB.prepare("UPDATE api_keys SET revoked_at = 1 WHERE id = ?").bind(keyIdOf(tenant)).run();
    expect(await kindOf(tenant.key, NOW_MS + 29_999)).toBe("ok");
    expect(await kindOf(tenant.key, NOW_MS + 30_000)).toBe("unauthorized");
  });

  it("asks D1 once in 30 s", async () => {
    const { key } = await makeTenant();
    const asked = vi.spyOn(env.DB, "prepare");
    for (let ms = 0; ms < 30_000; ms += 1_000) await kindOf(key, NOW_MS + ms);
    expect(asked).toHaveBeenCalledTimes(1);
  });

  it("has only the scopes that it was given", async () => {
    const { key } = await makeTenant({ scopes: ["worker"] });
    const result = await authenticate(new Headers({ authorization: key }), env, NOW_MS);
    if (!result.ok) throw new Error("the key must be good");
    expect(requireScope(result.value, "worker").ok).toBe(true);
    expect(requireScope(result.value, "jobs")).toMatchObject({ failure: { kind: "forbidden", scope: "jobs" } });
  });
});

describe("while D1 is down", () => {
  it("a key that was good stays good for 24 h, and no longer", async () => {
    const { key } = await makeTenant();
    expect(await kindOf(key)).toBe("ok");
    d1Down();
    expect(await kindOf(key, NOW_MS + 60_000)).toBe("ok");
    expect(await kindOf(key, NOW_MS + DAY_MS - 1)).toBe("ok");
    expect(await kindOf(key, NOW_MS + DAY_MS + 5_000)).toBe("unavailable");
  });

  it("a key that was not seen before is unavailable, never unauthorized", async () => {
    const { key } = await makeTenant();
    d1Down();
    expect(await kindOf(key)).toBe("unavailable");
    vi.restoreAllMocks();
    expect(await kindOf(key)).toBe("ok");
  });

  it("D1 is not asked for each request", async () => {
    const { key } = await makeTenant();
    await kindOf(key);
    const asked = d1Down();
    for (let ms = 0; ms < 5_000; ms += 500) expect(await kindOf(key, NOW_MS + 40_000 + ms)).toBe("ok");
    expect(asked).toHaveBeenCalledTimes(1);
  });

  it("an endpoint that was good stays good for 24 h", async () => {
    const tenant = await makeTenant();
    const caller = callerOf(tenant);
    expect((await findEndpoint(tenant.slug, caller, env, NOW_MS)).ok).toBe(true);
    d1Down();
    expect((await findEndpoint(tenant.slug, caller, env, NOW_MS + DAY_MS - 1)).ok).toBe(true);
    const late = await findEndpoint(tenant.slug, caller, env, NOW_MS + DAY_MS + 5_000);
    expect(late).toMatchObject({ failure: { kind: "unavailable" } });
  });
});

describe("an endpoint", () => {
  it("of another tenant and an unknown one are the same, and a shared one is everybody's", async () => {
    const [mine, theirs, shared] = await Promise.all([makeTenant(), makeTenant(), makeTenant({ shared: true })]);
    const caller = callerOf(mine);
    const find = (name: string) => findEndpoint(name, caller, env, NOW_MS);
    expect(await find(theirs.endpointId)).toEqual(await find("nothing-here"));
    expect(await find(theirs.slug)).toEqual({ ok: false, failure: { kind: "not_found", what: "endpoint" } });
    expect(await find(shared.slug)).toMatchObject({ value: { shared: true, settings: { tenantId: shared.tenantId } } });
    expect(await find(mine.slug)).toMatchObject({ value: { shared: false } });
  });

  it("that is made after it was asked for is found within 5 s", async () => {
    const tenant = await makeTenant();
    const caller = callerOf(tenant);
    const slug = `late-${crypto.randomUUID()}`;
    expect((await findEndpoint(slug, caller, env, NOW_MS)).ok).toBe(false);
    await env.DB.prepare("UPDATE endpoints SET slug = ? WHERE id = ?").bind(slug, tenant.endpointId).run();
    expect((await findEndpoint(slug, caller, env, NOW_MS + 4_999)).ok).toBe(false);
    expect((await findEndpoint(slug, caller, env, NOW_MS + 5_000)).ok).toBe(true);
  });

  it("stays known however many made-up names are asked for", async () => {
    const tenant = await makeTenant();
    const caller = callerOf(tenant);
    await findEndpoint(tenant.slug, caller, env, NOW_MS);
    const empty = [{ results: [] }, { results: [] }, { results: [] }];
    vi.spyOn(env.DB, "batch").mockResolvedValue(empty as never);
    for (let n = 0; n < 10_001; n += 1) await findEndpoint(`made-up-${n}`, caller, env, NOW_MS);
    expect((await findEndpoint(tenant.slug, caller, env, NOW_MS + 1)).ok).toBe(true);
  });
});
