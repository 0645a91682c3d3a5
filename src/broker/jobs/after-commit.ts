// The one place that does what follows a commit, in order: it brings memory in step with the rows, wakes waiting calls,
// and starts what lies outside of the object. All of it runs in the commit's turn, before other code can see the job.
import type { JobEvent } from "../../core/job/event.ts";
import { expiresAtMs, isTerminal, isWaiting, type Job, type Lease, leaseEndMs } from "../../core/job/job.ts";
import type { Effect, Transition } from "../../core/job/transition.ts";
import { HOLD_BACK_MS } from "../../core/limits.ts";
import type { BrokerState } from "../state.ts";
import type { StoredJob } from "../store/job-row.ts";
import { type OwedWebhook, owedKey } from "../webhooks/owed.ts";
import { JobEvents } from "./job-events.ts";
import { streamOf } from "./long-polls.ts";

/** One decision about a job, and what it has changed so far. */
export interface Change extends Pick<Transition, "effects" | "reply"> {
  readonly before: StoredJob;
  /** The very same object as the job in `before`, if nothing has changed. */
  readonly after: Job;
  readonly event: JobEvent;
  /** False: the change stands in memory alone. */
  readonly isWritten: boolean;
  /** Applies to memory what the transaction has changed of the sums of kept rows; null: nothing. */
  readonly revived: (() => void) | null;
  /** The webhook that has moved from the job's row to a row of its own; null: none has. */
  readonly owed: { readonly webhook: OwedWebhook; readonly output: Uint8Array | null } | null;
}

export class AfterCommit {
  readonly #parts: BrokerState;
  readonly #events: JobEvents;

  constructor(parts: BrokerState) {
    this.#parts = parts;
    this.#events = new JobEvents(parts.platform.endpointId);
  }

  /** Does all that follows a change of a job. */
  follow(change: Change, nowMs: number): void {
    const { after, effects } = change;
    const before = change.before.job;
    const ended = after.lease === null ? before.lease : null;
    this.#countRows(change);
    // This comes before #putInIndex: the job has no webhook to send now, so that would drop the plan to be moved.
    this.#moveWebhook(change);
    if (this.#parts.kept.numbers.note(after)) this.#parts.usageOutbox.schedule(nowMs);
    if (before.lease === null && after.lease !== null) this.started(after.tenantId, after.lease, nowMs);
    if (ended !== null) {
      this.#freeSlot(ended, change, nowMs);
      this.#endAttempt(after);
    }
    this.#putInIndex(after, webhookHostOf(change.before), nowMs);
    if (isTerminal(after.status)) this.#end(after, ended !== null, nowMs);
    for (const effect of effects) this.#run(effect, before.lease?.token ?? "", before, nowMs);
    if (ended !== null) this.#endTrial(ended, change, nowMs);
    if (change.event.kind === "retry") this.#dropOldOutput(change);
    this.#events.logChange(before, after);
  }

  /** Called when a submit has written the row of a new job. */
  entered(job: Job, webhookHost: string | null, nowMs: number): void {
    this.#parts.kept.entered(job);
    if (job.lease !== null) this.started(job.tenantId, job.lease, nowMs);
    this.#putInIndex(job, webhookHost, nowMs);
  }

  /** Called when a lease begins: it holds its slot from now on. */
  started(tenantId: string, lease: Lease, nowMs: number): void {
    this.#parts.endpoint.pool.occupy(lease.holderId, lease.token, nowMs);
    this.#parts.index.noteStart(tenantId, lease.startedAtMs);
  }

  /** Stops the upstream's run of a purged job: all that follows for the job, beside its place in memory. */
  stopUpstreams(effects: readonly Effect[]): void {
    for (const effect of effects) if (effect.kind === "stop_upstream") this.#stopUpstream(effect);
  }

  #countRows({ after, isWritten, revived }: Change): void {
    revived?.();
    if (isWritten) this.#parts.kept.put(after, after.lease === null ? 0 : this.#parts.chunks.streamedBytes(after));
  }

  #moveWebhook({ owed }: Change): void {
    if (owed === null) return;
    const { webhook, output } = owed;
    this.#parts.owedWebhooks.remember(webhook, output?.length ?? 0);
    // A sender that is under way reports to the row where the webhook is now.
    this.#parts.index.webhooks.rename(webhook.uuid, owedKey(webhook.uuid, webhook.round));
  }

  /** Frees the slot if the carrier has reported or its lease is over: a cancelled carrier still calls for a moment. */
  #freeSlot(lease: Lease, { after, event }: Change, nowMs: number): void {
    const { endpoint, index, longPolls } = this.#parts;
    index.noteEnd(after.tenantId, lease.startedAtMs, nowMs);
    index.unpark(nowMs);
    longPolls.wake(lease.token);
    const endMs = leaseEndMs(lease);
    const isOver = event.kind === "finish" || event.kind === "lost" || nowMs > endMs;
    if (isOver) endpoint.pool.release(lease.holderId);
    else endpoint.pool.linger(lease.holderId, lease.token, endMs);
    if (lease.workerKeyId === null) return;
    const isLost = event.kind === "lost" ? event.delivered === true : nowMs > endMs;
    const how = event.kind === "finish" ? "finished" : isLost ? "lost" : "taken_away";
    this.#parts.pullSlots.leaseEnded(lease.holderId, how, nowMs);
  }

  #endAttempt({ uuid }: Job): void {
    this.#parts.progress.drop(uuid);
    this.#parts.chunks.forgetEnd(uuid);
    // A reader of this attempt's stream must not go on waiting for chunks that only another attempt would send.
    this.#parts.longPolls.wake(streamOf(uuid));
  }

  #putInIndex(job: Job, webhookHost: string | null, nowMs: number): void {
    this.#parts.index.put(job, this.#parts.usageOutbox.through(job.tenantId), webhookHost, nowMs);
  }

  /** `hasRun`: the job has run until now. */
  #end(job: Job, hasRun: boolean, nowMs: number): void {
    if (hasRun) this.#parts.kept.noteTimes(job);
    this.#parts.sweep.expect(expiresAtMs(job), nowMs);
    this.#parts.longPolls.wake(job.uuid);
    this.#parts.longPolls.wake(streamOf(job.uuid));
  }

  #run(effect: Effect, token: string, before: Job, nowMs: number): void {
    const { pool } = this.#parts.endpoint;
    switch (effect.kind) {
      case "keep_output":
        // The output was written with the job.
        break;
      case "stop_worker":
        this.#parts.stops.add(effect.holderId, before, token);
        break;
      case "upstream_ok":
        pool.markOk(effect.upstreamId, token, "answer", nowMs);
        break;
      case "pause_upstream":
        pool.pause(effect.upstreamId, effect.detail, effect.retryAfterMs, nowMs, Math.random());
        break;
      case "upstream_unhealthy":
        pool.markUnhealthy(effect.upstreamId, effect.detail, nowMs);
        break;
      case "stop_upstream":
        this.#stopUpstream(effect);
    }
  }

  #stopUpstream({ upstreamId, upstreamJobId }: Extract<Effect, { kind: "stop_upstream" }>): void {
    const upstream = this.#parts.endpoint.settings?.upstreams.find(({ id }) => id === upstreamId);
    if (upstream !== undefined) this.#parts.platform.stopUpstream(upstream, upstreamJobId);
  }

  /** A refused job is not the next trial again: the job itself may be at fault, and the others would wait for ever. */
  #endTrial({ holderId, token }: Lease, { after, event }: Change, nowMs: number): void {
    const { pool, trials } = this.#parts.endpoint;
    pool.endTrial(holderId, token, event.kind === "lost" && event.delivered !== true, nowMs);
    if (event.kind !== "finish" || !isWaiting(after.status)) return;
    trials.refused(holderId, after.uuid);
    const triedAtMs = pool.triedAgainAtMs(nowMs);
    if (triedAtMs > nowMs && Number.isFinite(triedAtMs)) {
      this.#parts.index.holdBack(after.uuid, triedAtMs + HOLD_BACK_MS);
    }
  }

  /** Deletes a result in R2 that no row names any more. */
  #dropOldOutput({ before: { outputPlace }, owed }: Change): void {
    if (outputPlace?.kind === "r2" && owed === null) this.#parts.platform.dropPayloads([outputPlace.key]);
  }
}

function webhookHostOf({ webhook }: StoredJob): string | null {
  return webhook === null ? null : new URL(webhook.url).host;
}
