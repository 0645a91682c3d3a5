// The bound of the live index is one of bytes, by an estimate: here the estimate is held against the heap.
import v8 from "node:v8";
import vm from "node:vm";
import { v7 } from "uuid";
import { expect, it } from "vitest";
import { LiveIndex } from "../../src/broker/jobs/live-index.ts";
import { parseJobId } from "../../src/core/job/id.ts";
import { type Job, NOT_RUN, NOTHING_TO_SEND } from "../../src/core/job/job.ts";
import { LIVE_INDEX_MAX_BYTES, LIVE_JOBS_MAX } from "../../src/core/limits.ts";

const NOW_MS = 1_790_000_000_000;

v8.setFlagsFromString("--expose-gc");
const collect: () => void = vm.runInNewContext("gc");

function heapBytes(): number {
  collect();
  collect();
  return v8.getHeapStatistics().used_heap_size;
}

/** As a call or a row brings it: a text of its own each time. */
function fresh(text: string): string {
  return JSON.parse(JSON.stringify(text)) as string;
}

function job(at: number, partial: Partial<Job>): Job {
  const uuid = parseJobId(`${v7()}-u1`)?.uuid ?? "";
  return {
    ...NOT_RUN,
    history: [],
    uuid,
    mode: "run",
    tenantId: fresh(`ten_${String(at % 20).padStart(24, "0")}`),
    origin: null,
    stored: null,
    createdAtMs: NOW_MS,
    queuedAtMs: NOW_MS,
    queueSeq: at,
    ttlAtMs: NOW_MS + 86_400_000 + at,
    executionTimeoutMs: 600_000,
    lowPriority: at % 3 === 0,
    retentionMs: 1_800_000,
    round: 0,
    formerWorkers: [],
    attempts: 0,
    webhook: null,
    ...partial,
  };
}

function lease(at: number): NonNullable<Job["lease"]> {
  const holderId = fresh(`worker key_${String(at % 50).padStart(24, "0")} pod-${at % 1_000}`);
  const price = { tier: "a4000", rateKind: "flex" as const, slots: 1, nanodollarsPerSecond: 1 };
  const times = { startedAtMs: NOW_MS + at, untilMs: NOW_MS + 30_000 + at, graceUntilMs: 0 };
  const incarnation = fresh("0b2f6a3c-6c0e-4c80-9d4c-3a4a0d6d7c11");
  return { token: v7(), holderId, workerKeyId: "key", byClient: false, incarnation, ...price, ...times };
}

const finished = (at: number): Partial<Job> => ({ status: "COMPLETED", finishedAtMs: NOW_MS, finishSeq: at + 1 });
const owing = (at: number) => ({ ...NOTHING_TO_SEND, nextAtMs: NOW_MS + at });
const running = (at: number): Partial<Job> => ({ status: "IN_PROGRESS", lease: lease(at) });

/** Tables have just grown to twice their size: no number of jobs takes more memory a job. */
const JOBS = 33_500;

/** What each of many jobs goes through, and the host that it calls back; null: none. */
interface Kind {
  readonly name: string;
  readonly jobs: number;
  readonly steps: readonly ((at: number) => Partial<Job>)[];
  readonly host: (at: number) => string | null;
  readonly after?: (index: LiveIndex, uuid: string) => void;
}

const nobody = () => null;
const ordinary = (at: number) => new URL(`https://hooks-${at % 50}.customer.example.com/done`).host;
const itsOwn = (at: number) => new URL(`https://${"x".repeat(60)}.${at}.${"y".repeat(60)}.example.com/`).host;

const KINDS: readonly Kind[] = [
  { name: "waiting", jobs: JOBS, steps: [() => ({})], host: nobody },
  {
    name: "waiting, with webhooks to 50 hosts",
    jobs: JOBS,
    steps: [() => ({ webhook: NOTHING_TO_SEND })],
    host: ordinary,
  },
  {
    name: "waiting, with webhooks to a host each",
    jobs: JOBS,
    steps: [() => ({ webhook: NOTHING_TO_SEND })],
    host: itsOwn,
  },
  { name: "of a tenant each", jobs: JOBS, steps: [(at) => ({ tenantId: `tenant-${at}` })], host: nobody },
  {
    name: "tried and waiting again",
    jobs: JOBS,
    steps: [() => ({}), running, (at) => ({ notBeforeMs: NOW_MS + 60_000 + at }), running, () => ({})],
    host: nobody,
  },
  {
    name: "parked",
    jobs: JOBS,
    steps: [() => ({})],
    host: nobody,
    after: (index, uuid) => index.park(uuid, NOW_MS + 30_000),
  },
  { name: "running", jobs: JOBS, steps: [() => ({}), running], host: nobody },
  { name: "with a line owed", jobs: JOBS, steps: [() => ({}), running, finished], host: nobody },
  {
    name: "with line and webhook owed",
    jobs: JOBS,
    steps: [() => ({}), running, (at) => ({ ...finished(at), webhook: owing(at) })],
    host: ordinary,
  },
  {
    name: "with a webhook owed to a host each",
    jobs: JOBS,
    steps: [(at) => ({ status: "FAILED", finishedAtMs: NOW_MS, webhook: owing(at) })],
    host: itsOwn,
  },
];

function fill({ jobs, steps, host, after }: Kind): LiveIndex {
  const index = new LiveIndex();
  for (let at = 0; at < jobs; at += 1) {
    const made = job(at, {});
    for (const step of steps) index.put({ ...made, ...step(at) }, 0, host(at), NOW_MS);
    after?.(index, made.uuid);
  }
  return index;
}

it.each(KINDS)("jobs $name take no more of the heap than the index says, and it is not far off", (kind) => {
  const before = heapBytes();
  const index = fill(kind);
  const measured = heapBytes() - before;
  console.info(`${kind.name}: ${Math.round(measured / kind.jobs)} bytes a job, estimated ${index.bytes / kind.jobs}`);
  expect(index.bytes).toBeGreaterThanOrEqual(measured);
  expect(index.bytes).toBeLessThan(2.5 * measured);
});

it.each(KINDS.slice(1, 2))("as many jobs $name as an endpoint may have fit into the bound", (kind) => {
  expect(fill({ ...kind, jobs: LIVE_JOBS_MAX }).bytes).toBeLessThanOrEqual(LIVE_INDEX_MAX_BYTES);
});

it("an index whose jobs are gone takes nothing", () => {
  const index = new LiveIndex();
  const made = Array.from({ length: 1_000 }, (_, at) => job(at, { webhook: NOTHING_TO_SEND }));
  for (const [at, each] of made.entries()) index.put(each, 0, ordinary(at), NOW_MS);
  expect(index.bytes).toBeGreaterThan(0);
  for (const each of made.slice(0, 500))
    index.put({ ...each, status: "CANCELLED", finishedAtMs: NOW_MS }, 0, null, NOW_MS);
  for (const each of made.slice(500)) index.forget(each.uuid);
  expect(index.bytes).toBe(0);
  expect(index.size).toBe(0);
});
