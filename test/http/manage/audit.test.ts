// /v1/audit: who changed what and when, in pages, and to whom it is shown.
import { describe, expect, it } from "vitest";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

async function scene() {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"] });
  const create = (slug = `slug-${crypto.randomUUID()}`) => manage(tenant.key, "POST", "/v1/endpoints", { slug });
  return { ...tenant, create, list: (query = "") => manage(tenant.key, "GET", `/v1/audit${query}`) };
}

describe("the audit", () => {
  it("has the key, the time and the request of each change", async () => {
    const { key, tenantId, create, list } = await scene();
    const startedMs = Date.now();
    const { body, headers } = await create();
    expect((await list()).body.lines).toMatchObject([
      {
        tenantId,
        action: "endpoint.create",
        objectId: body.id,
        keyId: key.split("_")[2],
        requestId: headers.get("x-request-id"),
      },
    ]);
    const atMs = Date.parse((await list()).body.lines[0].at);
    expect(atMs).toBeGreaterThanOrEqual(startedMs);
    expect(atMs).toBeLessThanOrEqual(Date.now());
  });

  it("is read page by page, newest first, each line once, while others are added", async () => {
    const { create, list } = await scene();
    const made: string[] = [];
    for (let at = 0; at < 5; at += 1) made.unshift((await create()).body.id);
    const seen: string[] = [];
    let cursor = "";
    for (let pages = 0; pages < 10; pages += 1) {
      const { lines, pagination } = (await list(`?limit=2${cursor}`)).body;
      seen.push(...lines.map(({ objectId }: { objectId: string }) => objectId));
      if (!pagination.hasNextPage) break;
      cursor = `&cursor=${pagination.nextCursor}`;
      await create();
    }
    expect(seen).toEqual(made);
  });

  it("is a tenant's own, with the scope admin anybody's, and closed to a key for some endpoints", async () => {
    const [mine, theirs] = [await scene(), await scene()];
    const { body } = await theirs.create();
    expect((await mine.list()).body.lines).toEqual([]);
    expect((await mine.list(`?tenant=${theirs.tenantId}`)).status).toBe(403);
    expect((await mine.list("?tenant=*")).status).toBe(403);
    const operator = await makeTenant({ scopes: ["admin"] });
    const asked = await manage(operator.key, "GET", `/v1/audit?tenant=${theirs.tenantId}`);
    expect(asked.body.lines).toMatchObject([{ objectId: body.id }]);
    const [newest] = (await manage(operator.key, "GET", "/v1/audit?tenant=*&limit=1")).body.lines;
    expect(newest.objectId).toBe(body.id);
    const wanted = { scopes: ["manage"], endpointIds: [theirs.slug] };
    const limited = (await manage(theirs.key, "POST", "/v1/keys", wanted)).body.key;
    expect((await manage(limited, "GET", "/v1/audit")).status).toBe(403);
    const reader = (await manage(theirs.key, "POST", "/v1/keys", { scopes: ["jobs"] })).body.key;
    expect((await manage(reader, "GET", "/v1/audit")).status).toBe(403);
  });
});
