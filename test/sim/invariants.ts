// The oracle: it keeps its own history of what was asked and answered, and says which promise a step broke.
// Written from the invariants (accepted is kept, one terminal, fencing, money), not from the state machine's code.

import type { JobEvent } from "../../src/core/job/event.ts";
import type { Bill, Job, JobStatus, Lease } from "../../src/core/job/job.ts";
import type { Context, Transition } from "../../src/core/job/transition.ts";
import { RESTARTS_MAX, START_FAILURES_MAX, UNDELIVERED_MAX } from "../../src/core/limits.ts";
import type { Decision } from "./decision.ts";
import { chargedMs, endMs, type Holder, loseMemory, newHolder, renewHolder } from "./holders.ts";
import { checkPromises } from "./promises.ts";
import { checkWorkers, periodMs } from "./worker-promises.ts";

/** A broken promise; `invariant` is its name in README.md beside this file. */
export class Violation extends Error {
  readonly invariant: string;

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`);
    this.invariant = invariant;
  }
}

interface History {
  readonly tenantId: string;
  readonly inputHash: string;
  readonly createdAtMs: number;
  readonly timeoutMs: number;
  readonly retentionMs: number;
  queuedAtMs: number;
  ttlMs: number;
  ttlAtMs: number;
  status: JobStatus;
  attempts: number;
  counted: number;
  restarts: number;
  /** Leases that ended without a word of the pulling worker that they were given to. */
  undelivered: number;
  /** Workers that failed their start with the job. */
  startFailures: number;
  holder: Holder | null;
  readonly ended: Set<string>;
  finishedAtMs: number | null;
}

const LIVE: ReadonlySet<JobStatus> = new Set<JobStatus>(["IN_QUEUE", "IN_PROGRESS"]);

/** Every legal move, by what caused it (S3). */
const LEGAL_MOVES: ReadonlySet<string> = new Set([
  "start IN_QUEUE IN_PROGRESS",
  "finish IN_PROGRESS COMPLETED",
  "finish IN_PROGRESS CANCELLED",
  "finish IN_PROGRESS FAILED",
  "finish IN_PROGRESS IN_QUEUE",
  "time IN_PROGRESS IN_QUEUE",
  "time IN_PROGRESS FAILED",
  "time IN_PROGRESS TIMED_OUT",
  "time IN_QUEUE TIMED_OUT",
  "cancel IN_QUEUE CANCELLED",
  "cancel IN_PROGRESS CANCELLED",
  "retry FAILED IN_QUEUE",
  "lost IN_PROGRESS IN_QUEUE",
  "lost IN_PROGRESS FAILED",
]);

function demand(holds: boolean, invariant: string, detail: () => string): asserts holds {
  if (!holds) throw new Violation(invariant, detail());
}

function same(left: unknown, right: unknown): boolean {
  return left === right || JSON.stringify(left) === JSON.stringify(right);
}

/** Whole seconds × rate ÷ slots, up, once; in integers that cannot lose a digit. */
function price(executionMs: number, lease: Lease): bigint {
  if (lease.rateKind === "active") return 0n;
  const seconds = (BigInt(executionMs) + 999n) / 1_000n;
  const slots = BigInt(lease.slots);
  return (seconds * BigInt(lease.nanodollarsPerSecond) + slots - 1n) / slots;
}

export class Oracle {
  readonly #histories = new Map<string, History>();
  readonly #billKeys = new Map<string, bigint>();
  #lastFinishSeq = 0;
  /** How often a rare corner was reached: a proof that never gets there proves nothing. */
  readonly seen = new Map<string, number>();

  submitted(job: Job, inputHash: string): void {
    this.#histories.set(job.uuid, {
      tenantId: job.tenantId,
      inputHash,
      createdAtMs: job.createdAtMs,
      queuedAtMs: job.createdAtMs,
      timeoutMs: job.executionTimeoutMs,
      retentionMs: job.retentionMs,
      ttlMs: job.ttlAtMs - job.createdAtMs,
      ttlAtMs: job.ttlAtMs,
      status: "IN_QUEUE",
      attempts: 0,
      counted: 0,
      restarts: 0,
      undelivered: 0,
      startFailures: 0,
      holder: null,
      ended: new Set(),
      finishedAtMs: null,
    });
  }

  /** Renewals lived in memory: a running lease gets one period of grace, and no second one before it is renewed. */
  restarted(nowMs: number): void {
    for (const { holder } of this.#histories.values()) {
      if (holder === null) continue;
      if (holder.graceUntilMs > 0) this.saw("second restart in a grace");
      loseMemory(holder, nowMs);
    }
  }

  /** An alarm has handled all that was due: no lease is left whose carrier has been silent for longer than it may. */
  alarmed(nowMs: number): void {
    for (const [uuid, { holder }] of this.#histories) {
      if (holder !== null)
        demand(nowMs <= endMs(holder), "F8", () => `the lease of ${uuid} goes on without its carrier`);
    }
  }

  /** A purge cancels every waiting job of the tenant, whether or not its row was rewritten. */
  purged(tenantId: string, nowMs: number): void {
    for (const history of this.#histories.values()) {
      if (history.tenantId !== tenantId || history.status !== "IN_QUEUE") continue;
      history.status = "CANCELLED";
      history.finishedAtMs = nowMs;
      this.saw("purged while waiting");
    }
  }

  decided(decision: Decision): void {
    const { before, event, context, result } = decision;
    const history = this.#history(before.uuid);
    demand(before.status === history.status, "S3", () => `${before.uuid} went to ${before.status} by itself`);
    const after = result.job;
    if (result.reply !== "done") {
      demand(same(after, before) && result.effects.length === 0, "F2", () => `a refused ${event.kind} changed the job`);
    }
    this.#checkFence(history, event, context, result);
    this.#checkReply(history, event, context, result);
    this.#checkFrozen(history, before, event, result);
    checkPromises(decision, charged(history, decision), demand);
    checkWorkers(decision, demand);
    if (after.status !== before.status) this.#move(history, decision);
    else if (event.kind === "renew" && result.reply === "done") this.#renewed(history, after, context);
    else if (history.holder !== null && after !== before) history.holder.writtenUntilMs = history.holder.untilMs;
    if (event.kind === "note_running" && result.reply === "done" && history.holder !== null) {
      history.holder.ranFromMs ??= context.nowMs;
    }
    if (event.kind === "set_ttl" && LIVE.has(before.status)) {
      this.#checkTtl(history, event.ttlMs, after);
    }
    if (event.kind === "time") this.#checkTime(history, before, context, after);
    demand(after.attempts === history.attempts, "S8", () => `attempt ${after.attempts} is not ${history.attempts}`);
    demand(
      (after.lease !== null) === (after.status === "IN_PROGRESS"),
      "F1",
      () => `${after.status} with a wrong lease`,
    );
  }

  /** After each step: what the shell holds against what was promised. `look` gives a job as it counts, or nothing. */
  check(shell: {
    readonly nowMs: number;
    look(uuid: string): { readonly job: Job; readonly inputHash: string; readonly hasOutput: boolean } | undefined;
    depth(tenantId: string): { readonly waiting: number; readonly running: number };
    readonly tenants: readonly string[];
    readonly bounds: ReadonlyMap<string, number>;
  }): void {
    const depth = new Map(shell.tenants.map((tenant) => [tenant, { waiting: 0, running: 0 }]));
    for (const [uuid, history] of this.#histories) {
      const found = shell.look(uuid);
      if (found === undefined) {
        this.#checkGone(uuid, history, shell.nowMs);
        continue;
      }
      demand(found.inputHash === history.inputHash, "S1", () => `${uuid} has another input`);
      demand(found.job.tenantId === history.tenantId, "S1", () => `${uuid} has another tenant`);
      demand(found.job.status === history.status, "S2", () => `${uuid} is ${found.job.status}, was ${history.status}`);
      const isEnd = LIVE.has(history.status) || found.job.finishedAtMs === history.finishedAtMs;
      demand(isEnd, "S3", () => `the end of ${uuid} moved to ${found.job.finishedAtMs}`);
      if (history.status === "CANCELLED") demand(!found.hasOutput, "S9", () => `${uuid} is cancelled with a result`);
      const count = depth.get(history.tenantId);
      if (count !== undefined && history.status === "IN_QUEUE") count.waiting += 1;
      if (count !== undefined && history.status === "IN_PROGRESS") count.running += 1;
    }
    for (const [tenant, count] of depth) {
      const bound = shell.bounds.get(tenant) ?? Number.POSITIVE_INFINITY;
      demand(count.running <= bound, "Q5", () => `${tenant} runs ${count.running} jobs at once, and may run ${bound}`);
      if (count.running === bound && count.waiting > 0) this.saw("a job waits for the bound of its tenant");
      demand(
        same(shell.depth(tenant), count),
        "S6",
        () => `depth of ${tenant} is ${JSON.stringify(shell.depth(tenant))}`,
      );
    }
  }

  /** At the end of a healed run: everything terminal, each bill once, both routes to the sum agree (B1, B2). */
  settled(books: readonly { debited: bigint; d1: ReadonlyMap<string, { bill: Bill }> }[]): void {
    for (const [uuid, history] of this.#histories) {
      demand(!LIVE.has(history.status), "L1", () => `${uuid} is still ${history.status}`);
    }
    const keys = books.flatMap((book) => [...book.d1.keys()]);
    demand(keys.length === new Set(keys).size, "B1", () => "a line stands in D1 twice");
    for (const key of this.#billKeys.keys()) demand(keys.includes(key), "B1", () => `${key} was never posted`);
    demand(keys.length === this.#billKeys.size, "B1", () => `${keys.length} lines for ${this.#billKeys.size} bills`);
    let expected = 0n;
    for (const amount of this.#billKeys.values()) expected += amount;
    let stored = 0n;
    for (const book of books) for (const line of book.d1.values()) stored += BigInt(line.bill.amountNanodollars);
    const debited = books.reduce((sum, book) => sum + book.debited, 0n);
    demand(stored === expected, "B2", () => `D1 has ${stored}, attempts cost ${expected}`);
    demand(debited === expected, "B2", () => `accounts debited ${debited}, attempts cost ${expected}`);
  }

  saw(corner: string): void {
    this.seen.set(corner, (this.seen.get(corner) ?? 0) + 1);
  }

  #history(uuid: string): History {
    const history = this.#histories.get(uuid);
    if (history === undefined) throw new Violation("S7", `${uuid} was never submitted`);
    return history;
  }

  /** A new ttl counts from the submit, or from the retry that queued the job anew. */
  #checkTtl(history: History, ttlMs: number, after: Job): void {
    const allowed = [history.createdAtMs + ttlMs, history.queuedAtMs + ttlMs];
    demand(allowed.includes(after.ttlAtMs), "S10", () => "a new ttl was not kept");
    history.ttlMs = ttlMs;
    history.ttlAtMs = after.ttlAtMs;
  }

  #checkFence(history: History, event: JobEvent, context: Context, result: Transition): void {
    const isFenced = ["renew", "note_upstream_job", "note_running", "finish", "lost"].includes(event.kind);
    if (!isFenced || !("token" in event)) return;
    const { holder } = history;
    if (holder !== null && holder.lease.token === event.token) {
      if (context.nowMs <= endMs(holder)) {
        demand(result.reply === "done", "F1", () => `the holder's ${event.kind} was ${result.reply}`);
        return;
      }
      this.saw("word of a holder after its lease");
      demand(result.reply === "stale", "F3", () => `${event.kind} after the lease ended was ${result.reply}`);
      return;
    }
    const invariant = history.ended.has(event.token) && event.kind === "finish" ? "F4" : "F2";
    this.saw(`stale ${event.kind} on ${history.status}`);
    demand(result.reply === "stale", invariant, () => `stale ${event.kind} on ${history.status} was ${result.reply}`);
  }

  #checkReply(history: History, event: JobEvent, context: Context, result: Transition): void {
    const { status } = history;
    if (event.kind === "retry") {
      const allowed = status === "FAILED" ? "done" : "refused";
      demand(result.reply === allowed, "S2", () => `retry from ${status} was ${result.reply}`);
    }
    if (event.kind === "cancel") {
      const expected = LIVE.has(status) ? "CANCELLED" : status;
      demand(result.job.status === expected, "S9", () => `cancel of ${status} gave ${result.job.status}`);
    }
    if (event.kind === "start" && result.reply === "done") {
      demand(status === "IN_QUEUE", status === "CANCELLED" ? "S9" : "F1", () => `started from ${status}`);
      demand(context.nowMs < history.ttlAtMs, "S10", () => "started after its ttl");
      demand(!history.ended.has(event.lease.token), "F1", () => "a lease token came twice");
    }
  }

  #checkFrozen(history: History, before: Job, event: JobEvent, result: Transition): void {
    if (LIVE.has(history.status) || (event.kind === "retry" && result.reply === "done")) return;
    const after = { ...result.job, webhook: before.webhook };
    demand(same(after, before), "S2", () => `${event.kind} changed a job that is ${history.status}`);
    demand(result.effects.length === 0, "S2", () => `${event.kind} had effects on a job that is ${history.status}`);
  }

  #renewed(history: History, after: Job, context: Context): void {
    if (history.holder === null || after.lease === null) return;
    const limitMs = context.nowMs + periodMs(after.lease);
    demand(after.lease.untilMs <= limitMs, "F1", () => "a renewal gave more than one period");
    renewHolder(history.holder, after.lease, context);
  }

  #move(history: History, decision: Decision): void {
    const { before, event, context, result } = decision;
    const after = result.job;
    const move = `${event.kind} ${before.status} ${after.status}`;
    demand(LEGAL_MOVES.has(move), "S3", () => `illegal move ${move}`);
    this.saw(move);
    const { holder } = history;
    if (event.kind === "start") {
      history.attempts += 1;
      history.holder = newHolder(event.lease);
    } else if (event.kind === "retry") {
      this.#retried(history, context, after);
    } else {
      this.#checkOutcome(history, decision);
      this.#checkBill(history, decision, holder);
      if (holder !== null) history.ended.add(holder.lease.token);
      history.holder = null;
      history.finishedAtMs = LIVE.has(after.status) ? null : context.nowMs;
    }
    history.status = after.status;
  }

  #retried(history: History, context: Context, after: Job): void {
    history.counted = 0;
    history.restarts = 0;
    history.undelivered = 0;
    history.startFailures = 0;
    history.finishedAtMs = null;
    history.ttlAtMs = after.ttlAtMs;
    demand(after.ttlAtMs > context.nowMs, "S10", () => "a retry has no time left");
    const longest = context.nowMs + history.ttlMs;
    demand(after.ttlAtMs <= longest, "S10", () => "a retry made the ttl longer");
    history.queuedAtMs = context.nowMs;
  }

  /** What the end of an attempt must mean for the job (S3, S8). */
  #checkOutcome(history: History, { event, context, result, before }: Decision): void {
    const { status } = result.job;
    if (event.kind === "finish") {
      const { kind } = event.outcome;
      if (kind === "attempt_failed") this.#countFailure(history, status, context);
      else if (kind === "start_failed") this.#countStartFailure(history, status);
      else if (kind === "completed") demand(status === "COMPLETED", "S3", () => `completed gave ${status}`);
      else if (kind === "abandoned") demand(status === "CANCELLED", "S3", () => `abandoned gave ${status}`);
      else if (kind === "upstream_paused" || kind === "upstream_unhealthy") {
        demand(status === "IN_QUEUE", "S8", () => `${kind} gave ${status}`);
      } else demand(status === "FAILED", "S3", () => `${kind} gave ${status}`);
      return;
    }
    const { holder } = history;
    if (event.kind === "lost") {
      if (event.delivered !== false && holder !== null) {
        this.#checkLoss(history, holder, status, context, event.delivered === "perhaps");
      } else demand(status === "IN_QUEUE", "S8", () => `a job that never arrived became ${status}`);
      return;
    }
    if (event.kind !== "time" || before.status !== "IN_PROGRESS" || status === "TIMED_OUT") return;
    if (holder === null) return;
    if (status === "FAILED" && context.nowMs >= holder.lease.startedAtMs + history.timeoutMs) return;
    demand(context.nowMs > endMs(holder), "F1", () => "a lease was taken away before its end");
    this.#checkLoss(history, holder, status, context);
  }

  /** Whose fault the loss of a lease was: a restart of ours and a silent delivery have bounds of their own. */
  #checkLoss(history: History, holder: Holder, status: JobStatus, context: Context, isDoubtful = false): void {
    if (holder.lease.incarnation === context.incarnation && !holder.lease.byClient) {
      const isUnheard = holder.lease.workerKeyId !== null && context.workerSeenAtMs <= holder.lease.startedAtMs;
      if ((isUnheard || isDoubtful) && history.undelivered < UNDELIVERED_MAX) {
        history.undelivered += 1;
        this.saw(isUnheard ? "lease lost without a word" : "lease lost as it was answered");
        demand(status === "IN_QUEUE", "S8", () => `undelivered ${history.undelivered} gave ${status}`);
      } else this.#countFailure(history, status, context);
    } else {
      history.restarts += 1;
      this.saw(holder.lease.byClient ? "lease lost with its client" : "lease lost by a restart");
      const expected = history.restarts > RESTARTS_MAX ? "FAILED" : "IN_QUEUE";
      demand(status === expected, "S8", () => `restart ${history.restarts} gave ${status}`);
    }
  }

  /** No handler began, so it costs nothing; but a job that no worker can start for must end. */
  #countStartFailure(history: History, status: JobStatus): void {
    history.startFailures += 1;
    const expected = history.startFailures > START_FAILURES_MAX ? "FAILED" : "IN_QUEUE";
    this.saw(`start failed ${status}`);
    demand(status === expected, "S8", () => `failed start ${history.startFailures} gave ${status}`);
  }

  #countFailure(history: History, status: JobStatus, context: Context): void {
    history.counted += 1;
    const expected = history.counted >= context.maxAttempts ? "FAILED" : "IN_QUEUE";
    demand(status === expected, "S8", () => `failure ${history.counted} of ${context.maxAttempts} gave ${status}`);
  }

  /** Billed: a result, a handler error, an execution timeout, the seconds until a cancel or the ttl. Nothing else. */
  #checkBill(history: History, decision: Decision, holder: Holder | null): void {
    const { event, result, before } = decision;
    const { job } = result;
    const billable = holder !== null && before.status === "IN_PROGRESS" && isBillable(decision, history, holder);
    const fresh = job.bill !== null && !LIVE.has(job.status);
    demand(fresh === billable, billable ? "B1" : "B5", () => `${event.kind} to ${job.status}: billed ${fresh}`);
    if (!billable || job.bill === null) return;
    const cost = price(charged(history, decision) ?? 0, holder.lease);
    demand(BigInt(job.bill.amountNanodollars) === cost, "B2", () => `${job.bill?.amountNanodollars} is not ${cost}`);
    const key = `${job.tenantId}/${job.uuid}/${job.bill.seq}`;
    demand(!this.#billKeys.has(key), "B1", () => `${key} is billed twice`);
    demand(job.bill.seq === history.attempts, "B1", () => `seq ${job.bill?.seq} is not attempt ${history.attempts}`);
    const seq = job.finishSeq;
    demand(seq !== null && seq > this.#lastFinishSeq, "B1", () => `finish number ${seq} after ${this.#lastFinishSeq}`);
    this.#lastFinishSeq = seq;
    this.#billKeys.set(key, cost);
  }

  #checkTime(history: History, before: Job, context: Context, after: Job): void {
    if (!LIVE.has(before.status)) return;
    if (context.nowMs >= history.ttlAtMs) {
      demand(after.status === "TIMED_OUT", "S10", () => `past its ttl and ${after.status}`);
    } else {
      demand(after.status !== "TIMED_OUT", "S10", () => "timed out before its ttl");
    }
    if (history.holder === null) return;
    const { lease } = history.holder;
    demand(context.nowMs <= endMs(history.holder), "F7", () => "a lost lease was left alone");
    demand(context.nowMs < lease.startedAtMs + history.timeoutMs, "F7", () => "ran past its execution timeout");
  }

  #checkGone(uuid: string, history: History, nowMs: number): void {
    const goneAtMs =
      history.finishedAtMs === null
        ? Number.POSITIVE_INFINITY
        : history.finishedAtMs + (history.status === "TIMED_OUT" ? 0 : history.retentionMs);
    demand(nowMs >= goneAtMs, "S1", () => `${uuid} vanished while ${history.status}`);
  }
}

function charged({ holder, timeoutMs }: History, decision: Decision): number | null {
  return chargedMs(holder, timeoutMs, decision, isEndedFromOutside(decision));
}

function isEndedFromOutside({ event, result: { job } }: Decision): boolean {
  if (event.kind === "cancel" || job.status === "TIMED_OUT") return true;
  if (event.kind === "time") return job.status === "FAILED" && job.failure?.code === "execution_timeout";
  return event.kind === "finish" && (event.outcome.kind === "timed_out" || event.outcome.kind === "abandoned");
}

function isBillable(decision: Decision, history: History, holder: Holder): boolean {
  const { event, context, result } = decision;
  const { status } = result.job;
  if (holder.ranFromMs === null && isEndedFromOutside(decision)) return false;
  if (event.kind === "cancel" || status === "TIMED_OUT") return true;
  if (event.kind === "time")
    return status === "FAILED" && context.nowMs >= holder.lease.startedAtMs + history.timeoutMs;
  if (event.kind !== "finish") return false;
  return ["completed", "handler_error", "timed_out", "abandoned"].includes(event.outcome.kind);
}
