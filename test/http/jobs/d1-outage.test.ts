// D1 is away for two minutes, longer than any cache is fresh: known keys go on submitting, every job ends, and each is
// billed once when D1 is back.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import * as z from "zod";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { breakD1 } from "../../support/d1.ts";
import { makeTenant } from "../../support/tenant.ts";

const JOBS = 100;
const OUTAGE_MS = 120_000;
const STEP_MS = 5_000;
/** Shorter than a lease, whose renewals run by the real clock. */
const WORK_MS = 20_000;
const POLL = { timeout: 20_000, interval: 10 };

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const jobSchema = z.object({ id: z.string(), status: z.string() });

it("loses and doubles nothing of 100 running jobs and of those that arrive meanwhile", {
  timeout: 60_000,
}, async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const tenant = await makeTenant({ upstreams: [{ slots: JOBS * 2 }] });
  let calls = 0;
  const endsMs: number[] = [];
  answerUpstreams(async () => {
    calls += 1;
    const endMs = Date.now() + WORK_MS;
    endsMs.push(endMs);
    // The clock of the test says when the work is done; a promise of the test may not be settled in here.
    while (Date.now() < endMs) await scheduler.wait(2);
    return Response.json({ ok: true });
  });
  const ask = async (route: string, body?: string) => {
    const headers = { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" };
    const init = body === undefined ? { headers } : { method: "POST", headers, body };
    const response = await exports.default.fetch(
      new Request(`https://waybill.test/v2/${tenant.endpointId}/${route}`, init),
    );
    expect(response.status).toBe(200);
    return jobSchema.parse(await response.json());
  };
  const passTime = async (ms: number) => {
    vi.setSystemTime(Date.now() + ms);
    // The polls move the clock a little themselves, so both figures are taken at each.
    const working = () => endsMs.filter((endMs) => endMs > Date.now()).length;
    const running = async () => (await brokerOf(env, tenant.endpointId).depth({ tenantId: tenant.tenantId })).running;
    await vi.waitFor(async () => expect(await running()).toBe(working()), POLL);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(tenant.endpointId));
    await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenant.tenantId));
  };
  const billed = async () => {
    const { results } = await env.DB.prepare("SELECT job_id FROM usage_lines WHERE tenant_id = ? ORDER BY job_id")
      .bind(tenant.tenantId)
      .all<{ job_id: string }>();
    return results.map((row) => row.job_id);
  };

  const ids: string[] = [];
  for (let made = 0; made < JOBS; made += 1) ids.push((await ask("run", `{"input":${made}}`)).id);
  await vi.waitFor(() => expect(calls).toBe(JOBS), POLL);

  const outage = breakD1();
  for (let passedMs = 0; passedMs < OUTAGE_MS; passedMs += STEP_MS) {
    await passTime(STEP_MS);
    ids.push((await ask("run", `{"input":${passedMs}}`)).id);
    await vi.waitFor(() => expect(calls).toBe(ids.length), POLL);
  }
  for (let passedMs = 0; passedMs < WORK_MS; passedMs += STEP_MS) await passTime(STEP_MS);
  for (const id of ids)
    await vi.waitFor(async () => expect((await ask(`status/${id}`)).status).toBe("COMPLETED"), POLL);
  // The posts of the finishes meet a D1 that is still away.
  await passTime(STEP_MS);
  expect(outage.calls()).toBeGreaterThan(0);
  outage.heal();
  expect(await billed()).toEqual([]);

  await vi.waitFor(async () => {
    await passTime(STEP_MS);
    expect(await billed()).toHaveLength(ids.length);
  }, POLL);
  for (let again = 0; again < 3; again += 1) await passTime(STEP_MS);
  expect(await billed()).toEqual(ids.toSorted());
});
