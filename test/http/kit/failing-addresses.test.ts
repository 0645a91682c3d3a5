// Whatever way a call fails for want of a valid key, it counts against its address, and beyond the limit it is refused with 429
// in the form of its route. A callback with a wrong signature is none of these: it is 404, and nothing is looked up for it.
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { KEY_RANDOM_BYTES, makeApiKey } from "../../../src/core/access/api-key.ts";
import { createApp } from "../../../src/http/app.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";

const LIMIT = 5;

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

let lastAddress = 0;

/** The statuses of calls from one new address, which the platform lets fail LIMIT times. */
async function statusesOf(calls: number, request: () => Request): Promise<{ statuses: number[]; last: Response }> {
  lastAddress += 1;
  const address = `198.51.100.${lastAddress}`;
  let failures = 0;
  const limit = async () => {
    failures += 1;
    return { success: failures <= LIMIT };
  };
  const app = createApp();
  const statuses: number[] = [];
  let last = new Response();
  for (let call = 0; call < calls; call += 1) {
    const asked = request();
    asked.headers.set("cf-connecting-ip", address);
    const context = createExecutionContext();
    last = await app.fetch(asked, { ...env, AUTH_FAILURES: { limit } }, context);
    await waitOnExecutionContext(context);
    statuses.push(last.status);
  }
  return { statuses, last };
}

function made(): string {
  return makeApiKey(crypto.getRandomValues(new Uint8Array(KEY_RANDOM_BYTES))).key;
}

async function changeKey(key: string, set: string): Promise<string> {
  await env.DB.prepare(`UPDATE api_keys SET ${set} WHERE id = ?`)
    .bind(key.split("_")[2] ?? "")
    .run();
  return key;
}

/** Ways to fail: the key of each call. */
const KEYS: Readonly<Record<string, (tenant: TestTenant) => Promise<() => string | null>>> = {
  "no key": async () => () => null,
  "a text that is no key": async () => () => "not-a-key",
  "a mistyped key":
    async ({ key }) =>
    () =>
      key.slice(0, -1) + (key.endsWith("0") ? "1" : "0"),
  "made-up keys": async () => made,
  "one made-up key": async () => {
    const key = made();
    return () => key;
  },
  "a revoked key": async ({ key }) => {
    await changeKey(key, "revoked_at = 1");
    return () => key;
  },
  "a key that has expired": async ({ key }) => {
    await changeKey(key, "expires_at = 1");
    return () => key;
  },
};

/** One route of each family, with the fields that its refusal has. */
const ROUTES: Readonly<Record<string, readonly [method: string, path: string, shape: object]>> = {
  jobs: ["POST", "/v2/{ep}/run", { error: "too many failures" }],
  flash: ["POST", "/v2/flash/run", { error: "too many failures" }],
  OpenAI: ["GET", "/v2/{ep}/openai/v1/models", { error: { type: "rate_limit_error" } }],
  workers: ["GET", "/v2/{ep}/job-take/w1?gpu=L4&job_in_progress=0", { error: "too many failures" }],
  "load-balanced": ["GET", "/lb/{ep}/x", { error: "too many failures" }],
  "/v1": ["GET", "/v1/me", { title: "Too Many Requests", code: "too_many_failures" }],
  "RunPod's management": ["GET", "/v2/serverless", { title: "Too Many Requests", status: 429 }],
  GraphQL: ["POST", "/graphql", {}],
};

const WAYS = Object.keys(ROUTES).flatMap((family) => Object.keys(KEYS).map((how) => [family, how] as const));

it.each(WAYS)("routes of %s: %s", async (family, how) => {
  const [method, path, shape] = ROUTES[family] ?? ["", "", {}];
  const tenant = await makeTenant({ workerKeys: [{}], kind: family === "load-balanced" ? "load_balancer" : "queue" });
  const [workerKey = ""] = tenant.workerKeys;
  const keyOf = await KEYS[how]?.(family === "workers" ? { ...tenant, key: workerKey } : tenant);
  const { statuses, last } = await statusesOf(LIMIT + 3, () => {
    const key = keyOf?.() ?? null;
    const body = method === "POST" ? { body: '{"query":"{ myself { id } }","input":{}}' } : {};
    const type = { "content-type": "application/json" };
    const headers = new Headers(key === null ? type : { ...type, authorization: `Bearer ${key}` });
    return new Request(`https://waybill.test${path.replace("{ep}", tenant.endpointId)}`, { method, headers, ...body });
  });
  expect(statuses).toEqual([...Array(LIMIT).fill(401), ...Array(3).fill(429)]);
  expect(Number(last.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(await last.json()).toMatchObject(shape);
});
