// Every route of the management API that takes an id, asked for what is one's own, another tenant's, unknown and malformed, by a key with
// each scope alone. The table below has every cell; a route without a row fails the test.
import { env, exports } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { keepDeadLetter } from "../../../src/db/dead-letters.ts";
import { insertProvider } from "../../../src/db/providers.ts";
import { runAll } from "../../../src/db/statement.ts";
import { deadBodyKey } from "../../../src/dispatch/webhook-body.ts";
import { MANAGEMENT_ROUTES } from "../../../src/http/routes.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

const SCOPES = ["jobs", "manage", "admin", "worker"] as const;
const WHOSE = ["own", "foreign", "unknown", "malformed"] as const;
type Scope = (typeof SCOPES)[number];
type Whose = (typeof WHOSE)[number];

/** Status by scope, for one's own; "ok" stands for the status of the row. */
type ByScope = Readonly<Record<Scope, "ok" | 403 | 404>>;
type Cells = Readonly<Record<Whose, ByScope>>;

/** Of /v1: the scopes beside admin that may call. Admin reaches what is anybody's, and knows no more of what is unknown. */
function own(...scopes: readonly ("jobs" | "manage")[]): Cells {
  const of = (found: "ok" | 404, foundByAdmin: "ok" | 404): ByScope => ({
    jobs: scopes.includes("jobs") ? found : 403,
    manage: scopes.includes("manage") ? found : 403,
    admin: foundByAdmin,
    worker: 403,
  });
  return { own: of("ok", "ok"), foreign: of(404, "ok"), unknown: of(404, 404), malformed: of(404, 404) };
}

/** Of a thing within one's own endpoint: another tenant's is not in it, also for admin. */
function within(...scopes: readonly ("jobs" | "manage")[]): Cells {
  const cells = own(...scopes);
  return { ...cells, foreign: cells.unknown };
}

/** Of RunPod's plane, which is about one's own alone and does not know the scope admin. */
function runpod(...scopes: readonly ("jobs" | "manage")[]): Cells {
  const of = (found: "ok" | 404): ByScope => ({
    jobs: scopes.includes("jobs") ? found : 403,
    manage: scopes.includes("manage") ? found : 403,
    admin: 403,
    worker: 403,
  });
  return { own: of("ok"), foreign: of(404), unknown: of(404), malformed: of(404) };
}

/** Of the operator alone. */
const operator: Cells = {
  own: { jobs: 403, manage: 403, admin: "ok", worker: 403 },
  foreign: { jobs: 403, manage: 403, admin: "ok", worker: 403 },
  unknown: { jobs: 403, manage: 403, admin: 404, worker: 403 },
  malformed: { jobs: 403, manage: 403, admin: 404, worker: 403 },
};

interface Row {
  /** By the name of the parameter. */
  readonly cells: Readonly<Record<string, Cells>>;
  readonly ok: number;
  readonly body?: object;
  /** The answer is a stream that stays open. */
  readonly isStream?: true;
}

const UPSTREAM = { url: "http://127.0.0.1:9/", dialect: "http", tier: "l4" };
const WORKER_KEY = { tier: "l4" };

const TABLE: Readonly<Record<string, Row>> = {
  "GET /v2/serverless/:endpoint": { cells: { endpoint: runpod("jobs", "manage") }, ok: 200 },
  "PATCH /v2/serverless/:endpoint": { cells: { endpoint: runpod("manage") }, ok: 200, body: { name: "n" } },
  "DELETE /v2/serverless/:endpoint": { cells: { endpoint: runpod("manage") }, ok: 204 },
  "GET /v2/serverless/:endpoint/releases": { cells: { endpoint: runpod("jobs", "manage") }, ok: 200 },
  "GET /v2/serverless/:endpoint/workers": { cells: { endpoint: runpod("jobs", "manage") }, ok: 200 },
  "GET /v2/serverless/:endpoint/workers/:worker/logs": {
    cells: { endpoint: runpod("jobs", "manage"), worker: runpod("jobs", "manage") },
    ok: 200,
    isStream: true,
  },
  "GET /v2/templates/:template": { cells: { template: runpod("jobs", "manage") }, ok: 200 },
  "PATCH /v2/templates/:template": { cells: { template: runpod("manage") }, ok: 200, body: { name: "n" } },
  "DELETE /v2/templates/:template": { cells: { template: runpod("manage") }, ok: 204 },
  "GET /v1/endpoints/:endpoint": { cells: { endpoint: own("jobs", "manage") }, ok: 200 },
  "PATCH /v1/endpoints/:endpoint": { cells: { endpoint: own("manage") }, ok: 200, body: { name: "n" } },
  "DELETE /v1/endpoints/:endpoint": { cells: { endpoint: own("manage") }, ok: 200 },
  // For a key's own jobs, which an operator's has none of.
  "POST /v1/endpoints/:endpoint/tokens": { cells: { endpoint: runpod("jobs", "manage") }, ok: 201, body: {} },
  "GET /v1/endpoints/:endpoint/jobs": { cells: { endpoint: own("jobs", "manage") }, ok: 200 },
  "POST /v1/endpoints/:endpoint/jobs/cancel": { cells: { endpoint: own("jobs") }, ok: 200, body: {} },
  "POST /v1/endpoints/:endpoint/jobs/retry": { cells: { endpoint: own("jobs") }, ok: 200, body: {} },
  "GET /v1/endpoints/:endpoint/deliveries": { cells: { endpoint: own("jobs", "manage") }, ok: 200 },
  "GET /v1/endpoints/:endpoint/upstreams": { cells: { endpoint: own("manage") }, ok: 200 },
  "POST /v1/endpoints/:endpoint/upstreams": { cells: { endpoint: own("manage") }, ok: 201, body: UPSTREAM },
  "GET /v1/endpoints/:endpoint/upstreams/:upstream": {
    cells: { endpoint: own("manage"), upstream: within("manage") },
    ok: 200,
  },
  "PATCH /v1/endpoints/:endpoint/upstreams/:upstream": {
    cells: { endpoint: own("manage"), upstream: within("manage") },
    ok: 200,
    body: { name: "n" },
  },
  "DELETE /v1/endpoints/:endpoint/upstreams/:upstream": {
    cells: { endpoint: own("manage"), upstream: within("manage") },
    ok: 200,
  },
  "POST /v1/endpoints/:endpoint/upstreams/:upstream/test": {
    cells: { endpoint: own("manage"), upstream: within("manage") },
    ok: 200,
  },
  "GET /v1/providers/:provider": { cells: { provider: own("manage") }, ok: 200 },
  "PATCH /v1/providers/:provider": { cells: { provider: own("manage") }, ok: 200, body: { name: "n" } },
  "DELETE /v1/providers/:provider": { cells: { provider: own("manage") }, ok: 200 },
  "GET /v1/endpoints/:endpoint/worker-keys": { cells: { endpoint: own("manage") }, ok: 200 },
  "POST /v1/endpoints/:endpoint/worker-keys": { cells: { endpoint: own("manage") }, ok: 201, body: WORKER_KEY },
  "GET /v1/endpoints/:endpoint/worker-keys/:key": {
    cells: { endpoint: own("manage"), key: within("manage") },
    ok: 200,
  },
  "DELETE /v1/endpoints/:endpoint/worker-keys/:key": {
    cells: { endpoint: own("manage"), key: within("manage") },
    ok: 200,
  },
  "POST /v1/endpoints/:endpoint/worker-env": { cells: { endpoint: own("manage") }, ok: 201, body: WORKER_KEY },
  "GET /v1/endpoints/:endpoint/workers": { cells: { endpoint: own("jobs", "manage") }, ok: 200 },
  "POST /v1/endpoints/:endpoint/workers/:worker/drain": {
    cells: { endpoint: own("manage"), worker: within("manage") },
    ok: 200,
  },
  "POST /v1/endpoints/:endpoint/workers/:worker/resume": {
    cells: { endpoint: own("manage"), worker: within("manage") },
    ok: 200,
  },
  "GET /v1/endpoints/:endpoint/scaling": { cells: { endpoint: own("jobs", "manage") }, ok: 200 },
  "GET /v1/endpoints/:endpoint/timing": { cells: { endpoint: own("jobs", "manage") }, ok: 200 },
  // The endpoint is found, and has no fleet.
  "POST /v1/endpoints/:endpoint/prewarm": { cells: { endpoint: own("manage") }, ok: 409, body: { workers: 1 } },
  "GET /v1/endpoints/:endpoint/active-workers": { cells: { endpoint: own("jobs", "manage") }, ok: 200 },
  "GET /v1/endpoints/:endpoint/input-schema": { cells: { endpoint: own("jobs", "manage") }, ok: 200 },
  "GET /v1/keys/:key": { cells: { key: own("manage") }, ok: 200 },
  "PATCH /v1/keys/:key": { cells: { key: own("manage") }, ok: 200, body: { name: "n" } },
  "POST /v1/keys/:key/rotate": { cells: { key: own("manage") }, ok: 201, body: {} },
  "DELETE /v1/keys/:key": { cells: { key: own("manage") }, ok: 200 },
  "GET /v1/tenants/:tenant": { cells: { tenant: own("manage") }, ok: 200 },
  "PATCH /v1/tenants/:tenant": { cells: { tenant: operator }, ok: 200, body: { waitingMax: 9 } },
  "GET /v1/jobs/:id": { cells: { id: within("jobs", "manage") }, ok: 200 },
  "POST /v1/webhooks/dead/:webhook/redeliver": { cells: { webhook: within("manage") }, ok: 200 },
};

/** Entries of a catalogue are nobody's. */
const PUBLIC = ["/v2/catalog/gpus/:id", "/v2/catalog/cpus/:id", "/v2/catalog/datacenters/:id"];

const named = (method: string, path: string): string => `${method} ${path}`;
const routes = MANAGEMENT_ROUTES.flatMap(({ methods, path }) =>
  methods === "ALL" || !path.includes(":") || PUBLIC.includes(path) ? [] : methods.map((method) => named(method, path)),
);

type Things = Readonly<Record<string, string>>;

/** One of each thing that an id can name, of a tenant of its own or of this one. `all`: a key that may do everything. */
async function makeThings(tenantId: string, all: string): Promise<Things> {
  const post = async (path: string, body: object) => (await manage(all, "POST", path, body)).body;
  const endpoint = await post("/v1/endpoints", { slug: `slug-${crypto.randomUUID()}`, tenantId });
  const base = `/v1/endpoints/${endpoint.id}`;
  const [upstream, workerKey, key, template] = await Promise.all([
    post(`${base}/upstreams`, { ...UPSTREAM, slots: 1 }),
    post(`${base}/worker-keys`, WORKER_KEY),
    post("/v1/keys", { name: "thing", scopes: ["jobs"], tenantId }),
    post("/v2/templates", { name: "t", image: "i" }),
  ]);
  const provider = await addProvider(tenantId);
  const webhook = `msg_${crypto.randomUUID()}`;
  await env.PAYLOADS.put(deadBodyKey(tenantId, webhook), "{}");
  const letter = { webhookId: webhook, endpointId: endpoint.id, jobId: "j", url: "http://hook.test/", tries: 1 };
  await keepDeadLetter(env.DB, tenantId, { ...letter, detail: "x", givenUpAtMs: Date.now() }, Date.now());
  const headers = { authorization: all, "content-type": "application/json" };
  const url = `https://waybill.test/v2/${endpoint.id}/run`;
  const run = await exports.default.fetch(url, { method: "POST", headers, body: '{"input":{}}' });
  const { id }: { id: string } = await run.json();
  const worker = await startWorker(endpoint.id, workerKey.key);
  const ids = { endpoint: endpoint.id, upstream: upstream.id, template: template.id, webhook, id, tenant: tenantId };
  return { ...ids, worker, provider, key: key.id, workerKey: workerKey.id, workerKeyText: workerKey.key };
}

/** Written by the statement, because the tenants of this test get more than one may have. */
async function addProvider(tenantId: string): Promise<string> {
  const id = `prv-${crypto.randomUUID()}`;
  const offers = [{ gpuTypeId: "NVIDIA L4", priceNanodollarsPerHour: 1 }];
  const plain = { name: "p", kind: "none" as const, url: null, sealedCredential: null, isDefault: false };
  await runAll(env.DB, [insertProvider({ id, tenantId, ...plain, offers, pricedByOperator: false, createdAtMs: 1 })]);
  return id;
}

/** A pulling worker that has asked once. */
async function startWorker(endpointId: string, key: string): Promise<string> {
  const worker = `w-${crypto.randomUUID()}`;
  const url = `https://waybill.test/v2/${endpointId}/ping/${worker}?gpu=L4&runpod_version=1.12.0`;
  await exports.default.fetch(url, { headers: { authorization: key } });
  return worker;
}

const UNKNOWN: Things = {
  endpoint: "0123456789abcdef",
  upstream: "up-00000000-0000-4000-8000-000000000000",
  template: "tpl-00000000",
  provider: "prv-00000000-0000-4000-8000-000000000000",
  webhook: "msg_none",
  id: "019ac000-0000-7000-8000-000000000000-u1",
  tenant: "ten-00000000-0000-4000-8000-000000000000",
  worker: "w-none",
  key: "AAAAAAAAAAAA",
};

let keys: Readonly<Record<Scope, string>>;
let mine: { readonly tenantId: string; readonly key: string };
let theirs: { readonly tenantId: string; readonly key: string };

beforeAll(async () => {
  answerUpstreams(async () => Response.json({}));
  [mine, theirs] = await Promise.all([
    makeTenant({ scopes: ["jobs", "manage", "admin"] }),
    makeTenant({ scopes: ["jobs", "manage", "admin"] }),
  ]);
  const make = async (scope: string) =>
    (await manage(mine.key, "POST", "/v1/keys", { name: scope, scopes: [scope] })).body.key;
  const { workerKeyText = "" } = await makeThings(mine.tenantId, mine.key);
  const [jobs, only, admin] = [await make("jobs"), await make("manage"), await make("admin")];
  keys = { jobs, manage: only, admin, worker: workerKeyText };
});
afterAll(() => vi.restoreAllMocks());

const isWorkerKeyPath = (path: string): boolean => path.includes("/worker-keys/");
/** The value of a parameter: keys of workers and of tenants have paths of the same parameter's name. */
const idOf = (things: Things, name: string, path: string): string =>
  things[name === "key" && isWorkerKeyPath(path) ? "workerKey" : name] ?? "";

function fillPath(path: string, param: string, whose: Whose, own: Things, foreign: Things): string {
  const names = path
    .split("/")
    .filter((part) => part.startsWith(":"))
    .map((part) => part.slice(1));
  // The things within another tenant's endpoint are asked for under it.
  const isOuter = param === names[0];
  return path.replaceAll(/:(\w+)/g, (_, name: string) => {
    const others = isOuter && whose === "foreign" ? foreign : own;
    if (name !== param) return idOf(others, name, path);
    if (whose === "malformed") return "no%20such%20id!";
    return encodeURIComponent(
      whose === "unknown" ? (UNKNOWN[name] ?? "") : idOf(whose === "own" ? own : foreign, name, path),
    );
  });
}

async function ask(scope: Scope, route: string, path: string, row: Row, more: Readonly<Record<string, string>> = {}) {
  const [method = ""] = route.split(" ");
  const headers = {
    ...more,
    authorization: keys[scope],
    ...(row.body === undefined ? {} : { "content-type": "application/json" }),
  };
  const body = row.body === undefined ? null : JSON.stringify(row.body);
  const response = await exports.default.fetch(`https://waybill.test${path}`, { method, headers, body });
  if (row.isStream === true && response.status === row.ok) {
    await response.body?.cancel();
    return { status: response.status, text: "" };
  }
  return { status: response.status, text: await response.text() };
}

const changes = MANAGEMENT_ROUTES.flatMap(({ methods, path, doc }) =>
  methods !== "ALL" && path.includes(":") && doc?.kind === "changes" ? methods.map((one) => named(one, path)) : [],
);

/** Calls after which what they are about is gone. */
const ENDS = /^DELETE |\/rotate$|\/redeliver$/;

function makeBoth(): Promise<[Things, Things]> {
  return Promise.all([makeThings(mine.tenantId, mine.key), makeThings(theirs.tenantId, theirs.key)]);
}

describe("the matrix of routes, owners and scopes", { timeout: 60_000 }, () => {
  it("has a row for every route that takes an id, and for no other", () => {
    expect(Object.keys(TABLE).sort()).toEqual([...routes].sort());
    for (const [route, { cells }] of Object.entries(TABLE)) {
      const names = [...route.matchAll(/:(\w+)/g)].map(([, name]) => name);
      expect(Object.keys(cells).sort(), route).toEqual(names.sort());
    }
  });

  it.each(Object.keys(TABLE))("%s", async (route) => {
    const row = TABLE[route];
    if (row === undefined) throw new Error("no row");
    const [, path = ""] = route.split(" ");
    let [own, foreign] = await makeBoth();
    for (const [param, cells] of Object.entries(row.cells)) {
      for (const scope of SCOPES) {
        const refused = new Map<Whose, string>();
        for (const whose of WHOSE) {
          const answer = await ask(scope, route, fillPath(path, param, whose, own, foreign), row);
          const wanted = cells[whose][scope];
          const cell = `${route} with :${param} ${whose} by ${scope}: ${answer.text}`;
          expect(answer.status, cell).toBe(wanted === "ok" ? row.ok : wanted);
          if (wanted === 404) refused.set(whose, answer.text);
          if (wanted === "ok" && ENDS.test(route)) [own, foreign] = await makeBoth();
        }
        expect(new Set(refused.values()).size, `${route}: one text for all that is not there`).toBeLessThanOrEqual(1);
      }
    }
  });
});

describe("a change that expects another version than there is", () => {
  it.each(changes)("%s is refused with 412, and changes nothing", async (route) => {
    const row = TABLE[route];
    if (row === undefined) throw new Error("no row");
    const [, path = ""] = route.split(" ");
    const own = await makeThings(mine.tenantId, mine.key);
    const filled = fillPath(path, "", "own", own, own);
    const [scope] = SCOPES.filter((one) => Object.values(row.cells).every((cells) => cells.own[one] === "ok"));
    if (scope === undefined) throw new Error("nobody may call it");
    const lines = async () => (await manage(mine.key, "GET", "/v1/audit?limit=1")).body.lines[0]?.number;
    const before = await lines();
    const refused = await ask(scope, route, filled, row, { "if-match": '"999"' });
    expect(refused.status, refused.text).toBe(412);
    expect(await lines()).toBe(before);
    expect((await ask(scope, route, filled, row)).status).toBe(row.ok);
  });
});
