// Leases whose carriers have died, on endpoints that nobody calls, at a broker that really runs and really evicts: each job
// waits again in time and costs nothing. Until then the files of the objects are read and not the objects: a question would
// start them, and could be what ends the lease.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import * as z from "zod";
import type { DevServer } from "../../src/cli/dev-server.ts";
import { LEASE_WATCH_AFTER_MS } from "../../src/core/limits.ts";
import { callBroker, type PreparedBroker, prepareBroker, type TestEndpoint } from "../running/broker.ts";
import { type MockWorker, rawInput, startMockWorker } from "../running/mock-worker.ts";
import { shownMs } from "../support/figures.ts";

const TRIES = 20;
const ENDED_MAX_MS = 65_000;
const LOOK_EVERY_MS = 500;

const idSchema = z.object({ id: z.string() });
const usageSchema = z.object({ lines: z.array(z.object({ jobId: z.string(), attempt: z.int(), seconds: z.int() })) });
const rowSchema = z.object({
  status: z.string(),
  attempts: z.int(),
  restarts: z.int(),
  finishSeq: z.int().nullable(),
  graces: z.int(),
});

type Row = z.infer<typeof rowSchema>;

const slugs = (kind: string) => Array.from({ length: TRIES }, (_, n) => `quiet-${kind}-${n}`);

/** Jobs that the upstream was given a first time, and a second time: those it answers. */
const calls = new Map<string, number>();
let worker: MockWorker;
let prepared: PreparedBroker;
let server: DevServer;

beforeAll(async () => {
  worker = await startMockWorker(async (body, hungUp) => {
    const input = rawInput(body).toString();
    const call = (calls.get(input) ?? 0) + 1;
    calls.set(input, call);
    if (call === 1) await new Promise((resolve) => hungUp.addEventListener("abort", resolve, { once: true }));
    return `"call ${call}"`;
  });
  const upstream = { url: worker.url, dialect: "http", slots: 1, credential: null } as const;
  const endpoints: Record<string, TestEndpoint> = {};
  // One attempt: a loss that counted would end the job.
  for (const slug of slugs("pushed")) endpoints[slug] = { upstream, maxAttempts: 1 };
  for (const slug of slugs("pulled")) endpoints[slug] = { workers: {}, maxAttempts: 1 };
  prepared = await prepareBroker(endpoints);
  server = await prepared.launch();
});

afterAll(async () => {
  await server?.kill9();
  await worker?.stop();
  prepared?.discard();
});

async function submit(slug: string): Promise<string> {
  const body = JSON.stringify({ input: slug });
  const response = await callBroker(`${server.url}/v2/${slug}/run`, prepared.key, { body });
  return idSchema.parse(await response.json()).id;
}

async function asWorker(slug: string, path: string): Promise<Response> {
  const place = prepared.workerKeys[slug];
  if (place === undefined) throw new Error(`${slug} has no workers`);
  const response = await callBroker(`${server.url}/v2/${place.endpointId}/${path}`, place.key);
  expect(response.status).toBe(200);
  return response;
}

/** Takes the job, sends one ping, and is never seen again. Returns when that was. */
async function takeAndDie(slug: string, id: string): Promise<number> {
  const taken = await asWorker(slug, "job-take/w1?gpu=SIM&job_in_progress=0");
  expect(idSchema.parse(await taken.json()).id).toBe(id);
  await (await asWorker(slug, `ping/w1?gpu=SIM&job_id=${id}&runpod_version=1.12.0`)).text();
  return Date.now();
}

/** The files of all brokers' objects, by the uuid of the one job in each. */
function openObjects(): Map<string, DatabaseSync> {
  const objects = join(prepared.folder, "v3", "do");
  const byUuid = new Map<string, DatabaseSync>();
  for (const folder of readdirSync(objects).filter((name) => name.includes("EndpointBroker"))) {
    for (const name of readdirSync(join(objects, folder)).filter((file) => /^[0-9a-f]+\.sqlite$/.test(file))) {
      const file = new DatabaseSync(join(objects, folder, name), { readOnly: true });
      const { uuid } = z.object({ uuid: z.string() }).parse(file.prepare("SELECT uuid FROM jobs").get());
      byUuid.set(uuid, file);
    }
  }
  return byUuid;
}

function readRow(file: DatabaseSync): Row {
  const sql = `SELECT status, facts ->> 'attempts' AS attempts, facts ->> 'restarts' AS restarts, finish_seq AS finishSeq,
    (SELECT count(*) FROM graces) AS graces FROM jobs`;
  return rowSchema.parse(file.prepare(sql).get());
}

interface Watched {
  readonly slug: string;
  readonly id: string;
  /** The last sign of life of its carrier. */
  readonly diedAtMs: number;
}

/** Looks at the files until each lease has ended or its time is over. Returns how long each took, and its row then. */
async function watch(all: readonly Watched[]): Promise<Map<string, { readonly tookMs: number; readonly row: Row }>> {
  const files = openObjects();
  const ended = new Map<string, { readonly tookMs: number; readonly row: Row }>();
  const lastMs = Math.max(...all.map(({ diedAtMs }) => diedAtMs)) + ENDED_MAX_MS;
  while (ended.size < all.length && Date.now() < lastMs) {
    for (const { slug, id, diedAtMs } of all) {
      const file = files.get(id.replace(/-u1$/, ""));
      if (file === undefined) throw new Error(`the job of ${slug} is in no file`);
      const row = readRow(file);
      if (!ended.has(slug) && row.restarts > 0) ended.set(slug, { tookMs: Date.now() - diedAtMs, row });
    }
    await sleep(LOOK_EVERY_MS);
  }
  for (const file of files.values()) file.close();
  return ended;
}

async function linesOf(id: string): Promise<z.infer<typeof usageSchema>["lines"]> {
  const response = await callBroker(`${server.url}/v1/usage?job=${id}`, prepared.key);
  return usageSchema.parse(await response.json()).lines;
}

async function statusOf(slug: string, id: string): Promise<unknown> {
  return (await callBroker(`${server.url}/v2/${slug}/status/${id}`, prepared.key)).json();
}

it(`ends ${TRIES} of ${TRIES} leases, pushed and pulled, within ${ENDED_MAX_MS / 1_000} s of their carriers' last sign of life`, async () => {
  const pushed = await Promise.all(slugs("pushed").map(async (slug) => ({ slug, id: await submit(slug) })));
  await vi.waitFor(() => expect(calls.size).toBe(TRIES), { timeout: 20_000 });
  // By then each Carrier has renewed its lease, and another renewal is held in the broker.
  await sleep(2 * LEASE_WATCH_AFTER_MS);
  const killedAtMs = Date.now();
  await server.kill9();
  server = await prepared.launch();
  const pulled = await Promise.all(
    slugs("pulled").map(async (slug) => {
      const id = await submit(slug);
      return { slug, id, diedAtMs: await takeAndDie(slug, id) };
    }),
  );

  const ended = await watch([...pushed.map((job) => ({ ...job, diedAtMs: killedAtMs })), ...pulled]);
  const took = (jobs: readonly { readonly slug: string }[]) =>
    jobs.flatMap(({ slug }) => ended.get(slug)?.tookMs ?? []);
  console.info(
    `from the last sign of life to IN_QUEUE: pushed ${shownMs(took(pushed))}; pulled ${shownMs(took(pulled))}`,
  );
  for (const jobs of [pushed, pulled]) {
    expect(took(jobs)).toHaveLength(TRIES);
    expect(Math.max(...took(jobs))).toBeLessThanOrEqual(ENDED_MAX_MS);
  }
  for (const { slug, id } of pulled) {
    // The row of graces shows that the object was evicted while the lease was held.
    const row = { status: "IN_QUEUE", attempts: 1, restarts: 1, finishSeq: null, graces: 1 };
    expect(ended.get(slug)?.row, slug).toEqual(row);
    expect(await statusOf(slug, id)).toMatchObject({ status: "IN_QUEUE" });
    expect(await linesOf(id)).toEqual([]);
    const taken = await asWorker(slug, "job-take/w2?gpu=SIM&job_in_progress=0");
    expect(idSchema.parse(await taken.json()).id).toBe(id);
  }
  for (const { slug, id } of pushed) {
    expect(ended.get(slug)?.row, slug).toMatchObject({ restarts: 1, graces: 1 });
    // Pushed again by the alarm alone; only that run is billed.
    await vi.waitFor(async () => expect(await linesOf(id)).toHaveLength(1), { timeout: 15_000, interval: 200 });
    expect(await linesOf(id)).toEqual([expect.objectContaining({ attempt: 2, seconds: 1 })]);
    expect(await statusOf(slug, id)).toMatchObject({ status: "COMPLETED", output: "call 2" });
  }
  expect([...calls.values()]).toEqual(Array(TRIES).fill(2));
});
