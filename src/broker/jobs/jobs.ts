// The jobs of one endpoint as a whole: rows, memory and upstreams kept in step. Every change of a job goes through
// `apply`: core decides, one transaction writes, then memory follows in the same turn.

import type { JobCall, JobView } from "../../contract/job-view.ts";
import type { EndpointSettings, Upstream } from "../../contract/settings.ts";
import type { JobEvent } from "../../core/job/event.ts";
import { type Graces, staysInMemory } from "../../core/job/graces.ts";
import { parseJobId, showJobId } from "../../core/job/id.ts";
import { expiresAtMs, isRunning, isTerminal, isWaiting, type Job, type Lease, leaseEndMs } from "../../core/job/job.ts";
import { type Context, type Effect, type Transition, transition } from "../../core/job/transition.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { HOLD_BACK_MS, SWEEP_OWING_EVERY_MS } from "../../core/limits.ts";
import { estimateTokens } from "../../core/openai/token-usage.ts";
import type { RecentTimes } from "../../core/scheduling/recent-times.ts";
import { TrialTurns } from "../../core/scheduling/trial-turns.ts";
import { UpstreamPool } from "../../core/scheduling/upstream-pool.ts";
import type { GraceRow } from "../store/grace-row.ts";
import type { StoredJob } from "../store/job-row.ts";
import type { BrokerStore } from "../store/jobs.ts";
import type { KeptRows } from "../store/kept-rows.ts";
import type { Purges } from "../store/purges.ts";
import { bytesAfter } from "../store/stored-bytes.ts";
import type { UsageOutbox } from "../usage/outbox.ts";
import type { OwedWebhook, OwedWebhooks } from "../webhooks/owed.ts";
import { isPricedHolder } from "./leasing.ts";
import type { LiveIndex } from "./live-index.ts";
import { type LongPolls, streamOf } from "./long-polls.ts";
import type { PurgeTrail } from "./purge-follow-up.ts";
import type { Sweep } from "./sweep.ts";
import { explainWait, viewJob } from "./view.ts";

interface Parts {
  readonly store: BrokerStore;
  readonly graceRow: GraceRow;
  readonly purges: Purges;
  readonly kept: KeptRows;
  readonly index: LiveIndex;
  readonly usageOutbox: UsageOutbox;
  readonly sweep: Sweep;
  readonly longPolls: LongPolls;
  readonly purgeTrail: PurgeTrail;
  readonly owedWebhooks: OwedWebhooks;
  /** A webhook left the row of its job for one of its own. */
  readonly webhookMoved: (owed: OwedWebhook) => void;
  /** Deletes objects of R2; not waited for. */
  readonly dropPayloads: (keys: readonly string[]) => void;
  /** Tells an upstream to stop a job; not waited for. */
  readonly stopUpstream: (upstream: Upstream, upstreamJobId: string) => void;
  readonly workers: PullHooks;
  /** Bytes that the running attempt has streamed. */
  readonly streamed: (job: Job) => number;
  /** The attempt that streamed is over. */
  readonly streamEnded: (uuid: string) => void;
}

/** What pulling workers have to do with jobs. */
interface PullHooks {
  /** When the worker of these slots was last heard of, epoch ms; 0 for never. */
  seenAtMs(holderId: string): number;
  /** A lease of a pulling worker has ended. `lost`: it has not reported the job, and does not have it any more. */
  leaseEnded(holderId: string, job: Job, how: "finished" | "lost" | "taken_away", nowMs: number): void;
  /** It may still run a job whose lease, of this token, has ended. */
  stop(holderId: string, job: Job, token: string): void;
  /** Why no worker takes jobs; null: an upstream or a worker does, or is only busy. */
  explainAbsence(nowMs: number): string | null;
  /** What the running handler has told of itself; null: nothing. */
  progressOf(uuid: string): Uint8Array | null;
}

export class Jobs {
  readonly pool = new UpstreamPool();
  readonly trials = new TrialTurns(this.pool);
  readonly incarnation = crypto.randomUUID();
  readonly #parts: Parts;
  #settings: EndpointSettings | null;

  /** Reads what an earlier start of the object has left and rebuilds memory from it. */
  constructor(parts: Parts, nowMs: number) {
    this.#parts = parts;
    this.#settings = parts.store.readSettings();
    this.#rebuild(nowMs);
  }

  get settings(): EndpointSettings | null {
    return this.#settings;
  }

  get nextQueueSeq(): number {
    return this.#parts.kept.numbers.queueSeq + 1;
  }

  /** How long the newest jobs took. */
  get recentTimes(): RecentTimes {
    return this.#parts.kept.recentTimes;
  }

  /** The next number in the order of lines, for one that stands in no job's row. */
  takeFinishSeq(nowMs: number): number {
    const { kept, store } = this.#parts;
    return kept.numbers.takeFinishSeq(() => store.transaction(() => kept.write(nowMs)));
  }

  configure(settings: EndpointSettings, nowMs: number): void {
    this.#parts.store.transaction(() => this.#parts.store.writeSettings(settings));
    this.#settings = settings;
    this.#configurePool(settings, nowMs);
  }

  /** Other upstreams than before have a price. */
  reprice(nowMs: number): void {
    if (this.#settings !== null) this.#configurePool(this.#settings, nowMs);
  }

  /** A job that is to enter as a running one; null: it cannot. */
  startEntering(job: Job, lease: Lease, nowMs: number): Job | null {
    const { job: started, reply } = transition(job, { kind: "start", lease }, this.#context(nowMs, job));
    return reply === "done" ? started : null;
  }

  /** A job whose row a submit has just written. */
  enter(job: Job, webhookHost: string | null, nowMs: number): void {
    this.#parts.kept.entered(job);
    if (job.lease !== null) this.#noteStart(job.tenantId, job.lease, nowMs);
    this.#parts.index.put(job, this.#parts.usageOutbox.through(job.tenantId), webhookHost, nowMs);
  }

  /** Cancels all waiting jobs of a tenant by one row; the sweep deletes theirs later. Returns how many there were. */
  purge(tenantId: string, nowMs: number): number {
    const { kept, purges, store, index, purgeTrail } = this.#parts;
    const { waiting } = index.counts(tenantId);
    if (waiting === 0) return 0;
    const through = kept.numbers.queueSeq;
    store.transaction(() => purges.insert(tenantId, through, nowMs, waiting));
    purges.remember(tenantId, through);
    const purged = index.cancelWaiting(tenantId);
    purgeTrail.follow(purged, (uuid) => this.#stopPurged(uuid, nowMs));
    this.#parts.sweep.expect(nowMs, nowMs);
    return purged.length;
  }

  /** The run of an earlier lease that a purged job would have taken up again. */
  #stopPurged(uuid: string, nowMs: number): void {
    const stored = this.#parts.store.findJob(uuid);
    if (stored === null) return;
    for (const effect of transition(stored.job, { kind: "cancel" }, this.#context(nowMs, stored.job)).effects) {
      if (effect.kind === "stop_upstream") this.#runEffect(effect, stored.job, nowMs);
    }
  }

  #rebuild(nowMs: number): void {
    this.reprice(nowMs);
    const { store, kept, purges, index, sweep, graceRow } = this.#parts;
    const graces = graceRow.read();
    for (const { job, webhookHost } of store.startRows(kept.floor, kept.readListed())) {
      kept.read(job);
      const isPurged = purges.cancelledAtMs(job) !== null;
      if (!isPurged) this.#remember(job, webhookHost, graces, nowMs);
      sweep.found(this.#sweptAtMs(isPurged ? this.settle({ job }) : job, nowMs));
      kept.settleInStart(job.uuid, index);
    }
    graceRow.keep(graces);
  }

  /** When the sweep can delete a row that a start reads, epoch ms. One that is past its time and owes something is tried later. */
  #sweptAtMs(job: Job, nowMs: number): number {
    const expiresMs = expiresAtMs(job);
    const owes = this.#parts.index.has(job.uuid) || this.#parts.owedWebhooks.holdsJob(job.uuid);
    return owes && expiresMs <= nowMs ? nowMs + SWEEP_OWING_EVERY_MS : expiresMs;
  }

  #remember(job: Job, webhookHost: string | null, graces: Graces, nowMs: number): void {
    const { index, usageOutbox } = this.#parts;
    const resumed = job.lease === null ? job : { ...job, lease: graces.resume(job.lease, nowMs) };
    if (resumed.lease !== null) this.#noteStart(job.tenantId, resumed.lease, nowMs);
    const through = usageOutbox.through(job.tenantId);
    index.put(resumed, through, webhookHost, nowMs);
    if (job.finishSeq !== null && job.finishSeq > through) usageOutbox.schedule(nowMs);
  }

  #configurePool(settings: EndpointSettings, nowMs: number): void {
    const priced = settings.upstreams.filter((upstream) => isPricedHolder(upstream, settings, nowMs));
    this.pool.configure(priced, nowMs);
  }

  #context(nowMs: number, job: Job): Context {
    const { lease } = job;
    return {
      nowMs,
      workerSeenAtMs: lease === null ? 0 : this.#parts.workers.seenAtMs(lease.holderId),
      maxAttempts: this.#settings?.maxAttempts ?? 1,
      incarnation: this.incarnation,
      nextQueueSeq: this.nextQueueSeq,
      nextFinishSeq: this.#parts.kept.numbers.finishSeq + 1,
      jitter: Math.random(),
    };
  }

  /** The job as it counts: one row of a purge cancels many jobs, and the lease may have been renewed in memory. */
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

  /** The caller's own job while it is readable; foreign, unknown, expired and timed out are all the same null. */
  own(call: JobCall, nowMs: number): StoredJob | null {
    const stored = this.byId(call.jobId);
    if (stored === null || stored.job.tenantId !== call.tenantId) return null;
    if (showJobId(stored.job.uuid, stored.job.mode) !== call.jobId) return null;
    return expiresAtMs(stored.job) > nowMs ? stored : null;
  }

  /** One decision of core, written and taken over. */
  apply(stored: StoredJob, reported: JobEvent, nowMs: number): Transition {
    const before = stored.job;
    const event = this.#withPrompt(stored, reported);
    const moved = transition(before, event, this.#context(nowMs, before));
    if (moved.job === before) return moved;
    const output = moved.effects.find((effect) => effect.kind === "keep_output");
    const isInMemory = staysInMemory(event, before, moved.job);
    const job = isInMemory ? moved.job : this.#counted(before, moved.job, event, output?.output);
    const owed = event.kind === "retry" ? this.#owedBeforeRetry(stored) : null;
    if (!isInMemory) {
      const revived = this.#parts.store.transaction(() => {
        const mayRevive = event.kind === "retry" || !this.#parts.kept.has(before);
        const taken = mayRevive ? this.#parts.kept.revive(before, nowMs) : null;
        if (event.kind === "retry") {
          this.#parts.usageOutbox.keepBeforeRetry(before);
          this.#parts.store.dropStream(before.uuid);
        }
        if (owed !== null) this.#parts.owedWebhooks.insert(owed.webhook, owed.output);
        if (output !== undefined) this.#parts.store.updateJobAndOutput(job, output.output);
        else this.#parts.store.updateJob(job);
        return taken;
      });
      revived?.();
      this.#parts.kept.put(job, job.lease === null ? 0 : this.#parts.streamed(job));
    }
    // Before the job's own entry is taken over: that one has nothing to send, and would drop the plan that moves.
    if (owed !== null) {
      this.#parts.owedWebhooks.remember(owed.webhook, owed.output?.length ?? 0);
      this.#parts.webhookMoved(owed.webhook);
    }
    this.#takeOver(stored, job, event, nowMs);
    for (const effect of moved.effects) this.#runEffect(effect, before, nowMs);
    if (before.lease !== null && job.lease === null) this.#endTrial(before.lease, job, event, nowMs);
    if (event.kind === "retry") this.#dropOldOutput(stored, owed?.webhook ?? null);
    return { ...moved, job };
  }

  /** With the bytes that its rows take from now on. */
  #counted(before: Job, job: Job, event: JobEvent, output: PayloadRef | null | undefined): Job {
    const running = before.lease === null ? 0 : this.#parts.streamed(before);
    const measured = before.stored ?? this.#parts.store.measure(before.uuid);
    // What is measured of a row of an earlier release has the running attempt's chunks in it.
    const stored = before.stored !== null ? measured : { ...measured, chunks: measured.chunks - running };
    const streamed = job.lease === null ? running : 0;
    return { ...job, stored: bytesAfter(stored, { output, streamed, isRetry: event.kind === "retry" }) };
  }

  /** Who reports for a pulling worker does not know how long the prompt was that its tokens are estimated by. */
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

  /** The webhook that a retry would wipe from the row though nobody has it yet, as it would have been sent. */
  #owedBeforeRetry(stored: StoredJob): { readonly webhook: OwedWebhook; readonly output: Uint8Array | null } | null {
    const { job, webhook } = stored;
    if (webhook === null || job.webhook === null || job.webhook.nextAtMs === null) return null;
    const { output, failure: _, ...view } = this.view(stored, job.finishedAtMs ?? 0);
    const inline = output?.kind === "inline" ? output.bytes : null;
    const place = output?.kind === "r2" ? output : inline === null ? null : ({ kind: "row" } as const);
    const facts = { uuid: job.uuid, round: job.round, tenantId: job.tenantId, state: job.webhook };
    return { webhook: { ...facts, ...webhook, view, output: place }, output: inline };
  }

  #takeOver(stored: StoredJob, job: Job, event: JobEvent, nowMs: number): void {
    const before = stored.job;
    if (this.#parts.kept.numbers.note(job)) this.#parts.usageOutbox.schedule(nowMs);
    if (before.lease === null && job.lease !== null) this.#noteStart(job.tenantId, job.lease, nowMs);
    if (before.lease !== null && job.lease === null) {
      this.#noteEnd(job, before.lease, event, nowMs);
      this.#parts.streamEnded(job.uuid);
      // Who has read a part of this attempt need not wait for what another one says.
      this.#parts.longPolls.wake(streamOf(job.uuid));
    }
    const host = stored.webhook === null ? null : new URL(stored.webhook.url).host;
    this.#parts.index.put(job, this.#parts.usageOutbox.through(job.tenantId), host, nowMs);
    if (!isTerminal(job.status)) return;
    if (before.lease !== null) this.#parts.kept.noteTime(job);
    this.#parts.sweep.expect(expiresAtMs(job), nowMs);
    this.#parts.longPolls.wake(job.uuid);
    this.#parts.longPolls.wake(streamOf(job.uuid));
  }

  #noteStart(tenantId: string, lease: Lease, nowMs: number): void {
    this.pool.occupy(lease.holderId, lease.token, nowMs);
    this.#parts.index.noteStart(tenantId, lease.startedAtMs);
  }

  /** The slot is free when the carrier has reported or its lease is over. After a cancel it still calls for a moment. */
  #noteEnd(job: Job, lease: Lease, event: JobEvent, nowMs: number): void {
    this.#parts.index.noteEnd(job.tenantId, lease.startedAtMs, nowMs);
    this.#parts.index.unpark(nowMs);
    this.#parts.longPolls.wake(lease.token);
    const endMs = leaseEndMs(lease);
    const isOver = event.kind === "finish" || event.kind === "lost" || nowMs > endMs;
    if (isOver) this.pool.release(lease.holderId);
    else this.pool.linger(lease.holderId, lease.token, endMs);
    if (lease.workerKeyId === null) return;
    const isLost = event.kind === "lost" ? event.delivered === true : nowMs > endMs;
    const how = event.kind === "finish" ? "finished" : isLost ? "lost" : "taken_away";
    this.#parts.workers.leaseEnded(lease.holderId, job, how, nowMs);
  }

  /** A job that was refused is not the next trial again: what is wrong may be the job, and its peers would wait for ever. */
  #endTrial({ holderId, token }: Lease, job: Job, event: JobEvent, nowMs: number): void {
    this.pool.endTrial(holderId, token, nowMs);
    if (event.kind !== "finish" || !isWaiting(job.status)) return;
    this.trials.refused(holderId, job.uuid);
    const triedAtMs = this.pool.triedAgainAtMs(nowMs);
    if (triedAtMs > nowMs && Number.isFinite(triedAtMs)) this.#parts.index.holdBack(job.uuid, triedAtMs + HOLD_BACK_MS);
  }

  /** A result in R2 that no row names any more. */
  #dropOldOutput({ outputPlace }: StoredJob, owed: OwedWebhook | null): void {
    if (outputPlace?.kind === "r2" && owed === null) this.#parts.dropPayloads([outputPlace.key]);
  }

  #runEffect(effect: Effect, before: Job, nowMs: number): void {
    const token = before.lease?.token ?? "";
    switch (effect.kind) {
      case "keep_output":
        break;
      case "stop_worker":
        this.#parts.workers.stop(effect.holderId, before, token);
        break;
      case "upstream_ok":
        this.pool.markOk(effect.upstreamId, token, "answer", nowMs);
        break;
      case "pause_upstream":
        this.pool.pause(effect.upstreamId, effect.detail, effect.retryAfterMs, nowMs, Math.random());
        break;
      case "upstream_unhealthy":
        this.pool.markUnhealthy(effect.upstreamId, effect.detail, nowMs);
        break;
      case "stop_upstream": {
        const upstream = this.#settings?.upstreams.find((candidate) => candidate.id === effect.upstreamId);
        if (upstream === undefined) return;
        this.#parts.stopUpstream(upstream, effect.upstreamJobId);
      }
    }
  }

  view(stored: StoredJob, nowMs: number): JobView {
    const { job, outputPlace } = stored;
    if (isRunning(job.status)) return viewJob(job, this.#progressOf(job), null);
    const output =
      outputPlace === null || !isTerminal(job.status)
        ? null
        : this.#parts.store.readPayload(job.uuid, "output", outputPlace);
    if (!isWaiting(job.status)) return viewJob(job, output, null);
    const facts = {
      paused: this.#settings?.paused ?? false,
      pool: this.pool,
      absence: () => this.#parts.workers.explainAbsence(nowMs),
      nowMs,
    };
    return viewJob(job, output, explainWait(job, this.#parts.index.position(job), facts));
  }

  #progressOf(job: Job): PayloadRef | null {
    const bytes = this.#parts.workers.progressOf(job.uuid);
    return bytes === null ? null : { kind: "inline", bytes };
  }
}
