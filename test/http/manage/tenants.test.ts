// /v1/tenants: the operator makes and changes them, a tenant reads itself, and nobody else learns of it.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { WEBHOOK_SECRET_PLACE } from "../../../src/core/access/sealing.ts";
import { open } from "../../../src/outbound/credentials.ts";
import { metered } from "../../support/d1.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

async function scene() {
  const operator = await makeTenant({ scopes: ["admin"] });
  const create = (body: object, headers = {}) => manage(operator.key, "POST", "/v1/tenants", body, headers);
  return { ...operator, create };
}

async function storedSecret(id: string): Promise<string> {
  const sql = "SELECT sealed_webhook_secret AS sealed FROM tenants WHERE id = ?";
  const sealed = await env.DB.prepare(sql).bind(id).first<string>("sealed");
  return open(sealed ?? "", env.ENCRYPTION_KEY, WEBHOOK_SECRET_PLACE);
}

describe("a tenant of /v1", () => {
  it("is made with a secret for its webhooks, which is shown once and stored sealed", async () => {
    const { create, key } = await scene();
    const { status, body, headers } = await create({ name: "Acme" });
    expect(status).toBe(201);
    expect(body).toMatchObject({ name: "Acme", waitingMax: 10_000, version: 1 });
    expect(headers.get("etag")).toBe('"1"');
    expect(body.webhookSecret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(await storedSecret(body.id)).toBe(body.webhookSecret);
    const { webhookSecret, ...rest } = body;
    expect((await manage(key, "GET", `/v1/tenants/${body.id}`)).body).toEqual(rest);
    const audit = await manage(key, "GET", `/v1/audit?tenant=${body.id}`);
    expect(audit.body.lines).toMatchObject([{ action: "tenant.create", objectId: body.id }]);
    expect(JSON.stringify(audit.body)).not.toContain(webhookSecret);
  });

  it("is made once by a creation that is repeated, whose answer has no secret", async () => {
    const { create } = await scene();
    const headers = { "idempotency-key": crypto.randomUUID() };
    const first = await create({ name: "Once", waitingMax: 5 }, headers);
    const again = await create({ name: "Once", waitingMax: 5 }, headers);
    expect(again).toMatchObject({ status: 201, body: { id: first.body.id, waitingMax: 5 } });
    expect(again.body).not.toHaveProperty("webhookSecret");
    expect((await create({ name: "Other" }, headers)).status).toBe(422);
  });

  it("is changed field by field, with a line in the audit of what has changed", async () => {
    const { create, key } = await scene();
    const { body } = await create({ name: "Before" });
    const path = `/v1/tenants/${body.id}`;
    expect((await manage(key, "PATCH", path, { waitingMax: 7 })).body).toMatchObject({
      name: "Before",
      waitingMax: 7,
      version: 2,
    });
    const ifMatch = { "if-match": '"1"' };
    expect((await manage(key, "PATCH", path, { name: "Late" }, ifMatch)).status).toBe(412);
    expect((await manage(key, "PATCH", path, { waitingMax: 7 })).body.version).toBe(2);
    const { lines } = (await manage(key, "GET", `/v1/audit?tenant=${body.id}`)).body;
    expect(lines).toMatchObject([
      { action: "tenant.update", changes: [{ field: "waitingMax", old: 10_000, new: 7 }] },
      {},
    ]);
    expect(lines).toHaveLength(2);
  });

  it("is written by the scope admin alone, and reads itself with the scope manage", async () => {
    const mine = await makeTenant({ scopes: ["jobs", "manage"] });
    const theirs = await makeTenant();
    expect((await manage(mine.key, "POST", "/v1/tenants", { name: "x" })).status).toBe(403);
    expect((await manage(mine.key, "PATCH", `/v1/tenants/${mine.tenantId}`, { name: "x" })).status).toBe(403);
    expect((await manage(mine.key, "GET", "/v1/tenants")).status).toBe(403);
    expect((await manage(mine.key, "GET", `/v1/tenants/${mine.tenantId}`)).body.id).toBe(mine.tenantId);
    const answers = [];
    for (const id of [theirs.tenantId, "ten-unknown", "!"]) {
      const { status, body } = await manage(mine.key, "GET", `/v1/tenants/${id}`);
      answers.push(JSON.stringify([status, body]));
    }
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toContain("404");
  });

  it("is more than a key for some of its endpoints may see", async () => {
    const tenant = await makeTenant({ scopes: ["manage", "admin"] });
    await env.DB.prepare("UPDATE api_keys SET endpoint_ids = ? WHERE tenant_id = ?")
      .bind(JSON.stringify([tenant.endpointId]), tenant.tenantId)
      .run();
    for (const [method, path] of [
      ["GET", "/v1/tenants"],
      ["POST", "/v1/tenants"],
      ["GET", `/v1/tenants/${tenant.tenantId}`],
      ["PATCH", `/v1/tenants/${tenant.tenantId}`],
    ] as const) {
      const answer = await manage(tenant.key, method, path, method === "GET" ? undefined : { name: "x" });
      expect(answer).toMatchObject({ status: 403, body: { code: "restricted_key" } });
    }
  });

  it("names every wrong field", async () => {
    const { create } = await scene();
    const { status, body } = await create({ name: "", waitingMax: 200_001, colour: "red" });
    expect(status).toBe(400);
    expect(body.errors.map(({ field }: { field: string }) => field).sort()).toEqual(["colour", "name", "waitingMax"]);
  });

  it("is listed in pages, newest first, whose first one of 1,000 tenants reads as many rows as it shows", async () => {
    const { key } = await scene();
    await env.DB.prepare(
      `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
       INSERT INTO tenants (id, name, waiting_max, sealed_webhook_secret, created_at)
       SELECT printf('ten-many-%04d', n), 'many', 1, '', 4102444800000 + n FROM numbers`,
    ).run();
    const { answer, read } = await metered(() => manage(key, "GET", "/v1/tenants?limit=3"));
    const ids = answer.body.tenants.map(({ id }: { id: string }) => id);
    expect(ids).toEqual(["ten-many-1000", "ten-many-0999", "ten-many-0998"]);
    expect(read).toBeLessThan(20);
    const next = await manage(key, "GET", `/v1/tenants?limit=1&cursor=${answer.body.pagination.nextCursor}`);
    expect(next.body.tenants[0].id).toBe("ten-many-0997");
    await env.DB.prepare("DELETE FROM tenants WHERE name = 'many'").run();
  });
});
