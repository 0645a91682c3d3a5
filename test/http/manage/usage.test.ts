// What a tenant sees of its bill and of its lost webhooks.
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import type { AccountApi, UsageLine } from "../../../src/contract/usage.ts";
import { keepDeadLetter } from "../../../src/db/dead-letters.ts";
import { writeUsage } from "../../../src/db/usage.ts";
import { createApp } from "../../../src/http/app.ts";
import { breakD1 } from "../../support/d1.ts";
import { checkAnswer } from "../../support/manage.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";
import { usageLine } from "../../support/usage-line.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

async function get(tenant: TestTenant, path: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const request = new Request(`https://waybill.test${path}`, { headers: { authorization: `Bearer ${tenant.key}` } });
  const response = await createApp().fetch(request, env, createExecutionContext());
  const { status, headers } = response;
  const body: Record<string, unknown> = await response.json();
  checkAnswer("GET", path, { status, headers, body });
  return { status, body };
}

function line(endpointId: string, number: number, change: Partial<UsageLine> = {}): UsageLine {
  const source = `0193a0f2-7b1c-7def-8a11-${String(number).padStart(12, "0")}`;
  const startedAtMs = number * 1_000;
  return usageLine({ source, endpointId, startedAtMs, finishedAtMs: startedAtMs + 2_000, ...change });
}

const pageSchema = z.looseObject({
  pagination: z.object({ hasNextPage: z.boolean(), nextCursor: z.string().nullable() }),
});

/** Reads a list by pages of one entry, to its end. */
async function readAll(tenant: TestTenant, path: string, name: string) {
  const pages: Record<string, unknown>[] = [];
  for (let query = "?limit=1"; query !== ""; ) {
    const page = pageSchema.parse((await get(tenant, `${path}${query}`)).body);
    const { hasNextPage, nextCursor } = page.pagination;
    pages.push(page);
    query = hasNextPage ? `?limit=1&cursor=${nextCursor}` : "";
  }
  return { pages, shown: pages.flatMap((page) => page[name]) };
}

/** Three jobs, the first with two attempts. */
async function billed(): Promise<TestTenant> {
  const tenant = await makeTenant();
  const at = (number: number, change: Partial<UsageLine> = {}) => line(tenant.endpointId, number, change);
  const lines = [at(1), at(1, { seq: 2 }), at(2), at(3, { endpointId: "ep-elsewhere" })];
  await writeUsage(env.DB, tenant.tenantId, "broker", 4, lines);
  return tenant;
}

describe("GET /v1/usage", () => {
  it("shows each line with exact money, newest job first, and the sum", async () => {
    const tenant = await makeTenant();
    await writeUsage(env.DB, tenant.tenantId, "broker", 1, [line(tenant.endpointId, 7)]);
    expect(await get(tenant, "/v1/usage")).toEqual({
      status: 200,
      body: {
        lines: [
          {
            jobId: "0193a0f2-7b1c-7def-8a11-000000000007-u1",
            endpointId: tenant.endpointId,
            attempt: 1,
            billedMs: 2_000,
            seconds: 2,
            tier: "a4000",
            rateKind: "flex",
            slots: 1,
            nanodollarsPerSecond: 160_000,
            amountNanodollars: 320_000,
            amountDollars: "0.000320000",
            startedAt: 7_000,
            finishedAt: 9_000,
          },
        ],
        totalNanodollars: 320_000,
        totalDollars: "0.000320000",
        pagination: { hasNextPage: false, nextCursor: null },
      },
    });
  });

  it.each([
    ["", 4, 1_280_000],
    ["?job=0193a0f2-7b1c-7def-8a11-000000000001-u1", 2, 640_000],
    ["?job=sync-0193a0f2-7b1c-7def-8a11-000000000002-u1", 1, 320_000],
    ["?endpoint=ep-elsewhere", 1, 320_000],
    ["?from=4000", 2, 640_000],
    ["?to=4000", 2, 640_000],
    ["?from=4000&to=5000", 1, 320_000],
  ])("narrows its lines and the sum by %s", async (query, count, total) => {
    const { status, body } = await get(await billed(), `/v1/usage${query}`);
    expect(status).toBe(200);
    expect(body.lines).toHaveLength(count);
    expect(body.totalNanodollars).toBe(total);
  });

  it("takes the slug of an endpoint for its id", async () => {
    const tenant = await billed();
    expect((await get(tenant, `/v1/usage?endpoint=${tenant.slug}`)).body.lines).toHaveLength(3);
  });

  it("sums all that match, beyond the lines that it shows", async () => {
    const { body } = await get(await billed(), "/v1/usage?limit=1");
    expect(body.lines).toMatchObject([{ jobId: "0193a0f2-7b1c-7def-8a11-000000000003-u1" }]);
    expect(body.totalNanodollars).toBe(1_280_000);
  });

  it("is read page by page, newest job first, each line once, with the sum on the first page", async () => {
    const tenant = await billed();
    const { lines: all } = (await get(tenant, "/v1/usage")).body;
    const { shown, pages } = await readAll(tenant, "/v1/usage", "lines");
    expect(pages.map((page) => page.totalNanodollars)).toEqual([1_280_000, undefined, undefined, undefined]);
    expect(shown).toEqual(all);
    expect(shown).toHaveLength(4);
    for (const cursor of ["x", btoa("[1]"), btoa('["a"]')])
      expect(JSON.stringify((await get(tenant, `/v1/usage?cursor=${cursor}`)).body)).toContain("?cursor");
  });

  it("shows nothing of another tenant", async () => {
    await billed();
    const stranger = await makeTenant();
    expect((await get(stranger, "/v1/usage")).body).toMatchObject({ lines: [], totalNanodollars: 0 });
  });

  it("says so, instead of rounding, when the sum is beyond what JSON numbers hold", async () => {
    const tenant = await makeTenant();
    const amountNanodollars = Number.MAX_SAFE_INTEGER;
    const lines = [1, 2].map((number) => line(tenant.endpointId, number, { amountNanodollars }));
    await writeUsage(env.DB, tenant.tenantId, "broker", 2, lines);
    const { status, body } = await get(tenant, "/v1/usage");
    expect(status).toBe(400);
    expect(JSON.stringify(body)).toContain("18014398509481982");
    expect((await get(tenant, "/v1/usage?limit=1&from=4000")).body.totalDollars).toBe("9007199.254740991");
  });

  it.each(["job=x", "from=-1", "to=tomorrow", "limit=0", "limit=1001", "limit=1.5", "limit=1&limit=2", "speed=9"])(
    "names the parameter that is wrong in ?%s",
    async (query) => {
      const { status, body } = await get(await makeTenant(), `/v1/usage?${query}`);
      expect(status).toBe(400);
      expect(JSON.stringify(body)).toContain(`?${query.split("=")[0]}`);
    },
  );

  it("passes over a value without a name, as it does over an empty parameter", async () => {
    expect(await get(await billed(), "/v1/usage?=1&&=2&limit=2")).toMatchObject({ status: 200 });
  });

  it("is 503, not 500, while D1 is down", async () => {
    const tenant = await makeTenant();
    await get(tenant, "/v1/usage");
    vi.spyOn(env.DB, "batch").mockRejectedValue(new Error("D1_ERROR: D1 DB is overloaded"));
    expect((await get(tenant, "/v1/usage")).status).toBe(503);
  });

  it.each([
    ["GET", "/v1/depth", undefined],
    ["POST", "/v1/admin/configure", '{"endpointId":"ep"}'],
  ])("and so is %s %s, which no cache answers either", async (method, path, body) => {
    const tenant = await makeTenant({ scopes: ["jobs", "admin"] });
    const headers = { authorization: `Bearer ${tenant.key}` };
    const init = { method, headers, ...(body === undefined ? {} : { body }) };
    const ask = () =>
      createApp().fetch(new Request(`https://waybill.test${path}`, init), env, createExecutionContext());
    await ask();
    const outage = breakD1();
    expect((await ask()).status).toBe(503);
    outage.heal();
  });

  it("is for keys of clients and managers, and its refusals are problems", async () => {
    expect(await get(await makeTenant({ scopes: ["worker"] }), "/v1/usage")).toMatchObject({
      status: 403,
      body: { title: "Forbidden", code: "forbidden" },
    });
    expect((await get(await makeTenant({ scopes: ["manage"] }), "/v1/usage")).status).toBe(200);
    const { body } = await get(await makeTenant(), "/v1/usage?speed=9&limit=x");
    expect(body.errors).toMatchObject([{ field: "?limit" }, { field: "?speed", message: "is not known here" }]);
  });
});

describe("GET /v1/usage/parked", () => {
  it("shows the lines that D1 refused for what they say, and nobody else's", async () => {
    const tenant = await makeTenant();
    const account = env.TENANT_ACCOUNT.getByName(tenant.tenantId) as unknown as AccountApi;
    const wrong = line(tenant.endpointId, 1, { rateKind: "gratis" as "flex" });
    await account.post({ broker: tenant.endpointId, lines: [{ finishSeq: 1, line: wrong }] });
    await vi.waitFor(async () => {
      const { body } = await get(tenant, "/v1/usage/parked");
      expect(body).toMatchObject({
        lines: [
          { endpointId: tenant.endpointId, line: JSON.stringify(wrong), reason: expect.stringContaining("rateKind") },
        ],
      });
    });
    expect((await get(await makeTenant(), "/v1/usage/parked")).body).toEqual({ lines: [] });
  });
});

describe("GET /v1/webhooks/dead", () => {
  it("shows the tenant's letters and nobody else's", async () => {
    const tenant = await makeTenant();
    const facts = { endpointId: tenant.endpointId, jobId: "job-u1", url: "https://receiver.test/", tries: 10 };
    const letter = { webhookId: "msg_1", ...facts, detail: "answered 500", givenUpAtMs: 5 };
    await keepDeadLetter(env.DB, tenant.tenantId, letter, Date.now());
    expect(await get(tenant, "/v1/webhooks/dead")).toEqual({
      status: 200,
      body: { webhooks: [{ ...letter, redeliverable: true }], pagination: { hasNextPage: false, nextCursor: null } },
    });
    expect((await get(await makeTenant(), "/v1/webhooks/dead")).body).toEqual({
      webhooks: [],
      pagination: { hasNextPage: false, nextCursor: null },
    });
  });

  it("is read page by page, newest first", async () => {
    const tenant = await makeTenant();
    for (const webhookId of ["msg_1", "msg_2", "msg_3"]) {
      const facts = { endpointId: tenant.endpointId, jobId: "job-u1", url: "https://receiver.test/", tries: 10 };
      await keepDeadLetter(env.DB, tenant.tenantId, { webhookId, ...facts, detail: "x", givenUpAtMs: 5 }, Date.now());
    }
    const { shown, pages } = await readAll(tenant, "/v1/webhooks/dead", "webhooks");
    expect(shown).toMatchObject([{ webhookId: "msg_3" }, { webhookId: "msg_2" }, { webhookId: "msg_1" }]);
    expect(pages).toHaveLength(3);
  });
});

describe("GET /v1/depth", () => {
  it("counts in the tenant's own endpoints and in shared ones, page by page, each once", async () => {
    const [own, hidden, shared] = [
      await makeTenant({ shared: true }),
      await makeTenant(),
      await makeTenant({ shared: true }),
    ];
    const { shown, pages } = await readAll(own, "/v1/depth", "endpoints");
    const ids = shown.map((each) => z.object({ endpointId: z.string() }).parse(each).endpointId);
    expect([...ids].sort()).toEqual([own.endpointId, shared.endpointId].sort());
    expect(ids).not.toContain(hidden.endpointId);
    expect(pages).toHaveLength(2);
  });

  it("with tenant=* has every endpoint, with the jobs of all tenants, for the scope admin alone", async () => {
    const operator = await makeTenant({ scopes: ["admin"] });
    const shared = await makeTenant({ shared: true });
    const guest = await makeTenant();
    for (const { key } of [shared, guest]) {
      const headers = { authorization: key, "content-type": "application/json" };
      const init = { method: "POST", headers, body: '{"input":1}' };
      await createApp().fetch(
        new Request(`https://waybill.test/v2/${shared.endpointId}/run`, init),
        env,
        createExecutionContext(),
      );
    }
    const depthFor = async (query: string) => {
      const { body } = await get(operator, `/v1/depth?${query}`);
      return body.endpoints;
    };
    const counted = { endpointId: shared.endpointId, waiting: 2, running: 0 };
    const all = await depthFor("tenant=*&limit=100");
    expect(all).toContainEqual(counted);
    expect(all).toContainEqual({ endpointId: guest.endpointId, waiting: 0, running: 0 });
    expect(await depthFor(`tenant=${guest.tenantId}&limit=100`)).toContainEqual({ ...counted, waiting: 1 });
    expect((await get(guest, "/v1/depth?tenant=*")).status).toBe(403);
  });
});
