// The jobs of one endpoint: read from rows with purges and renewals applied, and changed by `apply` alone. Core
// decides, one transaction writes, and after-commit.ts does what follows in the same turn.

import type { JobCall } from "../../contract/job-view.ts";
import type { JobEvent } from "../../core/job/event.ts";
import { staysInMemory } from "../../core/job/graces.ts";
import { parseJobId, showJobId } from "../../core/job/id.ts";
import { expiresAtMs, isTerminal, type Job, type Lease } from "../../core/job/job.ts";
import { type Context, transition } from "../../core/job/transition.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { estimateTokens } from "../../core/openai/token-usage.ts";
import type { BrokerState } from "../state.ts";
import type { StoredJob } from "../store/job-row.ts";
import { bytesAfter } from "../store/stored-bytes.ts";
import type { AfterCommit, Change } from "./after-commit.ts";
import type { PurgedEntry } from "./live-index.ts";
import { viewJob } from "./view.ts";

interface Parts extends BrokerState {
  readonly afterCommit: AfterCommit;
}

/** What a part is given that reads jobs and changes them. */
export interface OverJobs extends BrokerState {
  readonly jobs: Jobs;
}

/** The output that a transition stores with the job; undefined: the stored output stays as it is. */
type KeptOutput = PayloadRef | null | undefined;

export class Jobs {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Returns the job with what its row lacks: a purge cancels many jobs by one row, and memory renews leases. */
  settle(stored: Pick<StoredJob, "job">): Job {
    const purgedAtMs = this.#parts.purges.cancelledAtMs(stored.job);
    if (purgedAtMs === null) return this.#parts.index.withMemory(stored.job);
    return { ...transition(stored.job, { kind: "cancel" }, this.#context(purgedAtMs, stored.job)).job, webhook: null };
  }

  load(uuid: string): StoredJob | null {
    const stored = this.#parts.store.findJob(uuid);
    return stored === null ? null : { ...stored, job: this.settle(stored) };
  }

  byId(jobId: string): StoredJob | null {
    const id = parseJobId(jobId);
    return id === null ? null : this.load(id.uuid);
  }

  /**
   * Returns the caller's own job while it is readable; null alike if it is foreign, unknown, expired or timed out. What
   * another visitor's token has submitted is as foreign to a token as another tenant's job is.
   */
  own(call: JobCall, nowMs: number): StoredJob | null {
    const stored = this.byId(call.jobId);
    if (stored === null || stored.job.tenantId !== call.tenantId) return null;
    if (call.tokenId !== undefined && stored.job.tokenId !== call.tokenId) return null;
    if (showJobId(stored.job.uuid, stored.job.mode) !== call.jobId) return null;
    return expiresAtMs(stored.job) > nowMs ? stored : null;
  }

  /** Returns the job if its lease is this holder's; the lease may have run out a moment ago. */
  heldBy(holderId: string, jobId: string): StoredJob | null {
    const stored = this.byId(jobId);
    if (stored === null || isTerminal(stored.job.status)) return null;
    return stored.job.lease?.holderId === holderId ? stored : null;
  }

  /** Returns a new job as it enters when it runs at once; null: core refuses the start. */
  startEntering(job: Job, lease: Lease, nowMs: number): Job | null {
    const { job: started, reply } = transition(job, { kind: "start", lease }, this.#context(nowMs, job));
    return reply === "done" ? started : null;
  }

  /**
   * Lets core decide on one event, writes the change, and does all that must follow it in the same turn. `alongside`
   * writes further rows in the same transaction; it is not called when there is nothing to write.
   */
  apply(before: StoredJob, reported: JobEvent, nowMs: number, alongside?: () => void): Change {
    const event = this.#withPrompt(before, reported);
    const { job, effects, reply } = transition(before.job, event, this.#context(nowMs, before.job));
    const decided = { before, after: job, event, effects, reply, isWritten: false, revived: null, owed: null };
    if (job === before.job) return decided;
    const change = staysInMemory(event, before.job, job) ? decided : this.#write(decided, nowMs, alongside);
    this.#parts.afterCommit.follow(change, nowMs);
    return change;
  }

  #write(decided: Change, nowMs: number, alongside?: () => void): Change {
    const { store, kept, usageOutbox, owedWebhooks } = this.#parts;
    const { before, event, effects } = decided;
    const isRetry = event.kind === "retry";
    const output: KeptOutput = effects.find((effect) => effect.kind === "keep_output")?.output;
    const after = this.#counted(decided, output);
    const owed = isRetry ? this.#owedBeforeRetry(before) : null;
    const revived = store.transaction(() => {
      const mayRevive = isRetry || !kept.has(before.job);
      const taken = mayRevive ? kept.revive(before.job, nowMs) : null;
      if (isRetry) {
        usageOutbox.keepBeforeRetry(before.job);
        store.dropStream(before.job.uuid);
      }
      if (owed !== null) owedWebhooks.insert(owed.webhook, owed.output);
      if (output !== undefined) store.updateJobAndOutput(after, output);
      else store.updateJob(after);
      alongside?.();
      return taken;
    });
    return { ...decided, after, isWritten: true, revived, owed };
  }

  /** Cancels all waiting jobs of a tenant by one row, and takes them out of the order and the counts. */
  purge(tenantId: string, nowMs: number): readonly PurgedEntry[] {
    const { kept, purges, store, index } = this.#parts;
    const { waiting } = index.counts(tenantId);
    if (waiting === 0) return [];
    const through = kept.numbers.queueSeq;
    store.transaction(() => purges.insert(tenantId, through, nowMs, waiting));
    purges.remember(tenantId, through);
    return index.cancelWaiting(tenantId);
  }

  /** Stops a run of an earlier lease at the upstream, which the purged job would have taken up again. */
  stopPurged(uuid: string, nowMs: number): void {
    const job = this.#parts.store.findJob(uuid)?.job;
    if (job === undefined) return;
    this.#parts.afterCommit.stopUpstreams(transition(job, { kind: "cancel" }, this.#context(nowMs, job)).effects);
  }

  #context(nowMs: number, { lease }: Job): Context {
    const { endpoint, kept, roster } = this.#parts;
    return {
      nowMs,
      workerSeenAtMs: lease === null ? 0 : (roster.get(lease.holderId)?.lastSeenAtMs ?? 0),
      maxAttempts: endpoint.settings?.maxAttempts ?? 1,
      incarnation: endpoint.incarnation,
      nextQueueSeq: kept.numbers.queueSeq + 1,
      nextFinishSeq: kept.numbers.finishSeq + 1,
      jitter: Math.random(),
    };
  }

  /** Returns the job with the bytes that its rows take from now on. */
  #counted({ before: { job: before }, after, event }: Change, output: KeptOutput): Job {
    const running = before.lease === null ? 0 : this.#parts.chunks.streamedBytes(before);
    const measured = before.stored ?? this.#parts.store.measure(before.uuid);
    // The measured size of a row that an earlier release wrote includes the running attempt's chunks.
    const stored = before.stored !== null ? measured : { ...measured, chunks: measured.chunks - running };
    const streamed = after.lease === null ? running : 0;
    const error = before.failure === null ? (after.failure?.message ?? null) : null;
    return { ...after, stored: bytesAfter(stored, { output, error, streamed, isRetry: event.kind === "retry" }) };
  }

  /** A report for a pulling worker does not contain the prompt's length, by which its tokens are estimated. */
  #withPrompt({ job, inputPlace }: StoredJob, event: JobEvent): JobEvent {
    if (job.origin?.countsTokens !== true || event.kind !== "finish" || event.outcome.kind !== "completed")
      return event;
    const { outcome } = event;
    const { tokens } = outcome;
    if (tokens === null || tokens === undefined || !tokens.estimated || tokens.prompt > 0) return event;
    const input = this.#parts.store.readPayload(job.uuid, "input", inputPlace);
    const prompt = estimateTokens(input.kind === "inline" ? input.bytes.length : input.sizeBytes);
    return { ...event, outcome: { ...outcome, tokens: { ...tokens, prompt } } };
  }

  /** Returns the undelivered webhook that a retry would wipe from the row, as it would have been sent; null: none. */
  #owedBeforeRetry(stored: StoredJob): Change["owed"] {
    const { job, webhook } = stored;
    if (webhook === null || job.webhook === null || job.webhook.nextAtMs === null) return null;
    const { output, failure: _, ...view } = viewJob(job, this.#parts.store.readOutput(stored), null);
    const inline = output?.kind === "inline" ? output.bytes : null;
    const place = output?.kind === "r2" ? output : inline === null ? null : ({ kind: "row" } as const);
    const facts = { uuid: job.uuid, round: job.round, tenantId: job.tenantId, state: job.webhook };
    return { webhook: { ...facts, ...webhook, view, output: place }, output: inline };
  }
}
