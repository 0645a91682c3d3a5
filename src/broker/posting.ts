// Lines owed by a broker, on their way to the tenants' accounts: batches in order of finish, posted until accepted.
import type { AccountApi, UsageBatch, UsageLine } from "../contract/usage.ts";
import { usageLineSchema } from "../contract/usage.ts";
import { backoffMs } from "../core/backoff.ts";
import type { Job } from "../core/job.ts";
import { makeJobId } from "../core/job-id.ts";
import { POST_DELAY_MS, POST_LINES_MAX, POST_TIMEOUT_MS } from "../core/limits.ts";
import { within } from "../db/deadline.ts";
import { log } from "../log.ts";
import type { LiveIndex } from "./live-index.ts";
import type { BrokerStore } from "./store.ts";

export class Posting {
  readonly #endpointId: string;
  readonly #store: BrokerStore;
  readonly #index: LiveIndex;
  readonly #accountOf: (tenantId: string) => AccountApi;
  readonly #posted: Map<string, number>;
  /** Lines in no job's row: of jobs that were retried before they were posted, and of load-balanced requests. In order. */
  #owed: { finish_seq: number; tenant_id: string; line: string }[];
  /** Tenants whose account is being asked: it may hang, and holds up only itself. */
  readonly #asked = new Set<string>();
  /** Tenants whose account failed: when it is asked again. */
  readonly #troubled = new Map<string, { readonly failures: number; readonly atMs: number }>();
  #dueAtMs = Number.POSITIVE_INFINITY;

  constructor(parts: {
    readonly endpointId: string;
    readonly store: BrokerStore;
    readonly index: LiveIndex;
    readonly accountOf: (tenantId: string) => AccountApi;
  }) {
    this.#endpointId = parts.endpointId;
    this.#store = parts.store;
    this.#index = parts.index;
    this.#accountOf = parts.accountOf;
    this.#posted = parts.store.postedThrough();
    this.#owed = parts.store.owedLines();
    // These stand in no job's row, so nothing else would remember them after a restart.
    if (this.#owed.length > 0) this.#dueAtMs = 0;
  }

  /** When something is to be posted next, epoch ms. */
  get nextAtMs(): number {
    let next = this.#dueAtMs;
    for (const { atMs } of this.#troubled.values()) next = Math.min(next, atMs);
    return next;
  }

  /** The last finish of a tenant that its account has. */
  through(tenantId: string): number {
    return this.#posted.get(tenantId) ?? 0;
  }

  /** A line is owed from now on: it is posted together with those of the next second. */
  schedule(nowMs: number): void {
    this.#dueAtMs = Math.min(this.#dueAtMs, nowMs + POST_DELAY_MS);
  }

  /** Inside the transaction of a retry: keeps the line of the finish that the retry wipes from the row. */
  keepBeforeRetry(job: Job): void {
    if (job.bill === null || job.finishSeq === null || job.finishSeq <= this.through(job.tenantId)) return;
    this.#store.owe(job.finishSeq, job.tenantId, JSON.stringify(toLine(job, this.#endpointId)));
    this.#owed = this.#store.owedLines();
  }

  /** A line that stands in no job's row. `finishSeq` is higher than that of every line before. */
  owe(finishSeq: number, tenantId: string, line: UsageLine, nowMs: number): void {
    const text = JSON.stringify(line);
    this.#store.owe(finishSeq, tenantId, text);
    this.#owed.push({ finish_seq: finishSeq, tenant_id: tenantId, line: text });
    this.schedule(nowMs);
  }

  /** Posts what is owed, all tenants side by side. Resolves when each account has answered or was given up; never throws. */
  async post(nowMs: number): Promise<void> {
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    const due = [...this.#owingTenants()].filter(
      (tenantId) => !this.#asked.has(tenantId) && (this.#troubled.get(tenantId)?.atMs ?? 0) <= nowMs,
    );
    await Promise.all(due.map((tenantId) => this.#tryTenant(tenantId)));
  }

  async #tryTenant(tenantId: string): Promise<void> {
    const failures = (this.#troubled.get(tenantId)?.failures ?? 0) + 1;
    this.#troubled.delete(tenantId);
    this.#asked.add(tenantId);
    try {
      // Load-balanced requests may end faster than one batch a second could tell of them.
      let hasMore = true;
      while (hasMore) hasMore = await this.#postTenant(tenantId);
      if (this.#owingTenants().has(tenantId)) this.schedule(Date.now());
    } catch (error) {
      const atMs = Date.now() + backoffMs(failures, 1_000, 60_000, 0);
      this.#troubled.set(tenantId, { failures, atMs });
      log("posting_failed", { endpoint: this.#endpointId, tenant: tenantId, error: String(error) });
    } finally {
      this.#asked.delete(tenantId);
    }
  }

  #owingTenants(): Set<string> {
    return new Set([...this.#index.unposted().keys(), ...this.#owed.map((row) => row.tenant_id)]);
  }

  /** Posts one batch. True: it was a full one and all of it was taken, so that there may be more. */
  async #postTenant(tenantId: string): Promise<boolean> {
    const batch = this.#batch(tenantId);
    const last = batch.lines.at(-1);
    if (last === undefined) return false;
    const reply = await within(POST_TIMEOUT_MS, this.#accountOf(tenantId).post(batch), "the account");
    const nowMs = Date.now();
    this.#store.transaction(() => this.#store.setPosted(tenantId, reply.postedThrough));
    this.#posted.set(tenantId, reply.postedThrough);
    this.#owed = this.#owed.filter((row) => row.tenant_id !== tenantId || row.finish_seq > reply.postedThrough);
    for (const { uuid } of this.#index.unposted().get(tenantId) ?? []) {
      const stored = this.#store.findJob(uuid);
      if (stored !== null) this.#index.put(this.#index.withMemory(stored.job), reply.postedThrough, null, nowMs);
    }
    return batch.lines.length === POST_LINES_MAX && reply.postedThrough >= last.finishSeq;
  }

  #batch(tenantId: string): UsageBatch {
    const lines: { finishSeq: number; line: UsageLine }[] = [];
    for (const row of this.#owed) {
      if (row.tenant_id !== tenantId) continue;
      // In order, so that those beyond are in a later batch in any case.
      if (lines.length >= POST_LINES_MAX) break;
      lines.push({ finishSeq: row.finish_seq, line: usageLineSchema.parse(JSON.parse(row.line)) });
    }
    for (const { finishSeq, uuid } of (this.#index.unposted().get(tenantId) ?? []).slice(0, POST_LINES_MAX)) {
      const stored = this.#store.findJob(uuid);
      if (stored?.job.finishSeq === finishSeq) lines.push({ finishSeq, line: toLine(stored.job, this.#endpointId) });
    }
    lines.sort((a, b) => a.finishSeq - b.finishSeq);
    return { broker: this.#endpointId, lines: lines.slice(0, POST_LINES_MAX) };
  }
}

/** The usage line of a job's newest finish. */
function toLine(job: Job, endpointId: string): UsageLine {
  if (job.bill === null) throw new Error("a job without a bill has no line");
  const { seq, tier, rateKind, slots, nanodollarsPerSecond, seconds, amountNanodollars, startedAtMs, finishedAtMs } =
    job.bill;
  // A job that a release before this one finished has none.
  const tokens = job.bill.tokens ?? null;
  return {
    source: job.uuid,
    seq,
    endpointId,
    jobId: makeJobId(job.uuid, job.mode),
    tier,
    rateKind,
    slots,
    nanodollarsPerSecond,
    seconds,
    amountNanodollars,
    startedAtMs,
    finishedAtMs,
    billedMs: seconds * 1_000,
    tokens,
  };
}
