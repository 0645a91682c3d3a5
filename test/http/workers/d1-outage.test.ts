// D1 is away for two minutes while workers pull: what they take, report and tell needs the broker alone.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import * as z from "zod";
import { loadEndpointSettings } from "../../../src/db/endpoints.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { submission } from "../../support/broker.ts";
import { breakD1 } from "../../support/d1.ts";
import { makePulling, type Pulling } from "../../support/pulling.ts";

const WORKERS = 10;
const JOBS = 30;
const OUTAGE_MS = 120_000;
const STEP_MS = 5_000;
/** Longer than a heartbeat, so that leases are renewed on the way. */
const WORK_MS = 10_000;
const POLL = { timeout: 20_000, interval: 10 };

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const takenSchema = z.object({ id: z.string() });

/** Workers that pull until they are drained. `accepted` has the id of each report that counted. */
function startWorkers(pulling: Pulling) {
  const accepted: string[] = [];
  const holding = new Map<string, { readonly id: string; readonly endMs: number }>();
  let over = false;
  const work = async (workerId: string): Promise<void> => {
    while (!over) {
      const answer = await pulling.take(workerId);
      if (answer.status === 204) continue;
      expect(answer.status).toBe(200);
      const { id } = takenSchema.parse(await answer.json());
      const endMs = Date.now() + WORK_MS;
      holding.set(workerId, { id, endMs });
      while (Date.now() < endMs) await scheduler.wait(2);
      const posted = await pulling.done(id, `{"output":"${id}"}`, workerId);
      if (z.object({ accepted: z.boolean() }).parse(await posted.json()).accepted) accepted.push(id);
      holding.delete(workerId);
    }
  };
  const names = Array.from({ length: WORKERS }, (_, n) => `w${n}`);
  const working = Promise.all(names.map(work));
  return {
    accepted,
    /** Every worker sends its heartbeat, and those that are done have reported. */
    step: async () => {
      for (const workerId of names) {
        const held = holding.get(workerId);
        expect((await pulling.ping(held === undefined ? [] : [held.id], workerId)).status).toBe(200);
      }
      await vi.waitFor(
        () => expect([...holding.values()].filter(({ endMs }) => endMs <= Date.now())).toEqual([]),
        POLL,
      );
    },
    stop: async () => {
      over = true;
      const { endpointId, tenantId } = pulling.tenant;
      for (const workerId of names) await brokerOf(env, endpointId).drainWorker({ tenantId, workerId, draining: true });
      await working;
    },
  };
}

async function runAlarms({ tenant }: Pulling): Promise<void> {
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(tenant.endpointId));
  await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenant.tenantId));
}

async function billed({ tenant }: Pulling): Promise<string[]> {
  const { results } = await env.DB.prepare("SELECT job_id FROM usage_lines WHERE tenant_id = ? ORDER BY job_id")
    .bind(tenant.tenantId)
    .all<{ job_id: string }>();
  return results.map((row) => row.job_id);
}

async function expectBilledOnce(pulling: Pulling, ids: readonly string[], step: () => Promise<void>): Promise<void> {
  await vi.waitFor(async () => {
    await step();
    expect(await billed(pulling)).toHaveLength(ids.length);
  }, POLL);
  for (let again = 0; again < 3; again += 1) await step();
  expect(await billed(pulling)).toEqual(ids.toSorted());
}

it("loses and doubles nothing of what waits, runs and arrives meanwhile", { timeout: 60_000 }, async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const pulling = await makePulling();
  const ids: string[] = [];
  for (let made = 0; made < JOBS; made += 1) ids.push(await pulling.submit(String(made)));
  const workers = startWorkers(pulling);
  await vi.waitFor(
    async () =>
      expect(await brokerOf(env, pulling.tenant.endpointId).depth(pulling.tenant)).toMatchObject({ running: 10 }),
    POLL,
  );
  const step = async () => {
    vi.setSystemTime(Date.now() + STEP_MS);
    await workers.step();
    await runAlarms(pulling);
  };

  const outage = breakD1();
  for (let passedMs = 0; passedMs < OUTAGE_MS; passedMs += STEP_MS) {
    ids.push(await pulling.submit(String(passedMs)));
    await step();
  }
  await vi.waitFor(async () => {
    await step();
    expect(workers.accepted).toHaveLength(ids.length);
  }, POLL);
  for (const id of ids) expect(await pulling.status(id)).toMatchObject({ status: "COMPLETED", output: id });
  await step();
  expect(outage.calls()).toBeGreaterThan(0);
  outage.heal();
  expect(await billed(pulling)).toEqual([]);
  await expectBilledOnce(pulling, ids, step);
  expect(workers.accepted.toSorted()).toEqual(ids.toSorted());
  await workers.stop();
});

it("lets workers in whose endpoint and key no request has named before", { timeout: 60_000 }, async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const pulling = await makePulling();
  const { endpointId, tenantId } = pulling.tenant;
  const settings = await loadEndpointSettings(env.DB, endpointId);
  if (settings === null) throw new Error("the endpoint is not in D1");
  await brokerOf(env, endpointId).configure(settings);
  const outage = breakD1();
  const calls = Array.from({ length: JOBS }, () => submission({ tenantId }));
  for (const call of calls) expect(await brokerOf(env, endpointId).submit(call)).toMatchObject({ ok: true });
  const workers = startWorkers(pulling);
  const step = async () => {
    vi.setSystemTime(Date.now() + STEP_MS);
    await workers.step();
    await runAlarms(pulling);
  };
  await vi.waitFor(async () => {
    await step();
    expect(workers.accepted).toHaveLength(JOBS);
  }, POLL);
  expect(outage.calls()).toBeGreaterThan(0);
  outage.heal();
  await expectBilledOnce(
    pulling,
    calls.map(({ jobId }) => jobId),
    step,
  );
  await workers.stop();
});
