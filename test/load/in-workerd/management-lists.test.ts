// A large deployment: 10,000 endpoints, 1,000 tenants and as many keys. The first page of every list of the management API
// comes at once, and reads rows in proportion to the page; but for sums, which read what they sum.
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { MANAGEMENT_ROUTES } from "../../../src/http/routes.ts";
import { metered } from "../../support/d1.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";

const TENANTS = 1_000;
const ENDPOINTS = 10_000;
/** All that one tenant of them has; the rest is spread over the others. */
const OF_ONE_TENANT = 5_000;
const LINES = 100_000;
const FIRST_PAGE_MAX_MS = 100;
/**
 * The sums of a bill take two thirds of that on a quiet core, and have taken 62 and 133 ms within minutes on a shared one: five calls in a
 * row can all fall into one slow second, so one that was slow is asked again for some seconds.
 */
const SUM_CALLS_MAX = 50;
const PAGE = 50;
/** RunPod's clients ask for no page: they get a thousand at once. */
const RUNPOD_PAGE = 1_000;
/** For each row of a page an index and a table are read; a few more for the key, and the row that shows that there are more. */
const rowsReadMax = (page: number): number => 4 * page + 20;
/** A sum reads what it sums, and the groups that it makes of it. */
const SUM_ROWS_READ_MAX = 2 * LINES + rowsReadMax(PAGE);

const TEMPLATE = {
  image: "i",
  args: "",
  disk: 10,
  ports: [],
  registry: null,
  mounts: {},
  category: "NVIDIA",
  serverless: true,
  public: false,
  startSsh: false,
  startJupyter: false,
  allowedCudaVersions: [],
};

/** Runs SQL with a table `n(i)` of the numbers from 1 to `count`. */
async function fill(count: number, sql: string, ...values: string[]): Promise<void> {
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;
  await env.DB.prepare(sql.replace("/*n*/", numbers))
    .bind(...values)
    .run();
}

let operator: TestTenant;
let busy: TestTenant;

beforeAll(async () => {
  operator = await makeTenant({ scopes: ["jobs", "manage", "admin"] });
  busy = await makeTenant({ scopes: ["jobs", "manage"] });
  await fill(
    TENANTS,
    `/*n*/ INSERT INTO tenants (id, name, waiting_max, sealed_webhook_secret, created_at) SELECT 'tn-' || i, 'T' || i, 1, '', i FROM n`,
  );
  await fill(
    ENDPOINTS,
    `/*n*/ INSERT INTO endpoints (id, tenant_id, slug, created_at)
     SELECT printf('%016x', i), CASE WHEN i <= ${OF_ONE_TENANT} THEN ?1 ELSE 'tn-' || (1 + i % ${TENANTS}) END, 'many-' || i, i FROM n`,
    busy.tenantId,
  );
  await fill(
    ENDPOINTS,
    `/*n*/ INSERT INTO providers (id, tenant_id, name, kind, created_at)
     SELECT 'prv-' || i, CASE WHEN i <= 20 THEN ?1 ELSE 'tn-' || (1 + i % ${TENANTS}) END, 'P', 'none', i FROM n`,
    busy.tenantId,
  );
  const digest = "0".repeat(64);
  await fill(
    ENDPOINTS,
    `/*n*/ INSERT INTO api_keys (id, tenant_id, digest, scopes, name, created_at)
     SELECT 'many' || i, CASE WHEN i <= ${OF_ONE_TENANT} THEN ?1 ELSE 'tn-' || (1 + i % ${TENANTS}) END, ?2, 'jobs', 'k', i FROM n`,
    busy.tenantId,
    digest,
  );
  await fill(
    ENDPOINTS,
    `/*n*/ INSERT INTO audit_lines (tenant_id, at, action, object_id, changes)
     SELECT CASE WHEN i <= ${OF_ONE_TENANT} THEN ?1 ELSE 'tn-' || (1 + i % ${TENANTS}) END, i, 'endpoint.update', 'x', '[]' FROM n`,
    busy.tenantId,
  );
  await fill(
    ENDPOINTS,
    `/*n*/ INSERT INTO templates (id, tenant_id, name, settings, created_at) SELECT 'tpl-' || i, ?1, 'T', ?2, i FROM n`,
    busy.tenantId,
    JSON.stringify(TEMPLATE),
  );
  const nowMs = String(Date.now());
  await fill(
    LINES,
    `/*n*/ INSERT INTO usage_lines (tenant_id, source, seq, endpoint_id, job_id, tier, rate_kind, slots, nanodollars_per_second, seconds,
       amount_nanodollars, started_at, finished_at, billed_ms)
     SELECT ?1, printf('01a22648-a54a-73b4-bd4d-%012d', i), 1, printf('%016x', 1 + i % 50), printf('01a22648-a54a-73b4-bd4d-%012d-u1', i),
       'a4000', 'flex', 1, 160000, 1, 160000, ?2 - i * 1000, ?2 - i * 1000 + 500, 500 FROM n`,
    busy.tenantId,
    nowMs,
  );
  await fill(
    ENDPOINTS,
    `/*n*/ INSERT INTO webhook_dead_letters (tenant_id, webhook_id, endpoint_id, job_id, url, tries, detail, given_up_at, number)
     SELECT ?1, 'msg_' || i, printf('%016x', i), 'j', 'https://receiver.test/', 10, 'x', i, i FROM n`,
    busy.tenantId,
  );
}, 120_000);

/** Lists of D1: those of one endpoint are about its own few rows, its jobs apart (job-list.test.ts). */
const lists = MANAGEMENT_ROUTES.flatMap(({ methods, path, doc }) => {
  const schema = doc?.answers[200]?.schema;
  const isList = schema instanceof z.ZodObject && "pagination" in schema.shape && methods.includes("GET" as never);
  return isList && !path.includes(":") ? [path] : [];
});

describe("the first page of", () => {
  it.each(lists)("%s comes at once", async (path) => {
    const isOwn = path.startsWith("/v1/");
    // What waits is asked of a broker for each entry, so its own page is shorter.
    const limit = takes(path, "limit") && path !== "/v1/depth" ? [`limit=${PAGE}`] : [];
    const asking = (...words: readonly string[]) => (words.length === 0 ? path : `${path}?${words.join("&")}`);
    const calls = [
      [operator.key, asking(...limit, ...(takes(path, "tenant") ? ["tenant=*"] : [])), PAGE],
      [busy.key, isOwn ? asking(...limit) : path, isOwn ? PAGE : RUNPOD_PAGE],
    ] as const;
    for (const [key, asked, page] of calls) {
      if ((await manage(key, "GET", asked)).status === 403) continue;
      await expectAtOnce(key, asked, path === "/v1/usage" ? SUM_ROWS_READ_MAX : rowsReadMax(page));
    }
  });

  it.each(["/v2/billing?lastN=1", "/v2/billing/serverless?bucketSize=day&lastN=30"])("%s comes at once", (asked) =>
    expectAtOnce(busy.key, asked, SUM_ROWS_READ_MAX, SUM_CALLS_MAX),
  );

  it("is asked of more than one list", () => {
    const some = [
      "/v1/endpoints",
      "/v1/providers",
      "/v1/audit",
      "/v2/serverless",
      "/v1/depth",
      "/v1/usage",
      "/v1/webhooks/dead",
    ];
    expect(lists).toEqual(expect.arrayContaining(some));
  });
});

it("a later page of the bill reads rows in proportion to the page", async () => {
  const { pagination } = (await manage(busy.key, "GET", `/v1/usage?limit=${PAGE}`)).body;
  await expectAtOnce(busy.key, `/v1/usage?limit=${PAGE}&cursor=${pagination.nextCursor}`, rowsReadMax(PAGE));
});

/** The best of five calls, because the machine may do something else meanwhile. */
async function expectAtOnce(key: string, asked: string, rowsMax: number, callsMax = 5): Promise<void> {
  const took: number[] = [];
  for (let round = 0; round < 5 || (round < callsMax && Math.min(...took) >= FIRST_PAGE_MAX_MS); round += 1) {
    const startedMs = performance.now();
    const { answer, read } = await metered(() => manage(key, "GET", asked));
    took.push(performance.now() - startedMs);
    expect(answer.status, asked).toBe(200);
    expect(read, asked).toBeLessThanOrEqual(rowsMax);
  }
  console.info(`${asked}: ${Math.min(...took).toFixed(0)} ms`);
  expect(Math.min(...took), asked).toBeLessThan(FIRST_PAGE_MAX_MS);
}

function takes(path: string, parameter: string): boolean {
  const route = MANAGEMENT_ROUTES.find((one) => one.path === path && one.methods.includes("GET" as never));
  return parameter in (route?.doc?.query?.shape ?? {});
}
