// Posts the usage lines that a broker owes to the tenants' accounts: batches in order of finish, until accepted.
import type { AccountApi, UsageBatch, UsageLine } from "../../contract/usage.ts";
import { usageLineSchema } from "../../contract/usage.ts";
import { backoffMs } from "../../core/job/backoff.ts";
import { showJobId } from "../../core/job/id.ts";
import type { Job } from "../../core/job/job.ts";
import { OWED_LINES_MAX, POST_DELAY_MS, POST_LINES_MAX, POST_TENANTS_MAX, POST_TIMEOUT_MS } from "../../core/limits.ts";
import { within } from "../../db/deadline.ts";
import { log } from "../../log.ts";
import type { Timed } from "../alarm.ts";
import type { Egress } from "../jobs/egress.ts";
import { BATCH_MOST_BYTES, batchBytes } from "../jobs/egress-bytes.ts";
import type { LiveIndex } from "../jobs/live-index.ts";
import type { BrokerStore } from "../store/jobs.ts";

interface Parts {
  readonly endpointId: string;
  readonly store: BrokerStore;
  readonly index: LiveIndex;
  readonly egress: Egress;
  readonly accountOf: (tenantId: string) => AccountApi;
}

export class UsageOutbox implements Timed {
  readonly #parts: Parts;
  /** The last posted finish by tenant, of tenants that were looked up. */
  readonly #posted = new Map<string, number>();
  /** Tenants whose account is being called: it may hang, and then holds up only its own tenant. */
  readonly #asked = new Set<string>();
  /** Tenants whose account failed, and when it is called again, epoch ms. */
  readonly #troubled = new Map<string, { readonly failures: number; readonly atMs: number }>();
  /** The earliest time of `#troubled`, which each call needs; null: it must be computed again. */
  #troubledAtMs: number | null = Number.POSITIVE_INFINITY;
  #dueAtMs = Number.POSITIVE_INFINITY;

  constructor(parts: Parts) {
    this.#parts = parts;
    // These lines are in no job's row: lines of jobs that were retried before they were posted, of load-balanced requests,
    // and of active upstreams and workers. Nothing else would remember them after a restart.
    for (const { finishSeq, tenantId } of parts.store.owedLines()) {
      parts.index.unposted.add(tenantId, { finishSeq, uuid: null });
      this.#dueAtMs = 0;
    }
  }

  /** When something is to be posted next, epoch ms. */
  nextAtMs(): number {
    if (this.#troubledAtMs === null) {
      this.#troubledAtMs = Number.POSITIVE_INFINITY;
      for (const { atMs } of this.#troubled.values()) this.#troubledAtMs = Math.min(this.#troubledAtMs, atMs);
    }
    return Math.min(this.#dueAtMs, this.#troubledAtMs);
  }

  /** The alarm does not wait for the promise: an account that hangs must not hold up the deadlines of others. */
  run(nowMs: number): boolean | Promise<void> {
    return this.nextAtMs() > nowMs ? false : this.post(nowMs);
  }

  /** The number of a tenant's last finish whose line its account has. */
  through(tenantId: string): number {
    let through = this.#posted.get(tenantId);
    if (through === undefined) {
      through = this.#parts.store.postedThrough(tenantId);
      this.#posted.set(tenantId, through);
    }
    return through;
  }

  /** True: the endpoint owes as many lines as it may. Nobody knows in advance when accounts take them. */
  get isFull(): boolean {
    return this.#parts.index.unposted.size >= OWED_LINES_MAX;
  }

  /** Called when a line is owed from now on: it is posted together with those of the next second. */
  schedule(nowMs: number): void {
    this.#dueAtMs = Math.min(this.#dueAtMs, nowMs + POST_DELAY_MS);
  }

  /** Inside a retry's transaction: stores the line that the retry wipes from the job's row. The index follows later. */
  keepBeforeRetry(job: Job): void {
    if (job.bill === null || job.finishSeq === null || job.finishSeq <= this.through(job.tenantId)) return;
    this.#parts.store.owe(job.finishSeq, job.tenantId, JSON.stringify(toLine(job, this.#parts.endpointId)));
  }

  /** Stores a line that stands in no job's row. `finishSeq` is higher than that of every line before. */
  owe(finishSeq: number, tenantId: string, line: UsageLine, nowMs: number): void {
    const owed = [{ finishSeq, line }];
    this.keep(tenantId, owed);
    this.kept(tenantId, owed, nowMs);
  }

  /** The same for several, inside the transaction of what they are owed for. The caller calls `kept` once that has returned. */
  keep(tenantId: string, owed: UsageBatch["lines"]): void {
    for (const { finishSeq, line } of owed) this.#parts.store.owe(finishSeq, tenantId, JSON.stringify(line));
  }

  kept(tenantId: string, owed: UsageBatch["lines"], nowMs: number): void {
    for (const { finishSeq } of owed) this.#parts.index.unposted.add(tenantId, { finishSeq, uuid: null });
    if (owed.length > 0) this.schedule(nowMs);
  }

  /** Posts what is owed, some tenants side by side. Resolves when each account has answered or was given up; never throws. */
  async post(nowMs: number): Promise<void> {
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    const due = this.#parts.index.unposted
      .tenants()
      .filter((tenantId) => !this.#asked.has(tenantId) && (this.#troubled.get(tenantId)?.atMs ?? 0) <= nowMs);
    // All loops share one iterator, and skip a tenant that a later call has begun with meanwhile.
    const left = due.values();
    const inTurn = async (): Promise<void> => {
      for (const tenantId of left) if (!this.#asked.has(tenantId)) await this.#tryTenant(tenantId);
    };
    await Promise.all(Array.from({ length: POST_TENANTS_MAX }, inTurn));
  }

  async #tryTenant(tenantId: string): Promise<void> {
    const failures = (this.#troubled.get(tenantId)?.failures ?? 0) + 1;
    if (this.#troubled.delete(tenantId)) this.#troubledAtMs = null;
    this.#asked.add(tenantId);
    try {
      // Load-balanced requests may end faster than one batch a second could carry their lines.
      let hasMore = true;
      while (hasMore) hasMore = await this.#postTenant(tenantId);
      if (this.#parts.index.unposted.owes(tenantId)) this.schedule(Date.now());
    } catch (error) {
      const atMs = Date.now() + backoffMs(failures, 1_000, 60_000, 0);
      this.#troubled.set(tenantId, { failures, atMs });
      this.#troubledAtMs = null;
      log("posting_failed", { endpoint: this.#parts.endpointId, tenant: tenantId, error: String(error) });
    } finally {
      this.#asked.delete(tenantId);
    }
  }

  /** Posts one batch. True: it was a full one and all of it was taken, so that there may be more. */
  async #postTenant(tenantId: string): Promise<boolean> {
    const posted = await this.#parts.egress.leave(tenantId, BATCH_MOST_BYTES, () => {
      const batch = this.#batch(tenantId);
      const last = batch.lines.at(-1);
      if (last === undefined) return { value: null, bytes: 0 };
      const call = within(POST_TIMEOUT_MS, this.#parts.accountOf(tenantId).post(batch), "the account");
      return { value: call.then(({ postedThrough }) => ({ postedThrough, batch, last })), bytes: batchBytes(batch) };
    });
    if (posted === null) return false;
    const { postedThrough, batch, last } = posted;
    this.#settle(tenantId, postedThrough);
    return batch.lines.length === POST_LINES_MAX && postedThrough >= last.finishSeq;
  }

  /** Lines that the account has are owed no more. Memory is changed once the rows are. */
  #settle(tenantId: string, postedThrough: number): void {
    const { unposted } = this.#parts.index;
    const settled = unposted.through(tenantId, postedThrough);
    this.#parts.store.transaction(() => {
      this.#parts.store.setPosted(tenantId, postedThrough);
      for (const { finishSeq, uuid } of settled) if (uuid === null) this.#parts.store.dropOwed(finishSeq);
    });
    this.#posted.set(tenantId, postedThrough);
    unposted.drop(tenantId, settled.length);
    for (const { finishSeq, uuid } of settled) if (uuid !== null) this.#parts.index.posted(uuid, finishSeq);
  }

  #batch(tenantId: string): UsageBatch {
    const lines: { finishSeq: number; line: UsageLine }[] = [];
    for (const { finishSeq, uuid } of this.#parts.index.unposted.front(tenantId, POST_LINES_MAX)) {
      const line = uuid === null ? this.#owedLine(finishSeq) : this.#lineOf(uuid, finishSeq);
      if (line !== null) lines.push({ finishSeq, line });
    }
    return { broker: this.#parts.endpointId, lines };
  }

  #owedLine(finishSeq: number): UsageLine | null {
    const text = this.#parts.store.owedLine(finishSeq);
    return text === null ? null : usageLineSchema.parse(JSON.parse(text));
  }

  #lineOf(uuid: string, finishSeq: number): UsageLine | null {
    const stored = this.#parts.store.findJob(uuid);
    return stored?.job.finishSeq === finishSeq ? toLine(stored.job, this.#parts.endpointId) : null;
  }
}

/** The usage line of a job's newest finish. */
function toLine(job: Job, endpointId: string): UsageLine {
  if (job.bill === null) throw new Error("a job without a bill has no line");
  const { seq, tier, rateKind, slots, nanodollarsPerSecond, seconds, amountNanodollars, startedAtMs, finishedAtMs } =
    job.bill;
  // A job that an earlier release finished has no `tokens`.
  const tokens = job.bill.tokens ?? null;
  return {
    source: job.uuid,
    seq,
    endpointId,
    jobId: showJobId(job.uuid, job.mode),
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
