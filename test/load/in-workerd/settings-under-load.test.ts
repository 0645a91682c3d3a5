// Management calls while 500 jobs run: none of them fails a job, runs one twice, or costs one more than its time.

import { runDurableObjectAlarm } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { answerUpstreams } from "../../support/broker.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

const JOBS = 500;
/** Long enough for changes to fall into it, short enough for 500 jobs. */
const WORK_MS = 150;

afterEach(() => vi.restoreAllMocks());

it("settings change under 500 running jobs, and each of them is run once and billed once", {
  timeout: 120_000,
}, async () => {
  const { key, slug, tenantId, endpointId } = await makeTenant({ scopes: ["jobs", "manage"] });
  const path = `/v1/endpoints/${slug}`;
  const runs = new Map<string, number>();
  answerUpstreams(async (request) => {
    const { input } = (await request.json()) as { input: { number: number } };
    const name = String(input.number);
    runs.set(name, (runs.get(name) ?? 0) + 1);
    await scheduler.wait(WORK_MS);
    return Response.json({ number: input.number });
  });
  const upstream = { url: "http://worker.test/", dialect: "http", tier: "l4", slots: 40 };
  const add = async () => (await manage(key, "POST", `${path}/upstreams`, upstream)).body.id;
  await add();
  const submit = async (number: number) => {
    const headers = { authorization: key, "content-type": "application/json" };
    const body = JSON.stringify({ input: { number } });
    const answer = await exports.default.fetch(`https://waybill.test/v2/${slug}/run`, {
      method: "POST",
      headers,
      body,
    });
    expect(answer.status).toBe(200);
  };
  const submitting = (async () => {
    for (let at = 0; at < JOBS; at += 25) {
      await Promise.all(Array.from({ length: 25 }, (_, more) => submit(at + more)));
    }
  })();
  const counts = async () => {
    const url = `https://waybill.test/v2/${slug}/health`;
    const answer = await exports.default.fetch(url, { headers: { authorization: key } });
    return ((await answer.json()) as { jobs: { completed: number; failed: number; inProgress: number } }).jobs;
  };
  let changes = 0;
  const change = async () => {
    const second = await add();
    const version = (await manage(key, "GET", path)).body.version;
    const both = await Promise.all(
      [1, 2].map((writer) =>
        manage(key, "PATCH", path, { name: `${changes} by ${writer}` }, { "if-match": `"${version}"` }),
      ),
    );
    // Of two writers at once the second one is told.
    expect(both.map(({ status }) => status).sort()).toEqual([200, 412]);
    for (const [method, asked, body] of [
      ["PATCH", path, { maxAttempts: 2 + (changes % 3), timeout: 600_000 + changes, retention: { run: 1_800_000 } }],
      ["PATCH", path, { workers: { max: 1 + changes }, env: { RUN: String(changes) }, image: `i:${changes}` }],
      ["POST", `${path}/worker-keys`, { tier: "l4" }],
      ["PATCH", `${path}/upstreams/${second}`, { slots: 10 }],
      ["PATCH", path, { paused: true }],
      ["PATCH", path, { paused: false }],
      ["PATCH", `${path}/upstreams/${second}`, { enabled: false }],
      ["DELETE", `${path}/upstreams/${second}`, undefined],
    ] as const) {
      const { status, body: answer } = await manage(key, method, asked, body);
      expect(status, JSON.stringify(answer)).toBeLessThan(300);
      changes += 1;
    }
  };
  do await change();
  while ((await counts()).completed < JOBS / 2 && changes < 200);
  await submitting;
  await vi.waitFor(async () => expect((await counts()).completed).toBe(JOBS), { timeout: 60_000, interval: 100 });
  expect(changes).toBeGreaterThan(7);
  expect(await counts()).toMatchObject({ completed: JOBS, failed: 0, inProgress: 0 });
  expect([...runs.values()].filter((times) => times !== 1)).toEqual([]);
  expect(runs.size).toBe(JOBS);
  const lines = async () => {
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenantId));
    const sql = "SELECT count(*) AS lines, count(DISTINCT source) AS jobs FROM usage_lines WHERE tenant_id = ?";
    return env.DB.prepare(sql).bind(tenantId).first();
  };
  await vi.waitFor(async () => expect(await lines()).toEqual({ lines: JOBS, jobs: JOBS }), { timeout: 20_000 });
});
