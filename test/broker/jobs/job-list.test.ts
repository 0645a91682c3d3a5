// The list of a tenant's jobs: what it shows, to whom, and how many rows it reads for it.
import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { v7 } from "uuid";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BrokerApi, CallOf, SubmitCall } from "../../../src/contract/broker.ts";
import { failed } from "../../../src/core/job/failure.ts";
import type { JobFilter } from "../../../src/core/job/filter.ts";
import { FILTER_ROWS_READ_MAX, JOBS_LISTED_MAX, TURN_ROWS_MAX } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { holdCarriers, makeBroker, submission } from "../../support/broker.ts";
import { DAY_MS, inBroker, keepCopies } from "../../support/kept-jobs.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

type Page = CallOf<"listJobs">;

function list(broker: BrokerApi, partial: Partial<Page> = {}) {
  return broker.listJobs({ tenantId: "owner", filter: {}, before: null, limit: 100, ...partial });
}

/** The ids of one page. */
async function idsOf(broker: BrokerApi, filter: JobFilter = {}): Promise<string[]> {
  return (await list(broker, { filter })).jobs.map(({ id }) => id);
}

/** Submits a job, a millisecond after the one before. */
async function submit(broker: BrokerApi, partial: Partial<SubmitCall> = {}): Promise<string> {
  vi.setSystemTime(Date.now() + 1);
  const call = submission(partial);
  expect(await broker.submit(call)).toMatchObject({ ok: true });
  return call.jobId;
}

const uuidOf = (jobId: string) => jobId.replace(/^sync-|-u1$/g, "");
const tagged = (metadata: Record<string, string>) => ({ fields: { metadata: JSON.stringify(metadata) } });

/** A broker whose jobs a test starts and finishes by hand. */
async function makeHandled(partial: Parameters<typeof makeBroker>[0] = {}) {
  const carriers = holdCarriers();
  const made = await makeBroker({ maxAttempts: 1, ...partial });
  const start = async () => {
    const known = carriers.length;
    await made.broker.start();
    await vi.waitFor(() => expect(carriers.length).toBeGreaterThan(known));
    return carriers.at(-1) ?? { jobId: "", lease: "" };
  };
  return { ...made, start };
}

describe("a list of jobs", () => {
  it("shows a job that waits with its times and tags, and none of its payloads", async () => {
    const { broker } = await makeBroker({ upstreams: [] });
    const webhook = { url: "https://receiver.example.com/", sealedSecret: "sealed" };
    const id = await submit(broker, { ...tagged({ order: "7" }), webhook });
    const createdAtMs = Date.now();
    expect(await list(broker)).toEqual({
      jobs: [
        {
          id,
          status: "IN_QUEUE",
          createdAtMs,
          queuedAtMs: createdAtMs,
          finishedAtMs: null,
          expiresAtMs: null,
          delayMs: null,
          executionMs: null,
          workerId: null,
          retries: 0,
          attempts: 0,
          failure: null,
          metadata: { order: "7" },
          webhook: { tries: 0, dead: false },
        },
      ],
      scanned: 1,
      next: null,
    });
  });

  it("shows a failed job with its code and the beginning of its message, its worker and its end", async () => {
    const { broker, start } = await makeHandled({ runRetentionMs: 60_000 });
    const id = await submit(broker);
    const startedMs = Date.now();
    const carrier = await start();
    vi.setSystemTime(startedMs + 2_000);
    const failure = failed("handler_error", "é".repeat(1_000));
    await broker.finish({ ...carrier, outcome: { kind: "handler_error", failure, output: null } });
    const { jobs } = await list(broker);
    expect(jobs).toMatchObject([
      {
        id,
        status: "FAILED",
        finishedAtMs: startedMs + 2_000,
        expiresAtMs: startedMs + 62_000,
        executionMs: 2_000,
        workerId: "u1",
        attempts: 1,
        retries: 0,
        failure: { code: "handler_error", source: "worker", message: "é".repeat(128) },
        metadata: null,
        webhook: null,
      },
    ]);
  });

  it("goes from the newest to the oldest job, page by page, each once", async () => {
    const { broker } = await makeBroker({ upstreams: [] });
    const ids: string[] = [];
    for (let made = 0; made < 7; made += 1) ids.unshift(await submit(broker));
    const first = await list(broker, { limit: 3 });
    expect(first).toMatchObject({ scanned: 3, next: uuidOf(ids[2] ?? "") });
    // What comes meanwhile is newer than the page, and moves nothing.
    await submit(broker);
    const second = await list(broker, { limit: 3, before: first.next });
    const third = await list(broker, { limit: 3, before: second.next });
    expect(third).toMatchObject({ scanned: 1, next: null });
    expect([first, second, third].flatMap(({ jobs }) => jobs.map(({ id }) => id))).toEqual(ids);
  });

  it("has no next page where the last job fills the page", async () => {
    const { broker } = await makeBroker({ upstreams: [] });
    await submit(broker);
    await submit(broker);
    expect(await list(broker, { limit: 2 })).toMatchObject({ scanned: 2, next: null });
    const { next } = await list(broker, { limit: 1 });
    expect(await list(broker, { limit: 1, before: next })).toMatchObject({ scanned: 1, next: null });
  });

  it("shows at most 100 jobs and at least one, whatever is asked for", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    await inBroker(endpointId, async (within) => {
      for (let made = 0; made < JOBS_LISTED_MAX + 1; made += 1) await within.submit(submission());
    });
    expect((await list(broker, { limit: 1_000 })).jobs).toHaveLength(JOBS_LISTED_MAX);
    expect((await list(broker, { limit: 0 })).jobs).toHaveLength(1);
  });

  it("looks at the jobs of other tenants of the endpoint, counts them, and shows none of them", async () => {
    const { broker } = await makeBroker({ upstreams: [] });
    const own = await submit(broker);
    for (let made = 0; made < 3; made += 1) await submit(broker, { tenantId: "another", ...tagged({ a: "1" }) });
    expect(await list(broker)).toMatchObject({ jobs: [{ id: own }], scanned: 4 });
    expect(await list(broker, { filter: { metadata: { a: "1" } } })).toMatchObject({
      jobs: [],
      scanned: 4,
      next: null,
    });
    expect((await list(broker, { tenantId: "another" })).jobs).toHaveLength(3);
    expect(await list(broker, { tenantId: "third" })).toMatchObject({ jobs: [], scanned: 4 });
  });

  it("shows jobs of release 0.1, whose metadata was any value, without tags", async () => {
    const { broker } = await makeBroker({ upstreams: [] });
    for (const metadata of ["[1]", '"red"', '{"order":7}', `{"a":"${"x".repeat(60_000)}"}`])
      await submit(broker, { fields: { metadata } });
    expect((await list(broker)).jobs.map(({ metadata }) => metadata)).toEqual([null, null, null, null]);
    expect(await idsOf(broker, { metadata: { order: "7" } })).toEqual([]);
  });

  it("finds a tag by any name, and shows it as it came", async () => {
    const { broker } = await makeBroker({ upstreams: [] });
    const metadata = '{"__proto__":"p","a.b":"\\u0000\\ud83d\\ude00","\\"":"q"}';
    const id = await submit(broker, { fields: { note: '"{\\"metadata\\":1}"', metadata } });
    for (const [name, tag] of [
      ["__proto__", "p"],
      ["a.b", "\u0000😀"],
      ['"', "q"],
    ] as const)
      expect(await idsOf(broker, { metadata: Object.fromEntries([[name, tag]]) })).toEqual([id]);
    const [shown] = (await list(broker)).jobs;
    expect(Object.entries(shown?.metadata ?? {})).toEqual([
      ["__proto__", "p"],
      ["a.b", "\u0000😀"],
      ['"', "q"],
    ]);
  });

  it("shows a purged job as CANCELLED, as its status does, and no job whose retention is over", async () => {
    const { broker } = await makeBroker({ upstreams: [], runRetentionMs: 60_000 });
    const cancelled = await submit(broker);
    await broker.cancel({ tenantId: "owner", jobId: cancelled });
    vi.setSystemTime(Date.now() + 30_000);
    const purged = await submit(broker);
    await broker.purgeQueue({ tenantId: "owner" });
    const waiting = await submit(broker);
    expect((await list(broker)).jobs).toMatchObject([
      { id: waiting, status: "IN_QUEUE" },
      { id: purged, status: "CANCELLED", finishedAtMs: Date.now() - 1, expiresAtMs: Date.now() + 59_999 },
      { id: cancelled, status: "CANCELLED" },
    ]);
    expect(await idsOf(broker, { status: ["IN_QUEUE"] })).toEqual([waiting]);
    vi.setSystemTime(Date.now() + 30_000);
    expect(await list(broker)).toMatchObject({ jobs: [{ id: waiting }, { id: purged }], scanned: 3 });
    vi.setSystemTime(Date.now() + 30_000);
    expect(await list(broker)).toMatchObject({ jobs: [{ id: waiting }], scanned: 3 });
  });

  it("does not show a job whose ttl has passed", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    await submit(broker, { policy: { executionTimeoutMs: null, ttlMs: 10_000, lowPriority: false } });
    vi.setSystemTime(Date.now() + 11_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    expect((await list(broker)).jobs).toEqual([]);
  });

  it("is the same after a start of the object", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    for (let made = 0; made < 3; made += 1) await submit(broker, tagged({ n: String(made) }));
    const before = await list(broker);
    await abortAllDurableObjects();
    expect(await list(brokerOf(env, endpointId))).toEqual(before);
  });
});

describe("a filtered list", () => {
  it("shows the jobs that match in status, failure and tags", async () => {
    const { broker, start } = await makeHandled();
    const failing = await submit(broker, tagged({ customer: "c7", run: "1" }));
    const carrier = await start();
    const failure = failed("handler_error", "no");
    await broker.finish({ ...carrier, outcome: { kind: "handler_error", failure, output: null } });
    const running = await submit(broker, tagged({ customer: "c7", run: "2" }));
    await start();
    const cancelled = await submit(broker);
    await broker.cancel({ tenantId: "owner", jobId: cancelled });
    expect(await idsOf(broker, { status: ["FAILED"] })).toEqual([failing]);
    expect(await idsOf(broker, { status: ["IN_PROGRESS", "CANCELLED"] })).toEqual([cancelled, running]);
    expect(await idsOf(broker, { errorCode: "handler_error" })).toEqual([failing]);
    expect(await idsOf(broker, { errorCode: "worker_lost" })).toEqual([]);
    expect(await idsOf(broker, { metadata: { customer: "c7" } })).toEqual([running, failing]);
    expect(await idsOf(broker, { metadata: { customer: "c7", run: "2" } })).toEqual([running]);
    expect(await idsOf(broker, { metadata: { customer: "c7" }, status: ["FAILED"] })).toEqual([failing]);
  });

  it("shows the jobs of a time, by that in their ids", async () => {
    const { broker } = await makeBroker({ upstreams: [] });
    const atMs = Date.now();
    const ids: string[] = [];
    for (let at = 0; at < 4; at += 1) ids.push(await submit(broker, { jobId: `${v7({ msecs: atMs + at })}-u1` }));
    const filter = { fromMs: atMs + 1, toMs: atMs + 3 };
    expect(await idsOf(broker, filter)).toEqual([ids[2], ids[1]]);
    expect(await list(broker, { filter })).toMatchObject({ scanned: 2, next: null });
  });
});

describe("beside 10,000 jobs", () => {
  const ROWS = 10_000;

  /** An endpoint with so many completed jobs of one moment. Its last row is the oldest job, which alone has a tag. */
  async function makeLarge(): Promise<string> {
    const { endpointId } = await makeBroker({ runRetentionMs: DAY_MS, tenantSharePercent: 100 });
    vi.useRealTimers();
    await keepCopies(endpointId, ROWS - 1);
    await inBroker(endpointId, (_, { sql }) => {
      const tags = JSON.stringify({ metadata: '{"oldest":"yes"}' });
      sql.exec("UPDATE jobs SET fields = ? WHERE uuid = (SELECT min(uuid) FROM jobs)", tags);
    });
    return endpointId;
  }

  /** One page, and the rows that were read for it. */
  async function readBy(endpointId: string, partial: Partial<Page>) {
    return inBroker(endpointId, async (broker) => {
      const before = broker.meter.rowsRead;
      const page = await list(broker, partial);
      return { page, rowsRead: broker.meter.rowsRead - before };
    });
  }

  it("a page reads twice its rows, of a time too, and one that finds nothing 2,000 and gives the next page", {
    timeout: 60_000,
  }, async () => {
    const endpointId = await makeLarge();
    for (const filter of [{}, { fromMs: Date.now() - DAY_MS, toMs: Date.now() + DAY_MS }]) {
      for (const limit of [1, 10, 100]) {
        const { page, rowsRead } = await readBy(endpointId, { filter, limit });
        expect(page.jobs).toHaveLength(limit);
        expect(page.scanned).toBe(limit);
        expect(rowsRead).toBeLessThanOrEqual(2 * limit + 3);
      }
    }
    const none = await readBy(endpointId, { filter: { toMs: Date.now() - DAY_MS } });
    expect(none.page).toEqual({ jobs: [], scanned: 0, next: null });
    expect(none.rowsRead).toBeLessThanOrEqual(1);
    for (const filter of [{ status: ["FAILED"] }, { metadata: { oldest: "yes" } }] satisfies JobFilter[]) {
      const { page, rowsRead } = await readBy(endpointId, { filter });
      expect(page).toMatchObject({ jobs: [], scanned: FILTER_ROWS_READ_MAX, next: expect.any(String) });
      // Each portion reads up to two rows ahead of what it looks at.
      expect(rowsRead).toBeLessThanOrEqual(FILTER_ROWS_READ_MAX + (2 * FILTER_ROWS_READ_MAX) / TURN_ROWS_MAX);
    }
    const stranger = await readBy(endpointId, { tenantId: "stranger" });
    expect(stranger.page).toMatchObject({ jobs: [], scanned: FILTER_ROWS_READ_MAX });

    const filter = { metadata: { oldest: "yes" } };
    const scans: number[] = [];
    let found: unknown[] = [];
    for (let before: string | null = null, at = 0; at < 10; at += 1) {
      const { page } = await readBy(endpointId, { filter, before });
      scans.push(page.scanned);
      found = [...found, ...page.jobs];
      before = page.next;
      if (before === null) break;
    }
    expect(scans).toEqual([2_000, 2_000, 2_000, 2_000, 2_000]);
    expect(found).toMatchObject([{ metadata: { oldest: "yes" } }]);
  });

  it("no turn of the object looks at more than 100 rows, however many lists come together", {
    timeout: 60_000,
  }, async () => {
    const endpointId = await makeLarge();
    await inBroker(endpointId, async (broker) => {
      let most = 0;
      let before = broker.meter.rowsRead;
      const note = (): void => {
        most = Math.max(most, broker.meter.rowsRead - before);
        before = broker.meter.rowsRead;
      };
      let open = 3;
      const lists = Array.from({ length: open }, () =>
        list(broker, { filter: { status: ["FAILED"] } }).finally(() => {
          open -= 1;
        }),
      );
      note();
      while (open > 0) {
        await scheduler.wait(0);
        note();
      }
      await Promise.all(lists);
      // A timer of ours may fire once while two turns of the object's have passed.
      expect(most).toBeLessThanOrEqual(2 * (TURN_ROWS_MAX + 2));
    });
  });
});
