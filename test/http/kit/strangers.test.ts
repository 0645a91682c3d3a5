import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { KEY_RANDOM_BYTES, makeApiKey } from "../../../src/core/access/api-key.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";
import { watchEdge } from "../../support/watched-edge.ts";

const JOB = "01900000-0000-7000-8000-000000000000-u1";
const LEASE = "01900000-0000-4000-8000-000000000000";

/** Every route that takes an endpoint or a key; `{ep}` is the endpoint. */
const ROUTES: readonly (readonly [string, string])[] = [
  ["POST", "/v2/{ep}/run"],
  ["POST", "/v2/{ep}/runsync"],
  ["GET", `/v2/{ep}/status/${JOB}`],
  ["GET", `/v2/{ep}/status-sync/${JOB}`],
  ["POST", `/v2/{ep}/cancel/${JOB}`],
  ["POST", `/v2/{ep}/retry/${JOB}`],
  ["POST", "/v2/{ep}/purge-queue"],
  ["GET", "/v2/{ep}/health"],
  ["GET", "/v2/{ep}/requests"],
  ["GET", `/v2/{ep}/stream/${JOB}`],
  ["GET", "/v2/{ep}/job-take/w1?gpu=L4&job_in_progress=0"],
  ["GET", "/v2/{ep}/job-take-batch/w1?gpu=L4&batch_size=4&job_in_progress=0"],
  ["GET", "/v2/{ep}/job-stop/w1?gpu=L4"],
  ["GET", "/v2/{ep}/ping/w1?gpu=L4"],
  ["POST", `/v2/{ep}/job-done/w1/${JOB}?gpu=L4`],
  ["POST", `/v2/{ep}/job-stream/w1/${JOB}?gpu=L4`],
  ["GET", "/v2/{ep}/openai/v1/models"],
  ["POST", "/v2/{ep}/openai/v1/chat/completions"],
  ["POST", `/v2/{ep}/callback/${JOB}/${LEASE}/${"0".repeat(64)}`],
  ["POST", `/v2/{ep}/callback/${JOB}/${LEASE}`],
  ["GET", "/v2/{ep}/nothing/here"],
  ["GET", "/lb/{ep}/any/path"],
  ["GET", "https://{ep}.lb.waybill.test/any/path"],
  ["GET", "/v1/depth"],
  ["GET", `/v1/jobs/${JOB}`],
  ["GET", "/v1/usage"],
  ["GET", "/v1/usage/parked"],
  ["GET", "/v1/webhooks/dead"],
  ["GET", "/v1/endpoints/{ep}/workers"],
  ["POST", "/v1/endpoints/{ep}/workers/w1/drain"],
  ["POST", "/v1/endpoints/{ep}/workers/w1/resume"],
  ["POST", "/v1/admin/configure"],
];

interface Stranger {
  readonly method: string;
  readonly url: string;
  readonly key: string | null;
  readonly address?: string;
}

/** The edge with what it asks, counted. */
function watchedEdge(bindings: Partial<Env> = {}) {
  const { fetch, statements, objects } = watchEdge(bindings);
  const call = async ({ method, url, key, address }: Stranger): Promise<Response> => {
    const headers = new Headers(key === null ? {} : { authorization: `Bearer ${key}` });
    if (address !== undefined) headers.set("cf-connecting-ip", address);
    const request = new Request(url, { method, headers, ...(method === "POST" ? { body: '{"input":{}}' } : {}) });
    return fetch(request);
  };
  const callAll = async (strangers: readonly Stranger[]): Promise<number[]> => {
    const answers: number[] = [];
    for (let at = 0; at < strangers.length; at += 50) {
      answers.push(...(await Promise.all(strangers.slice(at, at + 50).map(async (each) => (await call(each)).status))));
    }
    return answers;
  };
  return { call, callAll, statements, objects };
}

function makeKey(): string {
  return makeApiKey(crypto.getRandomValues(new Uint8Array(KEY_RANDOM_BYTES))).key;
}

/** The same id with another secret, and a checksum that is right. */
function forge(key: string): string {
  const id = key.split("_")[2] ?? "";
  const random = crypto.getRandomValues(new Uint8Array(KEY_RANDOM_BYTES));
  const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  // The id is made of the first twelve bytes that are below 248.
  random.set(Array.from(id, (char) => alphabet.indexOf(char)));
  const made = makeApiKey(random);
  expect(made.id).toBe(id);
  return made.key;
}

/** 1,000 calls over all routes, each by another key if any, half of them of endpoints that are there. */
function thousand(tenants: readonly TestTenant[], keyOf: (n: number) => string | null): Stranger[] {
  return Array.from({ length: 1_000 }, (_, n) => {
    const [method = "", path = ""] = ROUTES[n % ROUTES.length] ?? [];
    const tenant = tenants[n % tenants.length];
    const names = [`made-up-${n}`, tenant?.endpointId ?? "", `made-up-again-${n}`, tenant?.slug ?? ""];
    const url = path.replace("{ep}", names[Math.floor(n / ROUTES.length) % names.length] ?? "");
    return { method, url: url.startsWith("/") ? `https://waybill.test${url}` : url, key: keyOf(n) };
  });
}

async function makeTenants(): Promise<TestTenant[]> {
  const options = { upstreams: [{}], workerKeys: [{}] };
  return [await makeTenant(options), await makeTenant({ ...options, kind: "load_balancer" })];
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  // Refused polls are held 5 s.
  vi.spyOn(scheduler, "wait").mockResolvedValue(undefined);
  vi.spyOn(console, "log").mockImplementation(() => undefined);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const REFUSED = [401, 404, 405];

describe("1,000 strangers", { timeout: 30_000 }, () => {
  it("without a key ask neither D1 nor an object, whatever they name", async () => {
    const tenants = await makeTenants();
    const { callAll, statements, objects } = watchedEdge();
    const answers = await callAll(thousand(tenants, () => null));
    expect(answers.filter((status) => !REFUSED.includes(status))).toEqual([]);
    expect({ statements, objects }).toEqual({ statements: [], objects: [] });
  });

  it("with a mistyped key neither", async () => {
    const tenants = await makeTenants();
    const { callAll, statements, objects } = watchedEdge();
    const mistype = (key: string) => key.slice(0, -1) + (key.endsWith("0") ? "1" : "0");
    const answers = await callAll(thousand(tenants, () => mistype(makeKey())));
    expect(answers.filter((status) => !REFUSED.includes(status))).toEqual([]);
    expect({ statements, objects }).toEqual({ statements: [], objects: [] });
  });

  it("with 1,000 made-up keys ask D1 once each and no object, and when they come again next to nothing", async () => {
    const tenants = await makeTenants();
    const { callAll, statements, objects } = watchedEdge();
    const strangers = thousand(tenants, makeKey);
    const answers = await callAll(strangers);
    expect(answers.filter((status) => !REFUSED.includes(status))).toEqual([]);
    expect(statements.length).toBeLessThanOrEqual(1_000);
    // The routes do check keys.
    expect(statements.length).toBeGreaterThan(800);
    statements.length = 0;
    for (let round = 0; round < 5; round += 1) {
      vi.setSystemTime(Date.now() + 100_000);
      await callAll(strangers);
    }
    expect(statements.length / 5_000).toBeLessThanOrEqual(0.01);
    expect(objects).toEqual([]);
    console.info(`1,000 made-up keys, five times again: ${statements.length} statements`);
  });

  it("with other secrets under ids of keys that are there: the ids are asked for, and no object", async () => {
    const tenants = await makeTenants();
    const genuine = tenants.flatMap((tenant) => [tenant.key, ...tenant.workerKeys]);
    const { callAll, statements, objects } = watchedEdge();
    const strangers = thousand(tenants, (n) => forge(genuine[n % genuine.length] ?? ""));
    const answers = await callAll(strangers);
    expect(answers.filter((status) => !REFUSED.includes(status))).toEqual([]);
    expect(statements.length).toBeLessThanOrEqual(2 * genuine.length * 50);
    statements.length = 0;
    await callAll(strangers);
    expect(statements).toEqual([]);
    expect(objects).toEqual([]);
  });

  it("with another secret do not even ask the broker of a key that this isolate has seen", async () => {
    const [tenant] = await makeTenants();
    if (tenant === undefined) throw new Error("there is no tenant");
    const { call, statements, objects } = watchedEdge();
    const url = `https://waybill.test/v2/${tenant.endpointId}/ping/w1?gpu=L4`;
    const [key = ""] = tenant.workerKeys;
    expect((await call({ method: "GET", url, key })).status).toBe(200);
    vi.setSystemTime(Date.now() + 60_000);
    statements.length = 0;
    objects.length = 0;
    for (let n = 0; n < 10; n += 1) expect((await call({ method: "GET", url, key: forge(key) })).status).toBe(401);
    expect({ statements, objects }).toEqual({ statements: [], objects: [] });
    expect((await call({ method: "GET", url, key })).status).toBe(200);
    // The broker vouches for its keys: D1 is not asked again.
    expect(statements).toEqual([]);
  });
});

describe("an address with many failures", () => {
  const LIMIT = 100;
  let lastAddress = 0;
  const newAddress = () => {
    lastAddress += 1;
    return `203.0.113.${lastAddress}`;
  };
  const HEALTH = (tenant: TestTenant) => `https://waybill.test/v2/${tenant.endpointId}/health`;
  const PING = (tenant: TestTenant) => `https://waybill.test/v2/${tenant.endpointId}/ping/w1?gpu=L4`;

  /** As the platform counts, in one window that never ends: the real one may end in the middle of a test. */
  function limiter(): Partial<Env> {
    const failures = new Map<string, number>();
    const limit = async ({ key }: { key: string }) => {
      failures.set(key, (failures.get(key) ?? 0) + 1);
      return { success: (failures.get(key) ?? 0) <= LIMIT };
    };
    return { AUTH_FAILURES: { limit } };
  }

  /** Fails with made-up keys until the address is limited. */
  async function exhaust({ call }: ReturnType<typeof watchedEdge>, url: string, addressOf: (n: number) => string) {
    const statuses: number[] = [];
    for (let n = 0; n < LIMIT + 50; n += 1) {
      statuses.push((await call({ method: "GET", url, key: makeKey(), address: addressOf(n) })).status);
    }
    return statuses;
  }

  it.each(["jobs", "workers"])("is refused with 429 before D1 is asked: routes of %s", async (family) => {
    const [tenant] = await makeTenants();
    if (tenant === undefined) throw new Error("there is no tenant");
    const edge = watchedEdge(limiter());
    const address = newAddress();
    const url = family === "jobs" ? HEALTH(tenant) : PING(tenant);
    const statuses = await exhaust(edge, url, () => address);
    expect(statuses).toEqual([...Array(LIMIT).fill(401), ...Array(50).fill(429)]);
    // The last one was looked up before it was counted.
    expect(edge.statements.length).toBeLessThanOrEqual(LIMIT + 1);
    const refused = await edge.call({ method: "GET", url, key: null, address });
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("10");
    expect(await refused.json()).toMatchObject({ error: "too many failures" });
    expect((await edge.call({ method: "GET", url, key: makeKey(), address: newAddress() })).status).toBe(401);
    expect(edge.objects).toEqual([]);
  });

  it("is not refused for a key that was seen here, and one that was not is looked up a second after the last", async () => {
    const [seen, unseen] = await makeTenants();
    if (seen === undefined || unseen === undefined) throw new Error("there is no tenant");
    const edge = watchedEdge(limiter());
    const address = newAddress();
    expect((await edge.call({ method: "GET", url: HEALTH(seen), key: seen.key, address })).status).toBe(200);
    expect((await edge.call({ method: "GET", url: PING(seen), key: seen.workerKeys[0] ?? "", address })).status).toBe(
      200,
    );
    await exhaust(edge, HEALTH(seen), () => address);
    for (const [url, key = ""] of [
      [HEALTH(seen), seen.key],
      [PING(seen), seen.workerKeys[0]],
    ] as const) {
      vi.setSystemTime(Date.now() + 40_000);
      await exhaust(edge, HEALTH(seen), () => address);
      // Its entry is stale by now, and is asked for anew.
      expect((await edge.call({ method: "GET", url, key, address })).status).toBe(200);
    }
    const fresh = { method: "GET", url: PING(unseen), key: unseen.workerKeys[0] ?? "", address };
    expect((await edge.call(fresh)).status).toBe(429);
    vi.setSystemTime(Date.now() + 1_000);
    expect((await edge.call(fresh)).status).toBe(200);
  });

  it("keeps a valid key that is new here out while made-up ones take each turn, and no key that was seen", async () => {
    const [seen, unseen] = await makeTenants();
    if (seen === undefined || unseen === undefined) throw new Error("there is no tenant");
    const edge = watchedEdge(limiter());
    const address = newAddress();
    const known = { method: "GET", url: HEALTH(seen), key: seen.key, address };
    const fresh = { method: "GET", url: PING(unseen), key: unseen.workerKeys[0] ?? "", address };
    expect((await edge.call(known)).status).toBe(200);
    await exhaust(edge, HEALTH(seen), () => address);
    for (let second = 0; second < 60; second += 1) {
      vi.setSystemTime(Date.now() + 1_000);
      edge.statements.length = 0;
      expect((await edge.call({ ...known, key: makeKey() })).status).toBe(429);
      const refused = await edge.call(fresh);
      expect(refused.status).toBe(429);
      expect(refused.headers.get("retry-after")).toMatch(/^([1-9]|10)$/);
      expect((await edge.call({ ...known, key: makeKey() })).status).toBe(429);
      expect(edge.statements.length).toBeLessThanOrEqual(1);
      expect((await edge.call(known)).status).toBe(200);
    }
    vi.setSystemTime(Date.now() + 1_000);
    expect((await edge.call(fresh)).status).toBe(200);
    expect((await edge.call({ ...known, key: makeKey() })).status).toBe(429);
    expect((await edge.call(fresh)).status).toBe(200);
  });

  it("is counted by the binding of wrangler.toml: 100 in 60 s", async () => {
    const [tenant] = await makeTenants();
    if (tenant === undefined) throw new Error("there is no tenant");
    const edge = watchedEdge();
    const address = newAddress();
    // Its windows begin by the clock on the wall, and one may begin in between: of more than two windows' failures one is too many.
    const stranger = { method: "GET", url: HEALTH(tenant), key: null, address };
    const statuses = await edge.callAll(Array(2 * LIMIT + 1).fill(stranger));
    expect(statuses.slice(0, LIMIT)).toEqual(Array(LIMIT).fill(401));
    expect(statuses).toContain(429);
  });

  it("of IPv6 is the network: another address of it is no fresh start", async () => {
    const [tenant] = await makeTenants();
    if (tenant === undefined) throw new Error("there is no tenant");
    const statuses = await exhaust(watchedEdge(limiter()), HEALTH(tenant), (n) => `2001:db8:0:7::${n.toString(16)}`);
    expect(statuses.slice(LIMIT)).toEqual(Array(50).fill(429));
  });

  it("is counted again after 10 s, and free when the platform says so", async () => {
    const [tenant] = await makeTenants();
    if (tenant === undefined) throw new Error("there is no tenant");
    const limit = vi.fn(async () => ({ success: false }));
    const edge = watchedEdge({ AUTH_FAILURES: { limit } });
    const stranger = { method: "GET", url: HEALTH(tenant), key: null, address: newAddress() };
    for (let n = 0; n < 5; n += 1) expect((await edge.call(stranger)).status).toBe(429);
    expect(limit).toHaveBeenCalledTimes(1);
    vi.setSystemTime(Date.now() + 10_000);
    limit.mockResolvedValue({ success: true });
    expect((await edge.call(stranger)).status).toBe(401);
  });

  it.each([
    ["where the platform does not say whose call it is", undefined, {}],
    ["where the binding is missing, as before", "198.51.100.1", { AUTH_FAILURES: undefined }],
    [
      "where the platform fails to count",
      "198.51.100.2",
      { AUTH_FAILURES: { limit: () => Promise.reject(new Error("not now")) } },
    ],
  ])("is not limited %s", async (_, address, bindings) => {
    const [tenant] = await makeTenants();
    if (tenant === undefined) throw new Error("there is no tenant");
    const { callAll } = watchedEdge(bindings as Partial<Env>);
    const stranger = { method: "GET", url: HEALTH(tenant), key: null, ...(address === undefined ? {} : { address }) };
    expect(new Set(await callAll(Array(LIMIT + 50).fill(stranger)))).toEqual(new Set([401]));
  });
});
