// Usage lines on their way to the accounts: what a line costs must not depend on how many are owed.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { v7 } from "uuid";
import { describe, expect, it, vi } from "vitest";
import { Egress } from "../../../src/broker/jobs/egress.ts";
import { LiveIndex } from "../../../src/broker/jobs/live-index.ts";
import { BrokerStore } from "../../../src/broker/store/jobs.ts";
import { MeteredSql } from "../../../src/broker/store/metered-sql.ts";
import { UsageOutbox } from "../../../src/broker/usage/outbox.ts";
import type { AccountApi, UsageBatch } from "../../../src/contract/usage.ts";
import { type Job, NOT_RUN, NOTHING_TO_SEND } from "../../../src/core/job/job.ts";
import { POST_TENANTS_MAX } from "../../../src/core/limits.ts";
import { makeBroker } from "../../support/broker.ts";

/** A job whose line is owed. */
function finishedJob(finishSeq: number, partial: Partial<Job> = {}): Job {
  const bill = { seq: 1, tier: "a4000", rateKind: "flex" as const, slots: 1, nanodollarsPerSecond: 1, seconds: 1 };
  return {
    ...NOT_RUN,
    history: [],
    uuid: v7(),
    mode: "run",
    tenantId: "owner",
    origin: null,
    status: "COMPLETED",
    createdAtMs: 1,
    queuedAtMs: 1,
    queueSeq: finishSeq,
    ttlAtMs: 1,
    executionTimeoutMs: 1,
    lowPriority: false,
    stored: null,
    retentionMs: 1_800_000,
    round: 0,
    formerWorkers: [],
    attempts: 1,
    webhook: null,
    finishedAtMs: 1,
    finishSeq,
    bill: { ...bill, amountNanodollars: 1, startedAtMs: 0, finishedAtMs: 1, tokens: null },
    ...partial,
  };
}

/** An account that takes everything, and notes what it was sent. */
class TakingAccount implements AccountApi {
  readonly batches: UsageBatch[] = [];

  async post(batch: UsageBatch): Promise<{ postedThrough: number }> {
    this.batches.push(batch);
    return { postedThrough: batch.lines.at(-1)?.finishSeq ?? 0 };
  }

  async parked(): Promise<[]> {
    return [];
  }

  get numbers(): number[] {
    return this.batches.flatMap(({ lines }) => lines.map(({ finishSeq }) => finishSeq));
  }
}

interface Setup {
  readonly sql: MeteredSql;
  readonly store: BrokerStore;
  readonly index: LiveIndex;
  readonly outbox: UsageOutbox;
  readonly account: TakingAccount;
  readonly storage: DurableObjectStorage;
}

/** Runs a posting of its own over the storage of a broker. */
async function withOutbox<T>(run: (setup: Setup) => Promise<T>): Promise<T> {
  const { endpointId } = await makeBroker({ upstreams: [] });
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (_, { storage }) => {
    const sql = new MeteredSql(storage);
    const store = new BrokerStore(sql);
    const index = new LiveIndex();
    const account = new TakingAccount();
    const outbox = new UsageOutbox({ endpointId, store, index, egress: new Egress(), accountOf: () => account });
    return run({ sql, store, index, outbox, account, storage });
  });
}

function keep({ store, index }: Setup, job: Job): void {
  const stored = { job, fields: {}, webhook: null, idempotencyKey: null };
  store.insertJob(stored, { kind: "inline", bytes: new Uint8Array([49]) });
  index.put(job, 0, null, 1);
}

/** Of so many lines, one in four stands in a row of its own. */
function oweLines(setup: Setup, lines: number): void {
  setup.store.transaction(() => {
    for (let finishSeq = 1; finishSeq <= lines; finishSeq += 1) {
      const job = finishedJob(finishSeq);
      if (finishSeq % 4 !== 0 || job.bill === null) keep(setup, job);
      else {
        const { tokens, ...bill } = job.bill;
        const ids = { source: job.uuid, endpointId: "e", jobId: job.uuid };
        setup.outbox.owe(finishSeq, "owner", { ...bill, ...ids, billedMs: 1_000, tokens }, 1);
      }
    }
  });
}

describe("posting", () => {
  it("reads at most two rows a line, whether 4,000 or 8,000 lines are owed", { timeout: 60_000 }, async () => {
    for (const lines of [4_000, 8_000]) {
      const { read, numbers } = await withOutbox(async (setup) => {
        oweLines(setup, lines);
        const before = setup.sql.meter.rowsRead;
        await setup.outbox.post(Date.now());
        expect(setup.index.unposted.size).toBe(0);
        expect(setup.index.size).toBe(0);
        return { read: setup.sql.meter.rowsRead - before, numbers: setup.account.numbers };
      });
      expect(numbers).toEqual(Array.from({ length: lines }, (_, at) => at + 1));
      console.info(`${lines} owed lines: ${read} rows read`);
      expect(read / lines).toBeLessThanOrEqual(2);
    }
  });

  it("posts the lines that an earlier start has left, in the order of their numbers, and each once", async () => {
    await withOutbox(async (setup) => {
      const [first, second, third] = [finishedJob(1), finishedJob(2), finishedJob(3)];
      for (const job of [third, first, second]) keep(setup, job);
      setup.outbox.keepBeforeRetry(second);
      const again = { ...second, ...NOT_RUN };
      setup.store.updateJob(again);
      const index = new LiveIndex();
      const outbox = new UsageOutbox({
        endpointId: "e",
        store: setup.store,
        index,
        egress: new Egress(),
        accountOf: () => setup.account,
      });
      for (const job of [third, first, again]) index.put(job, outbox.through("owner"), null, 1);
      expect(outbox.nextAtMs()).toBe(0);
      await outbox.post(Date.now());
      await outbox.post(Date.now());
      expect(setup.account.numbers).toEqual([1, 2, 3]);
      expect(setup.storage.sql.exec("SELECT * FROM owed").toArray()).toEqual([]);
      expect(index.unposted.size).toBe(0);
      expect(index.counts("owner").waiting).toBe(1);
    });
  });

  it("keeps the line of a finish that a retry wipes while the account is asked", async () => {
    await withOutbox(async (setup) => {
      const [first, second] = [finishedJob(1), finishedJob(2, { status: "FAILED" })];
      keep(setup, first);
      const asked = setup.outbox.post(Date.now());
      keep(setup, second);
      setup.store.transaction(() => {
        setup.outbox.keepBeforeRetry(second);
        setup.store.updateJob({ ...second, ...NOT_RUN });
      });
      setup.index.put({ ...second, ...NOT_RUN }, setup.outbox.through("owner"), null, 1);
      await asked;
      setup.index.put({ ...second, finishSeq: 3 }, setup.outbox.through("owner"), null, 1);
      setup.store.updateJob({ ...second, finishSeq: 3 });
      await setup.outbox.post(Date.now());
      expect(setup.account.numbers).toEqual([1, 2, 3]);
      expect(setup.account.batches.at(-1)?.lines.map(({ line }) => line.source)).toEqual([second.uuid, second.uuid]);
    });
  });

  it("asks a bounded number of accounts at once, and one that hangs holds up nobody else", {
    timeout: 20_000,
  }, async () => {
    await withOutbox(async ({ store, index }) => {
      const hanging = Promise.withResolvers<{ postedThrough: number }>();
      let asking = 0;
      let most = 0;
      const posted = new Set<string>();
      const accountOf = (tenantId: string): AccountApi => ({
        parked: async () => [],
        post: async ({ lines }) => {
          asking += 1;
          most = Math.max(most, asking);
          if (tenantId === "tenant-0") await hanging.promise;
          else await scheduler.wait(0);
          asking -= 1;
          posted.add(tenantId);
          return { postedThrough: lines.at(-1)?.finishSeq ?? 0 };
        },
      });
      const outbox = new UsageOutbox({ endpointId: "e", store, index, egress: new Egress(), accountOf });
      for (let at = 0; at < 4 * POST_TENANTS_MAX; at += 1) {
        const job = finishedJob(at + 1, { tenantId: `tenant-${at}` });
        store.insertJob(
          { job, fields: {}, webhook: null, idempotencyKey: null },
          { kind: "inline", bytes: new Uint8Array() },
        );
        index.put(job, 0, null, 1);
      }
      const done = outbox.post(Date.now());
      await vi.waitFor(() => expect(posted.size).toBe(4 * POST_TENANTS_MAX - 1), { timeout: 10_000 });
      expect(index.unposted.tenants()).toEqual(["tenant-0"]);
      expect(most).toBe(POST_TENANTS_MAX);
      hanging.resolve({ postedThrough: 0 });
      await done;
      expect(index.unposted.size).toBe(0);
    });
  });

  it("keeps a job whose webhook is owed when its line is posted", async () => {
    await withOutbox(async (setup) => {
      keep(setup, finishedJob(1, { webhook: { ...NOTHING_TO_SEND, nextAtMs: 5 } }));
      await setup.outbox.post(Date.now());
      expect(setup.account.numbers).toEqual([1]);
      expect(setup.index.size).toBe(1);
      expect(setup.index.counts("owner").webhooksOwed).toBe(1);
    });
  });
});
