// Random steps of pulling workers on the real broker, by seed: takes that are cut, failed starts, results that ask for a restart.
// After each step the broker's memory equals its rows, and in the end every job has ended and every bill is one line.

import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { failed } from "../../../src/core/job/failure.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { type Random, seededRandom } from "../../sim/random.ts";
import { makeBroker, submission, workerKey } from "../../support/broker.ts";
import { OUTPUT, pullingWorker } from "../../support/pulling-worker.ts";

const STEPS = 150;
const SLOTS = 2;
const WORKERS = ["w1", "w2", "w3"] as const;
const VERSIONS = [null, "1.7.4", "1.12.0", "2.0.0rc2"] as const;
const START_FAILED = {
  kind: "start_failed",
  start: { kind: "failed", error: "no GPU", detail: "Its start failed." },
} as const;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

interface World {
  readonly random: Random;
  readonly endpointId: string;
  readonly tenantId: string;
  /** Handed out and not yet reported, as the workers see it: some of it is theirs no more. */
  readonly held: { readonly workerId: string; readonly jobId: string }[];
  readonly jobIds: string[];
  readonly billed: Set<string>;
}

type Running = { worker: string; jobs: number };

function rowsOf<T extends Record<string, SqlStorageValue>>({ endpointId }: World, sql: string): Promise<T[]> {
  const stub = env.ENDPOINT_BROKER.getByName(endpointId);
  return runInDurableObject(stub, (_, state) => state.storage.sql.exec<T>(sql).toArray());
}

async function noteBilled(world: World): Promise<void> {
  const sql = "SELECT uuid, json_extract(facts, '$.bill.seq') AS seq FROM jobs WHERE finish_seq IS NOT NULL";
  for (const row of await rowsOf<{ uuid: string; seq: number }>(world, sql)) world.billed.add(`${row.uuid}/${row.seq}`);
}

/** One take, whose client goes away if no job comes at once; it may not have read what came. */
async function takeOnce(world: World, workerId: string): Promise<string> {
  const { random, held } = world;
  const worker = pullingWorker(brokerOf(env, world.endpointId), workerId);
  const pollId = crypto.randomUUID();
  const call = { ...worker.name, pollId, wanted: random.integer(1, SLOTS), idle: random.chance(0.5), gpu: null };
  const taking = brokerOf(env, world.endpointId).takeJobs({ ...call, version: random.pick(VERSIONS) });
  await brokerOf(env, world.endpointId).depth({ tenantId: world.tenantId });
  await brokerOf(env, world.endpointId).abandonTake({ ...worker.name, pollId, leases: [] });
  const taken = await taking;
  const jobs = taken.ok ? taken.value : [];
  if (random.chance(0.8)) held.push(...jobs.map(({ jobId }) => ({ workerId, jobId })));
  return `take of ${jobs.length}`;
}

async function reportOnce({ random, held, endpointId }: World): Promise<string> {
  if (held.length === 0) return "nothing";
  const one = random.pick(held);
  const outcome = random.pick([
    { kind: "completed", output: OUTPUT },
    { kind: "handler_error", failure: failed("handler_error", "said no"), output: null },
    { kind: "attempt_failed", failure: failed("bad_answer", "no JSON") },
    START_FAILED,
    START_FAILED,
  ] as const);
  const refresh = random.chance(0.2);
  await pullingWorker(brokerOf(env, endpointId), one.workerId).report(one.jobId, outcome, refresh);
  if (random.chance(0.8)) held.splice(held.indexOf(one), 1);
  return `report ${outcome.kind}${refresh ? " and restart" : ""}`;
}

async function takeStep(world: World): Promise<string> {
  const { random, held, jobIds, tenantId, endpointId } = world;
  const broker = brokerOf(env, endpointId);
  const roll = random.next();
  if (roll < 0.2 || jobIds.length === 0) {
    const call = submission({ tenantId });
    await broker.submit(call);
    jobIds.push(call.jobId);
    return "submit";
  }
  const workerId = random.pick(WORKERS);
  if (roll < 0.5) return takeOnce(world, workerId);
  if (roll < 0.75) return reportOnce(world);
  if (roll < 0.82) {
    const named = held.filter((one) => one.workerId === workerId).map(({ jobId }) => jobId);
    return pullingWorker(broker, workerId)
      .ping(named)
      .then(() => "ping");
  }
  if (roll < 0.86) return broker.cancel({ tenantId, jobId: random.pick(jobIds) }).then(() => "cancel");
  if (roll < 0.9) return broker.retry({ tenantId, jobId: random.pick(jobIds) }).then(() => "retry");
  const stub = env.ENDPOINT_BROKER.getByName(endpointId);
  if (roll < 0.97) return runDurableObjectAlarm(stub).then(() => "alarm");
  return abortAllDurableObjects().then(() => "abort");
}

async function compareMemoryWithRows(world: World, at: string): Promise<void> {
  const broker = brokerOf(env, world.endpointId);
  const [rows] = await rowsOf<{ waiting: number; running: number }>(
    world,
    `SELECT count(*) FILTER (WHERE status = 'IN_QUEUE') AS waiting,
       count(*) FILTER (WHERE status = 'IN_PROGRESS') AS running FROM jobs`,
  );
  expect(await broker.depth({ tenantId: world.tenantId }), at).toEqual(rows);
  const leases = await rowsOf<Running>(
    world,
    `SELECT json_extract(facts, '$.workerId') AS worker, count(*) AS jobs
     FROM jobs WHERE status = 'IN_PROGRESS' GROUP BY 1`,
  );
  for (const { worker, jobs } of leases) expect(jobs, `${at}: jobs on ${worker}`).toBeLessThanOrEqual(SLOTS);
  const listed = (await broker.listWorkers({ tenantId: world.tenantId })) ?? [];
  const busy = listed.filter(({ running }) => running > 0).map(({ id, running }) => ({ worker: id, jobs: running }));
  const known = new Set(listed.map(({ id }) => id));
  expect(busy.toSorted(byName), at).toEqual(leases.filter(({ worker }) => known.has(worker)).toSorted(byName));
}

function byName(left: Running, right: Running): number {
  return left.worker.localeCompare(right.worker);
}

it.each([1, 2, 3, 4])("memory equals rows and every job ends: seed %s", { timeout: 60_000 }, async (seed) => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const tenantId = `tn-${crypto.randomUUID()}`;
  const workerKeys = [workerKey({ id: "key1", slots: SLOTS })];
  const { endpointId } = await makeBroker({ tenantId, upstreams: [], workerKeys, maxAttempts: 2 });
  const world: World = { random: seededRandom(seed), endpointId, tenantId, held: [], jobIds: [], billed: new Set() };
  for (let step = 0; step < STEPS; step += 1) {
    vi.setSystemTime(Date.now() + (world.random.chance(0.05) ? 31_000 : world.random.integer(0, 1_500)));
    const taken = await takeStep(world);
    await noteBilled(world);
    await compareMemoryWithRows(world, `seed ${seed}, step ${step}: ${taken}`);
  }
  await heal(world);
  await vi.waitFor(
    async () => {
      vi.setSystemTime(Date.now() + 10_000);
      await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
      await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenantId));
      const { results } = await env.DB.prepare("SELECT source, seq FROM usage_lines WHERE tenant_id = ?")
        .bind(tenantId)
        .all<{ source: string; seq: number }>();
      expect(results.map(({ source, seq }) => `${source}/${seq}`).toSorted()).toEqual([...world.billed].toSorted());
    },
    { timeout: 20_000, interval: 5 },
  );
});

/** A sound worker comes, and runs whatever waits; what the others hold is lost by their silence. */
async function heal(world: World): Promise<void> {
  const broker = brokerOf(env, world.endpointId);
  const sound = pullingWorker(broker, "sound");
  for (let round = 0; round < 300; round += 1) {
    const { waiting, running } = await broker.depth({ tenantId: world.tenantId });
    if (waiting + running === 0) break;
    vi.setSystemTime(Date.now() + 2_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(world.endpointId));
    const pollId = crypto.randomUUID();
    const taking = sound.take({ pollId, version: "2.0.0rc2" });
    await broker.depth({ tenantId: world.tenantId });
    await broker.abandonTake({ ...sound.name, pollId, leases: [] });
    for (const { jobId } of await taking) await sound.done(jobId);
    await noteBilled(world);
  }
  expect(await broker.depth({ tenantId: world.tenantId })).toEqual({ waiting: 0, running: 0 });
}
