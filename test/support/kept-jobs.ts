// An endpoint with many jobs that are kept or wait, and what a start of its object reads of them.
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { v7 } from "uuid";
import { expect, vi } from "vitest";
import type { EndpointBroker } from "../../src/broker/endpoint-broker.ts";
import type { SubmitCall } from "../../src/contract/broker.ts";
import { brokerOf } from "../../src/dispatch/broker-client.ts";
import { holdCarriers, makeBroker, submission, upstream } from "./broker.ts";

/** The tenant of the jobs. */
export const owner = { tenantId: "owner" };
export const DAY_MS = 86_400_000;

/** Within the object, so that thousands of calls take no time on their way. */
export function inBroker<T>(
  endpointId: string,
  act: (broker: EndpointBroker, storage: DurableObjectStorage) => T,
): Promise<Awaited<T>> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (instance, { storage }) =>
    act(instance as EndpointBroker, storage),
  ) as Promise<Awaited<T>>;
}

/** A new start of the object: how long its first answer took, and the rows that it had read by then. */
export async function start(endpointId: string): Promise<{ readonly tookMs: number; readonly rowsRead: number }> {
  await abortAllDurableObjects();
  const startedMs = Date.now();
  await brokerOf(env, endpointId).depth(owner);
  const tookMs = Date.now() - startedMs;
  return { tookMs, rowsRead: await inBroker(endpointId, (broker) => broker.meter.rowsRead) };
}

/** One job that is finished and posted. */
async function finishOne(endpointId: string, carriers: readonly { jobId: string; lease: string }[], call: SubmitCall) {
  await brokerOf(env, endpointId).submit(call);
  await vi.waitFor(() => expect(carriers).toHaveLength(1));
  for (const carrier of carriers)
    await brokerOf(env, endpointId).finish({ ...carrier, outcome: { kind: "completed", output: null } });
  const posted = () => inBroker(endpointId, (_, { sql }) => sql.exec("SELECT through FROM posted").toArray());
  await vi.waitFor(async () => expect(await posted()).toEqual([{ through: 1 }]), { timeout: 10_000, interval: 50 });
}

/** The row of a job that is finished and posted again and again, just behind it in order of age. */
export async function keepCopies(endpointId: string, count: number): Promise<string> {
  const carriers = holdCarriers((id) => id === endpointId);
  const call = submission();
  await finishOne(endpointId, carriers, call);
  const uuid = call.jobId.replace(/-u1$/, "");
  const stem = uuid.slice(0, 23);
  await inBroker(endpointId, (_, { sql }) => {
    sql.exec(
      `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1),
        one AS (SELECT * FROM jobs WHERE uuid = ?2)
      INSERT INTO jobs (uuid, tenant_id, mode, status, queue_seq, expires_at, finish_seq, facts, fields, input_place, input)
      SELECT printf('%s~%012x', ?3, n), tenant_id, mode, status, queue_seq, expires_at, finish_seq,
        replace(facts, ?2, printf('%s~%012x', ?3, n)), fields, input_place, input FROM one, numbers`,
      count,
      uuid,
      stem,
    );
  });
  return `${stem}~${"f".repeat(12)}`;
}

export async function submitMany(endpointId: string, count: number): Promise<SubmitCall[]> {
  const calls = Array.from({ length: count }, (_, at) => {
    // Some were long on their way, and find younger ones there.
    const uuid = v7(at % 3 > 0 ? {} : { msecs: Date.now() - 3_600_000 });
    return submission({ jobId: `${uuid}-u1` });
  });
  await inBroker(endpointId, async (broker) => {
    for (const call of calls) expect(await broker.submit(call)).toMatchObject({ ok: true });
  });
  return calls;
}

/** What a start reads beside so many kept jobs, of whose age the object knows, and so many that wait. */
export async function startBeside(keptJobs: number, liveJobs: number) {
  const upstreams = [upstream({ slots: 1 })];
  const { endpointId } = await makeBroker({ upstreams, runRetentionMs: DAY_MS, tenantSharePercent: 100 });
  const floor = await keepCopies(endpointId, keptJobs - 1);
  // As an object keeps its checkpoint that has lived through all of them.
  await inBroker(endpointId, (_, { sql }) => {
    sql.exec("UPDATE checkpoint SET floor = ?, rows = ?", floor, keptJobs);
    sql.exec("INSERT INTO tallies SELECT 'owner', ?1, ?1 * 11, ?1, 0, 0", keptJobs);
    sql.exec("UPDATE settings SET json = json_set(json, '$.paused', json('true'))");
  });
  const idle = await start(endpointId);
  await submitMany(endpointId, liveJobs);
  const busy = await start(endpointId);
  expect(await brokerOf(env, endpointId).depth(owner)).toEqual({ waiting: liveJobs, running: 0 });
  expect(await brokerOf(env, endpointId).health(owner)).toMatchObject({ jobs: { completed: keptJobs } });
  return { idle, busy };
}
