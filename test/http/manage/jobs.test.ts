// /v1/endpoints/{id}/jobs over HTTP: filters, pages, and changes of many jobs; what a page reads is in test/broker/jobs.
import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { BrokerClient } from "../../../src/dispatch/broker-client.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const scene = () => sceneOf({ scopes: ["jobs"] });

async function sceneOf(options: Parameters<typeof makeTenant>[0]) {
  const tenant = await makeTenant(options);
  const path = `/v1/endpoints/${tenant.slug}/jobs`;
  const run = async (body: object) => {
    const headers = { authorization: tenant.key, "content-type": "application/json" };
    const url = `https://waybill.test/v2/${tenant.slug}/run`;
    const answer = await exports.default.fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
    const { id }: { id: string } = await answer.json();
    return id;
  };
  return { ...tenant, path, run, list: (query = "") => manage(tenant.key, "GET", `${path}${query}`) };
}

const ids = (body: { jobs: { id: string }[] }): string[] => body.jobs.map(({ id }) => id);

describe("the jobs of an endpoint", () => {
  it("come newest first, in pages, with their tags", async () => {
    const { run, list } = await scene();
    const made: string[] = [];
    for (let at = 0; at < 3; at += 1) made.unshift(await run({ input: {}, metadata: { customer: `c${at}` } }));
    const first = await list("?limit=2");
    expect(ids(first.body)).toEqual(made.slice(0, 2));
    expect(first.body.jobs[0]).toMatchObject({ status: "IN_QUEUE", metadata: { customer: "c2" }, failure: null });
    const second = await list(`?limit=2&cursor=${first.body.pagination.nextCursor}`);
    expect(ids(second.body)).toEqual(made.slice(2));
    expect(second.body.pagination).toEqual({ hasNextPage: false, nextCursor: null });
  });

  it("are found by status, time, failure and tags", async () => {
    const { run, list } = await scene();
    const wanted = await run({ input: {}, metadata: { customer: "42", "a b": "x&y" } });
    await run({ input: {}, metadata: { customer: "43" } });
    expect(ids((await list("?metadata[customer]=42&metadata[a%20b]=x%26y")).body)).toEqual([wanted]);
    expect((await list("?metadata%5Bcustomer%5D=44")).body).toMatchObject({ jobs: [], scanned: 2 });
    expect(ids((await list("?status=IN_QUEUE,FAILED")).body)).toHaveLength(2);
    expect(ids((await list("?status=FAILED")).body)).toEqual([]);
    expect(ids((await list("?to=2020-01-01T00:00:00Z")).body)).toEqual([]);
    expect(ids((await list("?from=2100-01-01T00:00:00Z")).body)).toEqual([]);
    expect(ids((await list("?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z")).body)).toHaveLength(2);
    expect(ids((await list("?from=2020-01-01T00:00:00Z&errorCode=worker_lost")).body)).toEqual([]);
  });

  it("name the parameter that is wrong, and what it may be", async () => {
    const { list } = await scene();
    for (const [query, field, text] of [
      ["?status=DONE", "?status", "IN_QUEUE"],
      ["?errorCode=oops", "?errorCode", "must be one of handler_error"],
      ["?from=yesterday", "?from", ""],
      ["?limit=0", "?limit", ""],
      ["?cursor=%00", "?cursor", ""],
      ["?bogus=1", "?bogus", "is not known"],
    ] as const) {
      const { status, body } = await list(query);
      expect(status, query).toBe(400);
      expect(`${body.errors?.[0]?.field ?? body.field}`).toContain(field);
      expect(body.detail).toContain(text);
    }
  });

  it("are cancelled or retried by what they match, in steps", async () => {
    const { key, path, run, list } = await scene();
    for (let at = 0; at < 5; at += 1) await run({ input: {}, metadata: { batch: at < 3 ? "one" : "two" } });
    const body = { metadata: { batch: "one" }, limit: 2 };
    const first = await manage(key, "POST", `${path}/cancel`, body);
    expect(first.body).toMatchObject({ changed: 2, refused: 0, pagination: { hasNextPage: true } });
    const cursor = first.body.pagination.nextCursor;
    expect((await manage(key, "POST", `${path}/cancel`, { ...body, cursor })).body).toMatchObject({ changed: 1 });
    expect(ids((await list("?status=CANCELLED")).body)).toHaveLength(3);
    expect((await manage(key, "POST", `${path}/retry`, {})).body).toMatchObject({ changed: 0, scanned: 5 });
  });

  it("are all left alone where the filter has a name that its check would drop", async () => {
    const { key, path, run, list } = await scene();
    await run({ input: {}, metadata: { batch: "one" } });
    const cancelled = await manage(key, "POST", `${path}/cancel`, '{"metadata":{"__proto__":"none"}}');
    expect(cancelled).toMatchObject({ status: 400, body: { detail: expect.stringContaining("metadata.__proto__") } });
    expect((await list("?metadata[__proto__]=none")).status).toBe(400);
    expect(ids((await list("?status=IN_QUEUE")).body)).toHaveLength(1);
  });

  it("are retried up to their own tenant's limit, whoever retries them", async () => {
    const tenant = await makeTenant({ scopes: ["jobs"], waitingMax: 7 });
    const operator = await makeTenant({ scopes: ["admin"], waitingMax: 100 });
    const asked = vi.spyOn(BrokerClient.prototype, "call");
    const limitOf = async (key: string, query = "") => {
      await manage(key, "POST", `/v1/endpoints/${tenant.slug}/jobs/retry${query}`, {});
      return asked.mock.lastCall;
    };
    expect(await limitOf(tenant.key)).toMatchObject(["changeJobs", { tenantId: tenant.tenantId, waitingMax: 7 }]);
    expect(await limitOf(operator.key)).toMatchObject(["changeJobs", { tenantId: tenant.tenantId, waitingMax: 7 }]);
    const own = { tenantId: operator.tenantId, waitingMax: 100 };
    expect(await limitOf(operator.key, `?tenant=${operator.tenantId}`)).toMatchObject(["changeJobs", own]);
    expect(await limitOf(operator.key, "?tenant=none")).toMatchObject(["changeJobs", { waitingMax: 0 }]);
  });

  it("are those of the endpoint that has the slug now, when they are changed", async () => {
    const { key, run, slug, endpointId } = await sceneOf({ scopes: ["jobs", "manage"] });
    await run({ input: {} });
    const other = await manage(key, "POST", "/v1/endpoints", { name: "next" });
    await manage(key, "PATCH", `/v1/endpoints/${endpointId}`, { slug: `${slug}-old` });
    await manage(key, "PATCH", `/v1/endpoints/${other.body.id}`, { slug });
    const cancel = (name: string) => manage(key, "POST", `/v1/endpoints/${name}/jobs/cancel`, {});
    expect((await cancel(slug)).body).toMatchObject({ changed: 0, scanned: 0 });
    await manage(key, "PATCH", `/v1/endpoints/${other.body.id}`, { slug: `${slug}-next` });
    expect((await cancel(slug)).status).toBe(404);
    expect((await cancel(`${slug}-old`)).body).toMatchObject({ changed: 1 });
  });

  it("of another tenant cannot be read from a cursor, which is good for one tenant and endpoint alone", async () => {
    const owner = await sceneOf({ scopes: ["jobs"], shared: true });
    const guest = await makeTenant({ scopes: ["jobs"] });
    const foreign = [await owner.run({ input: {} }), await owner.run({ input: {} })];
    const first = await manage(owner.key, "GET", `${owner.path}?limit=1`);
    const { nextCursor } = first.body.pagination;
    const shown = atob(nextCursor.replaceAll("-", "+").replaceAll("_", "/"));
    expect(foreign.some((id) => shown.includes(id.slice(0, 23)))).toBe(false);
    const refused = { status: 400, body: { field: "?cursor" } };
    expect(await manage(guest.key, "GET", `${owner.path}?cursor=${nextCursor}`)).toMatchObject(refused);
    const cancel = await manage(guest.key, "POST", `${owner.path}/cancel`, { cursor: nextCursor });
    expect(cancel).toMatchObject(refused);
    const other = `/v1/endpoints/${guest.slug}/jobs?cursor=${nextCursor}`;
    expect(await manage(guest.key, "GET", other)).toMatchObject(refused);
    const second = await manage(owner.key, "GET", `${owner.path}?limit=1&cursor=${nextCursor}`);
    expect([...ids(first.body), ...ids(second.body)]).toEqual(foreign.toReversed());
  });

  it("are cancelled also in a public endpoint, each tenant's by itself", async () => {
    const owner = await sceneOf({ scopes: ["jobs"], shared: true });
    await owner.run({ input: {} });
    const guest = await makeTenant({ scopes: ["jobs"] });
    expect((await manage(guest.key, "POST", `${owner.path}/cancel`, {})).body).toMatchObject({ changed: 0 });
    expect((await manage(owner.key, "POST", `${owner.path}/cancel`, {})).body).toMatchObject({ changed: 1 });
    const stranger = `/v1/endpoints/${guest.slug}/jobs/cancel`;
    expect((await manage(owner.key, "POST", stranger, {})).status).toBe(404);
  });

  it("are the caller's own, also of a public endpoint, and any tenant's for the scope admin", async () => {
    const { tenantId, slug, path, run } = await scene();
    await run({ input: {} });
    const stranger = await makeTenant({ scopes: ["jobs"] });
    expect((await manage(stranger.key, "GET", path)).status).toBe(404);
    expect((await manage(stranger.key, "GET", `/v1/endpoints/${stranger.slug}/jobs?tenant=${tenantId}`)).status).toBe(
      403,
    );
    const operator = await makeTenant({ scopes: ["admin"] });
    expect(ids((await manage(operator.key, "GET", `/v1/endpoints/${slug}/jobs`)).body)).toHaveLength(1);
    expect(ids((await manage(operator.key, "GET", `${path}?tenant=${operator.tenantId}`)).body)).toEqual([]);
  });
});
