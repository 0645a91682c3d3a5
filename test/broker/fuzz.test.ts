// Random steps on the real broker, by seed: after each its memory equals its rows, as would that of a new start, and in the end
// every billed attempt is one line in D1.

import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { v7 } from "uuid";
import { afterEach, expect, it, vi } from "vitest";
import { KeptRows } from "../../src/broker/store/kept-rows.ts";
import { failed } from "../../src/core/job/failure.ts";
import { brokerOf } from "../../src/dispatch/broker-client.ts";
import { Carrier } from "../../src/dispatch/carrier.ts";
import { type Random, seededRandom } from "../sim/random.ts";
import { holdCarriers, makeBroker, submission, upstream } from "../support/broker.ts";
import { keptOf } from "../support/kept.ts";

const STEPS = 200;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

interface World {
  readonly random: Random;
  readonly endpointId: string;
  readonly tenants: readonly string[];
  /** How many jobs each of them may run at once. */
  readonly bounds: readonly (number | null)[];
  readonly carriers: { readonly jobId: string; readonly lease: string }[];
  readonly jobs: { readonly tenantId: string; readonly jobId: string }[];
  /** `<uuid>/<attempt>` of every billed finish that a row ever showed. */
  readonly billed: Set<string>;
  /** Of all that a row ever showed. */
  readonly highest: { queueSeq: number; finishSeq: number };
}

function stubOf(world: World) {
  return env.ENDPOINT_BROKER.getByName(world.endpointId);
}

function rowsOf<T extends Record<string, SqlStorageValue>>(
  world: World,
  sql: string,
  ...values: string[]
): Promise<T[]> {
  return runInDurableObject(stubOf(world), (_, state) => state.storage.sql.exec<T>(sql, ...values).toArray());
}

async function noteBilled(world: World): Promise<void> {
  const sql = "SELECT uuid, json_extract(facts, '$.bill.seq') AS seq FROM jobs WHERE finish_seq IS NOT NULL";
  for (const row of await rowsOf<{ uuid: string; seq: number }>(world, sql)) world.billed.add(`${row.uuid}/${row.seq}`);
}

async function takeStep(world: World): Promise<string> {
  const { random, tenants, jobs } = world;
  const broker = brokerOf(env, world.endpointId);
  const roll = random.next();
  if (roll < 0.25 || jobs.length === 0) {
    const policy = { executionTimeoutMs: null, ttlMs: random.pick([20_000, 600_000]), lowPriority: random.chance(0.3) };
    const mode = random.pick(["run", "runsync"] as const);
    // Some were long on their way, so that others with a later uuid came before.
    const uuid = v7({ msecs: Date.now() - random.pick([0, 0, 0, 5_000, 60_000]) });
    const jobId = mode === "run" ? `${uuid}-u1` : `sync-${uuid}-u1`;
    const input = { kind: "inline", bytes: new Uint8Array(random.pick([1, 100, 20_000])).fill(49) } as const;
    const tenantId = random.pick(tenants);
    const bound = { runningMax: world.bounds[tenants.indexOf(tenantId)] ?? null, version: 1 };
    const call = submission({ tenantId, mode, policy, jobId, input, bound });
    await broker.submit(call);
    jobs.push(call);
    return "submit";
  }
  if (roll < 0.35) return broker.cancel(random.pick(jobs)).then(() => "cancel");
  if (roll < 0.42) return broker.retry(random.pick(jobs)).then(() => "retry");
  if (roll < 0.44) return broker.purgeQueue({ tenantId: random.pick(tenants) }).then(() => "purge");
  if (roll < 0.46) return changeMany(world);
  if (roll < 0.52) return broker.start().then(() => "start");
  if (roll < 0.75) return reportOne(world);
  if (roll < 0.93) return runDurableObjectAlarm(stubOf(world)).then(() => "alarm");
  if (roll < 0.97) return evictDurableObject(stubOf(world)).then(() => "evict");
  return abortAllDurableObjects().then(() => "abort");
}

/** Some of a tenant's jobs are cancelled or retried by one call. */
async function changeMany({ random, endpointId, tenants }: World): Promise<string> {
  const action = random.pick(["cancel", "retry"] as const);
  const page = { tenantId: random.pick(tenants), filter: {}, before: null, limit: random.integer(1, 5) };
  await brokerOf(env, endpointId).changeJobs({ ...page, action, waitingMax: 1_000_000 });
  return `${action} many`;
}

/** A carrier notes its upstream's id, renews, lets go or finishes; a finish may come again later. */
async function reportOne(world: World): Promise<string> {
  const { random, carriers } = world;
  if (carriers.length === 0) return "nothing";
  const carrier = random.pick(carriers);
  const broker = brokerOf(env, world.endpointId);
  if (random.chance(0.2)) {
    await broker.noteUpstreamJob({ ...carrier, upstreamJobId: `run-${carrier.lease}` });
    return "note";
  }
  if (random.chance(0.1)) return broker.noteRunning(carrier).then(() => "runs");
  if (random.chance(0.3)) return broker.renew({ ...carrier, holdMs: 0 }).then(() => "renew");
  if (random.chance(0.1)) return broker.letGo(carrier).then(() => "let go");
  const outcome = random.pick([
    { kind: "completed", output: null },
    { kind: "completed", output: { kind: "inline", bytes: new Uint8Array(random.pick([2, 30_000])).fill(49) } },
    { kind: "handler_error", failure: failed("handler_error", "said no"), output: null },
    { kind: "attempt_failed", failure: failed("bad_answer", "reset") },
    { kind: "upstream_paused", detail: "429", retryAfterMs: null },
    { kind: "timed_out" },
  ] as const);
  await broker.finish({ ...carrier, outcome });
  if (random.chance(0.8)) carriers.splice(carriers.indexOf(carrier), 1);
  return `finish ${outcome.kind}`;
}

async function compareMemoryWithRows(world: World, at: string): Promise<void> {
  for (const [index, tenantId] of world.tenants.entries()) {
    const [rows] = await rowsOf<{ waiting: number; running: number; completed: number; failed: number }>(
      world,
      `SELECT
         count(*) FILTER (WHERE status = 'IN_QUEUE'
           AND queue_seq > coalesce((SELECT max(through) FROM purges WHERE tenant_id = ?1), 0)) AS waiting,
         count(*) FILTER (WHERE status = 'IN_PROGRESS') AS running,
         count(*) FILTER (WHERE status = 'COMPLETED') AS completed,
         count(*) FILTER (WHERE status = 'FAILED') AS failed
       FROM jobs WHERE tenant_id = ?1`,
      tenantId,
    );
    const { jobs } = await brokerOf(env, world.endpointId).health({ tenantId });
    const { inQueue: waiting, inProgress: running, completed, failed } = jobs;
    expect({ waiting, running, completed, failed }, at).toEqual(rows);
    expect(running, at).toBeLessThanOrEqual(world.bounds[index] ?? Number.POSITIVE_INFINITY);
  }
  const { rows, start, memory, numbers } = await keptOf(world.endpointId, world.tenants);
  expect(start, at).toEqual(rows);
  // No start may give a number that was given before, whatever has become of the row that had it.
  for (const name of ["queueSeq", "finishSeq"] as const) {
    world.highest[name] = Math.max(world.highest[name], numbers.inRows[name]);
    expect(numbers.byStart[name], `${at}: ${name}`).toBeGreaterThanOrEqual(world.highest[name]);
  }
  expect(memory, at).toEqual(rows.tallies);
}

it.each([1, 2, 3, 4, 5, 6])("memory equals rows and the bill is whole: seed %s", { timeout: 60_000 }, async (seed) => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const carriers = holdCarriers();
  vi.spyOn(Carrier.prototype, "stop").mockResolvedValue(undefined);
  // Far more often than so few jobs would need it.
  const checkpoints = seededRandom(seed);
  vi.spyOn(KeptRows.prototype, "isDue").mockImplementation(() => checkpoints.chance(0.2));
  const upstreams = [upstream({ id: "x", slots: 2 }), upstream({ id: "y", slots: 1, dialect: "runpod" })];
  const limits = { maxAttempts: 2, executionTimeoutMs: 60_000, runRetentionMs: checkpoints.pick([120_000, 1_800_000]) };
  const { endpointId } = await makeBroker({ ...limits, upstreams });
  const tenants = [`a-${crypto.randomUUID()}`, `b-${crypto.randomUUID()}`];
  const highest = { queueSeq: 0, finishSeq: 0 };
  const random = seededRandom(seed);
  const bounds = [random.pick([1, 2]), null];
  const world: World = { random, endpointId, tenants, bounds, carriers, jobs: [], billed: new Set(), highest };
  for (let step = 0; step < STEPS; step += 1) {
    vi.setSystemTime(Date.now() + (world.random.chance(0.1) ? 31_000 : world.random.integer(0, 1_500)));
    await noteBilled(world);
    const taken = await takeStep(world);
    await noteBilled(world);
    await compareMemoryWithRows(world, `seed ${seed}, step ${step}: ${taken}`);
  }
  const expected = () => [...world.billed].toSorted();
  await vi.waitFor(
    async () => {
      vi.setSystemTime(Date.now() + 60_000);
      await noteBilled(world);
      await runDurableObjectAlarm(stubOf(world));
      await noteBilled(world);
      for (const tenantId of tenants) await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenantId));
      const { results } = await env.DB.prepare("SELECT source, seq FROM usage_lines WHERE tenant_id IN (?, ?)")
        .bind(...tenants)
        .all<{ source: string; seq: number }>();
      expect(results.map(({ source, seq }) => `${source}/${seq}`).toSorted()).toEqual(expected());
    },
    { timeout: 20_000, interval: 5 },
  );
});
