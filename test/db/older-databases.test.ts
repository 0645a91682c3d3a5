// A database of each earlier number of migrations, with the rows of its time, after the migrations since: what was stored is there by
// HTTP, keys open what they opened, and the endpoint's settings serve a job.
import { applyD1Migrations } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { KEY_RANDOM_BYTES, makeApiKey } from "../../src/core/access/api-key.ts";
import { WEBHOOK_SECRET_PLACE } from "../../src/core/access/sealing.ts";
import { toHex } from "../../src/core/bytes/hex.ts";
import { insertInto, runAll, type SqlValue } from "../../src/db/statement.ts";
import { digestKey, seal } from "../../src/outbound/credentials.ts";
import { manage } from "../support/manage.ts";

type Row = Readonly<Record<string, SqlValue>>;

/** Empties the database, and brings it to the tables of a release with so many migrations. */
async function goBackTo(migrations: number): Promise<void> {
  const { results } = await env.DB.prepare(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*'",
  ).all<{ name: string }>();
  const drops = results.map(({ name }) => env.DB.prepare(`DROP TABLE ${name}`));
  await env.DB.batch([env.DB.prepare("PRAGMA defer_foreign_keys = on"), ...drops]);
  await applyD1Migrations(env.DB, env.TEST_MIGRATIONS.slice(0, migrations));
}

async function makeKey(): Promise<{ readonly key: string; readonly row: Row }> {
  const { id, key } = makeApiKey(crypto.getRandomValues(new Uint8Array(KEY_RANDOM_BYTES)));
  return { key, row: { id, digest: toHex(await digestKey(key, env.PEPPER)), name: "old", created_at: 1 } };
}

/** Writes what a deployment of that release had: rows with the columns of their time, each table since the migration that made it. */
async function fill(migrations: number) {
  const tenantId = `ten-${crypto.randomUUID()}`;
  const endpointId = `ep-${crypto.randomUUID()}`;
  const pulledId = `ep-${crypto.randomUUID()}`;
  const slug = `slug-${crypto.randomUUID()}`;
  const client = await makeKey();
  const worker = await makeKey();
  const secret = await seal(`whsec_${btoa("s".repeat(24))}`, env.ENCRYPTION_KEY, WEBHOOK_SECRET_PLACE);
  const its = { endpoint_id: endpointId, tier: "a4000", rate_kind: "flex" };
  const price = { tier: "a4000", rate_kind: "flex", slots: 1, nanodollars_per_second: 160_000 };
  const line = {
    source: "s",
    seq: 1,
    endpoint_id: endpointId,
    job_id: "s-u1",
    ...price,
    started_at: 1,
    finished_at: 2_001,
  };
  const letter = {
    webhook_id: "msg_s_r0",
    endpoint_id: endpointId,
    job_id: "s-u1",
    url: "https://receiver.example.com",
  };
  const rows: readonly (readonly [table: string, since: number, row: Row])[] = [
    ["tenants", 1, { id: tenantId, name: "Old", waiting_max: 77, sealed_webhook_secret: secret, created_at: 1 }],
    ["api_keys", 1, { ...client.row, tenant_id: tenantId, scopes: "jobs,manage,admin" }],
    [
      "endpoints",
      1,
      { id: endpointId, tenant_id: tenantId, slug, max_attempts: 5, run_retention_ms: 600_000, created_at: 1 },
    ],
    ["upstreams", 1, { id: "up-1", url: "http://127.0.0.1:9/", dialect: "runpod", slots: 3, ...its, created_at: 1 }],
    ["gpu_rates", 1, { tier: "a4000", kind: "flex", effective_from: 7, nanodollars_per_second: 123 }],
    ["usage_lines", 2, { tenant_id: tenantId, ...line, seconds: 2, amount_nanodollars: 320_000 }],
    ["posted", 2, { tenant_id: tenantId, broker: endpointId, through: 1 }],
    ["endpoints", 5, { id: pulledId, tenant_id: tenantId, slug: `pulled-${slug}`, created_at: 1 }],
    ["providers", 22, { id: "prv-1", tenant_id: tenantId, name: "Old", kind: "none", created_at: 1 }],
    ["api_keys", 5, { ...worker.row, tenant_id: tenantId, scopes: "worker", ...its, endpoint_id: pulledId, slots: 1 }],
  ];
  const known = rows.filter(([, since]) => migrations >= since);
  await runAll(
    env.DB,
    known.map(([table, , row]) => insertInto(table, row)),
  );
  if (migrations >= 3) {
    const givenUp = { tenant_id: tenantId, ...letter, tries: 10, detail: "HTTP 500", given_up_at: Date.now() };
    await runAll(env.DB, [insertInto("webhook_dead_letters", migrations >= 10 ? { number: 1, ...givenUp } : givenUp)]);
  }
  return { tenantId, endpointId, slug, key: client.key, pulledId, workerKey: worker.key };
}

const STATES = env.TEST_MIGRATIONS.map((_, at) => at + 1);

describe.each(STATES)("a database with %i migrations", (migrations) => {
  it("keeps all that it had over those since", async () => {
    await goBackTo(migrations);
    const { tenantId, endpointId, slug, key, pulledId, workerKey } = await fill(migrations);
    await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);

    const me = await manage(key, "GET", "/v1/me");
    expect(me.body).toMatchObject({ tenantId, name: "old", scopes: ["jobs", "manage", "admin"], waitingMax: 77 });
    expect((await manage(key, "GET", `/v1/tenants/${tenantId}`)).body).toMatchObject({ name: "Old", runningMax: null });
    const endpoint = await manage(key, "GET", `/v1/endpoints/${slug}`);
    expect(endpoint.body).toMatchObject({ id: endpointId, maxAttempts: 5, paused: false, type: "QUEUE" });
    const { upstreams } = (await manage(key, "GET", `/v1/endpoints/${slug}/upstreams`)).body;
    expect(upstreams).toMatchObject([{ id: "up-1", dialect: "runpod", slots: 3, tier: "a4000", enabled: true }]);
    expect(endpoint.body).toMatchObject({ providers: null, workers: { slots: 1 }, maxCostPerHour: null });
    const { providers } = (await manage(key, "GET", "/v1/providers")).body;
    expect(providers).toMatchObject(migrations < 22 ? [] : [{ id: "prv-1", name: "Old", kind: "none", offers: [] }]);
    const { rates } = (await manage(key, "GET", "/v1/rates?limit=100")).body;
    expect(rates).toContainEqual(expect.objectContaining({ tier: "a4000", nanodollarsPerSecond: 123 }));
    const { lines } = (await manage(key, "GET", "/v1/usage")).body;
    expect(lines).toMatchObject(migrations < 2 ? [] : [{ jobId: "s-u1", seconds: 2, amountNanodollars: 320_000 }]);
    const dead = (await manage(key, "GET", "/v1/webhooks/dead")).body;
    expect(dead.webhooks).toMatchObject(migrations < 3 ? [] : [{ webhookId: "msg_s_r0", tries: 10 }]);

    const call = (path: string, authorization: string, body?: string) =>
      exports.default.fetch(
        new Request(`https://waybill.test/v2/${pulledId}/${path}`, {
          headers: { authorization, "content-type": "application/json" },
          ...(body === undefined ? {} : { method: "POST", body }),
        }),
      );
    // Before, there were no keys of workers.
    if (migrations < 5) return;
    const submitted = await call("run", `Bearer ${key}`, '{"input":1}');
    expect(submitted.status).toBe(200);
    const { id } = await submitted.json<{ id: string }>();
    expect((await call("job-take/w1?gpu=SIM&job_in_progress=0", workerKey)).status).toBe(200);
    expect((await call(`job-done/w1/${id}?gpu=SIM&isStream=false`, workerKey, '{"output":"done"}')).status).toBe(200);
    expect(await (await call(`status/${id}`, key)).json()).toMatchObject({ status: "COMPLETED", output: "done" });
  });
});
