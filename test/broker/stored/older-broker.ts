// The broker of an endpoint as each earlier release has left it: its tables, made by the first migrations, and rows of all kinds.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { BROKER_MIGRATIONS } from "../../../src/broker/store/schema.ts";
import type { EndpointSettings } from "../../../src/contract/settings.ts";
import { wantInstance } from "../../../src/core/fleet/instance.ts";
import { NOTHING_TO_SEND } from "../../../src/core/job/job.ts";
import { dropAllTables, putRow } from "../../support/older-store.ts";
import {
  endedJob,
  type Older,
  type OlderJob,
  owedLine,
  type Row,
  runningJob,
  since,
  waitingJob,
} from "./older-jobs.ts";

/** What the copies of all releases have in common. */
export const PURGER = "tenant-purger";
export const BOUNDED = "tenant-bounded";
export const OUTPUT = '{"answer":42.0}';
export const ORDER = { key: "order-1", fingerprint: "fingerprint-1" };
export const TOKEN_ID = "tok-1";
export const TOKEN_LEFT_MS = 3_600_000;
export const CHUNK = '"one"';
export const MACHINE_ID = "m0m0m0m0m0m0";

/** A table's rows, in releases with at least so many migrations and with fewer than `before`. */
interface Stored {
  readonly table: string;
  readonly since: number;
  readonly before?: number;
  readonly rows: readonly Row[];
}

/** Who is served, and by what: as D1 has it. */
export interface Served {
  readonly settings: EndpointSettings;
  readonly webhook: { readonly url: string; readonly sealedSecret: string };
}

/** Puts the broker there as a release with so many migrations has left it. Nothing has started it when this returns. */
export async function leaveBehind(migrations: number, { settings, webhook }: Served) {
  const { endpointId, number, tenantId, upstreams, workerKeys } = settings;
  const nowMs = Date.now();
  const older: Older = { migrations, endpointId, number, tenantId, upstreamId: upstreams[0]?.id ?? "", nowMs };
  const pushedLease = crypto.randomUUID();
  const keyId = workerKeys[0]?.id ?? "";
  // In order of age; each number of a finish is of another one.
  const jobs = {
    settled: endedJob(older, { agoMs: 60_000, queueSeq: 1, finishSeq: 1, output: OUTPUT }),
    completed: endedJob(older, {
      agoMs: 50_000,
      queueSeq: 2,
      finishSeq: 2,
      webhook,
      output: OUTPUT,
      ...since(older, 3, { chunkBytes: 4 + CHUNK.length }),
      row: { idempotency_key: ORDER.key },
    }),
    failed: endedJob(older, { agoMs: 40_000, queueSeq: 3, finishSeq: 3, error: "no such model" }),
    purged: waitingJob(older, { agoMs: 30_000, queueSeq: 4, tenantId: PURGER }),
    /** It has failed once, and was sent back. */
    retried: waitingJob(older, {
      agoMs: 9_000,
      queueSeq: 6,
      facts: { attempts: 1, queuedAtMs: nowMs - 6_000, webhook: NOTHING_TO_SEND, ...since(older, 2, { round: 1 }) },
      row: { webhook: JSON.stringify(webhook) },
    }),
    queued: waitingJob(older, { agoMs: 5_000, queueSeq: 7 }),
    pushed: runningJob(older, { agoMs: 4_000, queueSeq: 8, lease: pushedLease, worker: null }),
    bounded1: waitingJob(older, { agoMs: 3_000, queueSeq: 10, tenantId: BOUNDED }),
    bounded2: waitingJob(older, { agoMs: 2_900, queueSeq: 11, tenantId: BOUNDED }),
  };
  const pulled =
    migrations < 2
      ? null
      : runningJob(older, { agoMs: 3_500, queueSeq: 9, lease: crypto.randomUUID(), worker: { keyId, id: "w1" } });
  const all = [...Object.values(jobs), ...(pulled === null ? [] : [pulled])];
  await load(older, [
    { table: "jobs", since: 1, rows: all.map(({ row }) => row) },
    { table: "settings", since: 1, rows: [{ one: 1, json: JSON.stringify(settingsOf(older, settings)) }] },
    ...tablesOf(older, jobs, { settings, webhook }),
  ]);
  return { ...jobs, pulled, pushedLease };
}

type Jobs = Readonly<Record<"settled" | "completed" | "retried", OlderJob>>;

/** Every other table. `settled` alone is posted; its line and that of the first round of `retried` are in no other row. */
function tablesOf(older: Older, { settled, completed, retried }: Jobs, { settings, webhook }: Served): Stored[] {
  const { tenantId, nowMs } = older;
  const active = settings.upstreams.filter(({ rateKind }) => rateKind === "active");
  const purge = { tenant_id: PURGER, through: 4, at: nowMs - 20_000 };
  const row = { one: 1, floor: settled.uuid, at: nowMs - 55_000, rows: 1, queue_seq: 11, finish_seq: 4 };
  return [
    {
      table: "idempotency",
      since: 1,
      rows: [
        {
          tenant_id: tenantId,
          key: ORDER.key,
          uuid: completed.uuid,
          mode: "run",
          fingerprint: ORDER.fingerprint,
          last_status: "COMPLETED",
          expires_at: nowMs + 3_600_000,
        },
      ],
    },
    { table: "posted", since: 1, rows: [{ tenant_id: tenantId, through: 1 }] },
    { table: "owed", since: 1, rows: [owedLine(older, retried, 4)] },
    { table: "purged", since: 1, before: 6, rows: [purge] },
    { table: "owed_webhooks", since: 2, rows: [owedWebhook(older, retried, webhook)] },
    { table: "chunks", since: 3, rows: [chunk(completed)] },
    { table: "purges", since: 6, rows: [{ ...purge, jobs: 1 }] },
    { table: "checkpoint", since: 6, rows: [{ ...row, sweep_at: nowMs + 1_742_000, times: "2000,2000,2000" }] },
    {
      table: "tallies",
      since: 6,
      rows: [{ tenant_id: tenantId, rows: 1, bytes: 11 + OUTPUT.length, completed: 1, failed: 0, retried: 0 }],
    },
    // The release with 7 migrations had counts of the keys that came under it alone.
    { table: "key_counts", since: 8, rows: [{ tenant_id: tenantId, keys: 1 }] },
    { table: "deliveries", since: 9, rows: [delivery(older, completed)] },
    { table: "tenant_bounds", since: 10, rows: [{ tenant_id: BOUNDED, version: 1, running_max: 1 }] },
    { table: "token_calls", since: 11, rows: [tokenCall(older)] },
    { table: "holds", since: 12, rows: active.map(({ id, tier }) => hold(older, id, tier)) },
    { table: "instances", since: 13, rows: [{ id: MACHINE_ID, record: JSON.stringify(machine(older)) }] },
    { table: "scaling_decisions", since: 13, rows: [{ number: 1, decision: JSON.stringify(decision(older)) }] },
    { table: "warm_workers", since: 13, rows: [{ one: 1, warm: JSON.stringify({ workers: 2, untilMs: nowMs }) }] },
  ];
}

function owedWebhook(older: Older, { uuid, id }: OlderJob, { url, sealedSecret }: Served["webhook"]): Row {
  const state = { tries: 0, nextAtMs: older.nowMs - 7_000, dead: false, detail: null };
  const ran = { delayMs: 0, executionMs: 2_000, workerId: older.upstreamId };
  const view = { id, status: "FAILED", ...ran, error: "the first round failed", retries: 0, queue: null };
  const facts = { uuid, round: 0, tenantId: older.tenantId, url, sealedSecret, view, state, output: null };
  return { uuid, round: 0, facts: JSON.stringify(facts) };
}

/** Each chunk stands behind its length, in four bytes. */
function chunk({ uuid }: OlderJob): Row {
  const bytes = new Uint8Array([0, 0, 0, CHUNK.length, ...new TextEncoder().encode(CHUNK)]).buffer;
  return { uuid, attempt: 1, seq: 1, count: 1, bytes };
}

/** A try before the one that is owed now. */
function delivery({ tenantId, nowMs }: Older, { uuid, id }: OlderJob): Row {
  const tried = { at: nowMs - 47_000, job_id: id, webhook_id: `msg_${uuid}_r0`, try_number: 1 };
  return { tenant_id: tenantId, number: 1, ...tried, delivered: 0, status: 500, detail: "HTTP 500", took_ms: 12 };
}

/** An upstream that has been held for so long, of which the first hour is billed. */
export const HELD_MS = 5_400_000;

function hold({ nowMs }: Older, upstreamId: string, tier: string): Row {
  const fromMs = nowMs - HELD_MS;
  const metered = { from_at: fromMs, metered_until: fromMs + 3_600_000, slices: 1 };
  return { holder_id: upstreamId, id: crypto.randomUUID(), key_id: null, tier, ...metered, seen_at: null };
}

/** A machine of a provider that is deleted, as is the endpoint's fleet. */
function machine(older: Older) {
  const { nowMs } = older;
  const sinceMs = nowMs - 600_000;
  return {
    ...wantInstance(MACHINE_ID, "flex", 1, sinceMs),
    // Whether it was stopped since its create, a release with 14 migrations tells.
    isResumed: undefined,
    // Whether its owner has drained its worker, none of these releases tells.
    isDrained: undefined,
    ...since(older, 14, { isResumed: false }),
    phase: "ready",
    candidate: {
      providerId: "prv-1",
      gpuTypeId: "A",
      priceNanodollarsPerHour: 1_000_000_000,
      tier: "a4000",
      canStop: true,
    },
    providerId: "prv-1",
    ref: "ref-1",
    calls: 1,
    answeredAtMs: sinceMs + 2_000,
    readyAtMs: sinceMs + 30_000,
    endsAtMs: nowMs + 80_000_000,
  };
}

function decision({ nowMs }: Older) {
  const inputs = { waiting: 1, overdue: 0, running: 0, spareSlots: 0, min: 0, max: 3, ready: 0, starting: 0 };
  return { number: 1, atMs: nowMs - 600_000, from: 0, to: 1, reason: "REQUEST_COUNT", inputs };
}

function tokenCall({ tenantId, nowMs }: Older): Row {
  return { expires_at: nowMs + TOKEN_LEFT_MS, token_id: TOKEN_ID, tenant_id: tenantId, calls: 2 };
}

/** The settings as that release knew them. */
function settingsOf(older: Older, settings: EndpointSettings): object {
  const { deletedAtMs, number, tenantSharePercent, shared, openaiRoutes, kind, bodyMaxBytes, ...others } = settings;
  const { workerKeys, ...first } = others;
  const keys = workerKeys.map(({ expiresAtMs, ...key }) => ({ ...key, ...since(older, 4, { expiresAtMs }) }));
  return {
    ...first,
    ...since(older, 2, { workerKeys: keys }),
    ...since(older, 3, { kind, bodyMaxBytes }),
    ...since(older, 4, { shared, openaiRoutes }),
    ...since(older, 6, { tenantSharePercent }),
    ...since(older, 8, { number }),
    ...since(older, 9, { deletedAtMs }),
  };
}

async function load({ endpointId, migrations }: Older, tables: readonly Stored[]): Promise<void> {
  const stub = env.ENDPOINT_BROKER.getByName(endpointId);
  await runInDurableObject(stub, async (_, { storage }) => {
    const { sql } = storage;
    dropAllTables(sql);
    sql.exec("CREATE TABLE migrations (id INTEGER PRIMARY KEY) STRICT");
    for (const migration of BROKER_MIGRATIONS.slice(0, migrations)) {
      sql.exec(migration.sql);
      sql.exec("INSERT INTO migrations (id) VALUES (?)", migration.id);
    }
    for (const { table, since: first, before = Number.POSITIVE_INFINITY, rows } of tables) {
      if (migrations < first || migrations >= before) continue;
      for (const row of rows) putRow(sql, table, row);
    }
    // As that release has set it, for the end of a lease.
    await storage.setAlarm(Date.now() + 26_000);
  });
  await evictDurableObject(stub);
}
