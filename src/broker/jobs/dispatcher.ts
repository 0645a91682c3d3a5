// Starts waiting jobs: leases each while a slot is free and hands it to a carrier, for which nothing here waits. A
// carrier is the Carrier entrypoint or the open poll of a pulling worker.
import type { Claim, SubmitCall } from "../../contract/broker.ts";
import type { EndpointSettings, Upstream } from "../../contract/settings.ts";
import { mayClientCarry } from "../../core/job/client-carry.ts";
import { showJobId } from "../../core/job/id.ts";
import type { Job, Lease } from "../../core/job/job.ts";
import { isWorkerHolder } from "../../core/job/worker-id.ts";
import { HOLD_BACK_MS, PARKED_MAX_MS, START_JOBS_MAX } from "../../core/limits.ts";
import type { StoredJob } from "../store/job-row.ts";
import { HANDED_MOST_BYTES, handedBytes } from "./egress-bytes.ts";
import type { OverJobs } from "./jobs.ts";
import { leaseFor, toAssignment, toClaim, toHandedJob, upstreamSlots } from "./leasing.ts";

/** A job that its caller carries: the job as it is first written, and the claim that the caller receives. */
export interface Claimed {
  readonly job: Job;
  readonly claim: Claim;
}

export class Dispatcher {
  readonly #parts: OverJobs;

  constructor(parts: OverJobs) {
    this.#parts = parts;
  }

  /**
   * Leases jobs while slots are free and starts their carriers, as far as this turn may still send inputs. Returns how
   * many. Without `push` it stops when the next job would go to an upstream: the queued wake-up starts those.
   */
  startReady(nowMs: number, { push }: { readonly push: boolean }): number {
    const { endpoint, jobs, index } = this.#parts;
    const { settings } = endpoint;
    if (settings === null || settings.paused) return 0;
    let started = 0;
    while (started < START_JOBS_MAX && this.#parts.egress.fits(HANDED_MOST_BYTES) && this.#hasRoom(push, nowMs)) {
      const uuid = index.next(nowMs);
      const stored = uuid === undefined ? null : jobs.load(uuid);
      if (stored === null) break;
      const result = this.#startOne(stored, settings, push, nowMs);
      if (result === "push_only") break;
      if (result === "started") started += 1;
    }
    return started;
  }

  #hasRoom(push: boolean, nowMs: number): boolean {
    const { pool } = this.#parts.endpoint;
    return (push ? pool.freeSlots(nowMs) : pool.freePullSlots(nowMs)) > 0;
  }

  /** Starts another carrier for a lease that is held. False: the lease has ended, or its upstream is gone. */
  async carryOn({ job: { uuid, tenantId } }: StoredJob, token: string): Promise<boolean> {
    const { endpoint, jobs, egress, store } = this.#parts;
    return egress.leave(tenantId, HANDED_MOST_BYTES, () => {
      const stored = jobs.load(uuid);
      const lease = stored?.job.lease ?? null;
      const { settings } = endpoint;
      const upstream = settings?.upstreams.find(({ id }) => id === lease?.holderId);
      const isHeld = stored !== null && lease?.token === token;
      if (!isHeld || settings === null || upstream === undefined) return { value: false, bytes: 0 };
      const { job, fields } = stored;
      const input = store.readPayload(uuid, "input", stored.inputPlace);
      const nowMs = Date.now();
      this.#parts.platform.carry(toAssignment({ settings, stored, job, lease, upstream, input, resumed: true, nowMs }));
      return { value: true, bytes: handedBytes(input, fields) };
    });
  }

  /** `aside`: the job cannot start at this moment, and is taken out of the order for a while. */
  #startOne(
    stored: StoredJob,
    settings: EndpointSettings,
    push: boolean,
    nowMs: number,
  ): "started" | "aside" | "push_only" {
    const { endpoint, jobs, index, machines } = this.#parts;
    const { uuid, queuedAtMs } = stored.job;
    const resumedOn = endpoint.pool.boundTo(stored.job);
    const othersWait = index.hasOtherReady(stored.job);
    const mayTry = (id: string): boolean => endpoint.trials.mayTry(id, uuid, othersWait);
    if (resumedOn !== null && !(endpoint.pool.hasRoomOn(resumedOn, nowMs) && mayTry(resumedOn))) {
      index.holdBack(uuid, nowMs + HOLD_BACK_MS);
      return "aside";
    }
    const proven = this.#provenFor(stored.job, nowMs);
    const isFit = (id: string): boolean => proven === null || !isWorkerHolder(id) || proven.has(id);
    const mayTake = (id: string): boolean => isFit(id) && this.#mayTake(stored.job, id, nowMs) && mayTry(id);
    const chosen = resumedOn ?? endpoint.pool.choose(nowMs, { avoidId: avoided(stored.job, nowMs), mayTake });
    if (chosen === null) {
      // The only free slots are where the job has failed or may still run; sound upstreams or workers are busy.
      index.park(uuid, nowMs + PARKED_MAX_MS);
      return "aside";
    }
    const upstream = settings.upstreams.find((candidate) => candidate.id === chosen);
    if (upstream !== undefined && !push) return "push_only";
    const holder = upstream === undefined ? this.#parts.pullSlots.holderOf(chosen) : upstreamSlots(upstream);
    if (holder === null) throw new Error("the pool chose slots that nobody has");
    const isCold = machines.isReadyOnlySince(holder.workerKeyId, queuedAtMs);
    const lease = leaseFor(holder, settings, nowMs, { incarnation: endpoint.incarnation, byClient: false, isCold });
    const change = jobs.apply(stored, { kind: "start", lease }, nowMs);
    if (change.reply !== "done") {
      index.holdBack(uuid, nowMs + HOLD_BACK_MS);
      return "aside";
    }
    this.#handOn({ ...stored, job: change.after }, lease, upstream, settings, { resumed: resumedOn !== null, nowMs });
    return "started";
  }

  /**
   * Starts a job that its caller carries at the moment it enters, if no job waits before it and an upstream has a free
   * slot: its row is then written once, as a running job. Null: the job enters like any other. Nothing is changed here.
   */
  startEntering(call: SubmitCall, job: Job, nowMs: number): Claimed | null {
    const { endpoint, jobs, kept, index } = this.#parts;
    const { settings } = endpoint;
    if (settings === null || settings.paused || !call.carries || index.hasReady()) return null;
    if (index.boundReached(job.tenantId) !== null) return null;
    if (!mayClientCarry(job, call.waitMs, kept.recentTimes.p99)) return null;
    const chosen = endpoint.pool.choose(nowMs);
    const upstream = settings.upstreams.find(({ id }) => id === chosen);
    if (upstream === undefined) return null;
    const given = { incarnation: endpoint.incarnation, byClient: true, isCold: false };
    const lease = leaseFor(upstreamSlots(upstream), settings, nowMs, given);
    const started = jobs.startEntering(job, lease, nowMs);
    if (started === null) return null;
    const claim = toClaim({ settings, stored: call, job: started, lease, upstream, resumed: false, nowMs });
    return { job: started, claim };
  }

  /** Returns the claim again to a caller that carries the job already; null: another carrier has it, or none has. */
  claimAgain(stored: StoredJob, nowMs: number): Claim | null {
    const { settings } = this.#parts.endpoint;
    const { job } = stored;
    const { lease } = job;
    if (lease === null || settings === null || !lease.byClient) return null;
    const upstream = settings.upstreams.find(({ id }) => id === lease.holderId);
    if (upstream === undefined) return null;
    return toClaim({ settings, stored, job, lease, upstream, resumed: false, nowMs });
  }

  #handOn(
    stored: StoredJob,
    lease: Lease,
    upstream: Upstream | undefined,
    settings: EndpointSettings,
    { resumed, nowMs }: { readonly resumed: boolean; readonly nowMs: number },
  ): void {
    const { job } = stored;
    const { store, egress, platform } = this.#parts;
    const input = store.readPayload(job.uuid, "input", stored.inputPlace);
    egress.count(handedBytes(input, stored.fields));
    if (upstream === undefined) {
      this.#parts.pullSlots.hand(lease.holderId, toHandedJob(stored, lease, input));
      return;
    }
    platform.carry(toAssignment({ settings, stored, job, lease, upstream, input, resumed, nowMs }));
  }

  /**
   * A pulling worker's report names the job but no attempt. So a worker that had the job gets it again only after it has
   * shown that it does not run it: until then a late report could be taken for one of the new attempt.
   */
  #mayTake({ uuid, mode, formerWorkers }: Job, id: string, nowMs: number): boolean {
    const former = formerWorkers.find(({ holderId }) => holderId === id);
    return former === undefined || this.#parts.pullSlots.isRidOf(id, showJobId(uuid, mode), former.untilMs, nowMs);
  }

  /**
   * Once workers have failed to start on a job, it goes only to workers that have run a handler, while one of those or
   * a sound upstream is there: new processes of a broken image, each under a new id, would use up the job's bound of
   * failed starts while a sound worker is busy. Null: the job may go to any worker.
   */
  #provenFor(job: Job, nowMs: number): ReadonlySet<string> | null {
    if (job.startFailures === 0 || nowMs >= failedAtMs(job) + PARKED_MAX_MS) return null;
    const proven = this.#parts.pullSlots.proven(nowMs);
    const isThere = proven.size > 0 || this.#parts.endpoint.pool.hasSound((id) => !isWorkerHolder(id));
    return isThere ? proven : null;
  }
}

/**
 * Returns where the job must not go while other holders are sound: an upstream that fails fast would take and fail
 * every job. Pulling workers are alike, so a job that failed on one waits for others' long jobs only PARKED_MAX_MS.
 */
function avoided(job: Job, nowMs: number): string | null {
  const { failedOn } = job;
  const isWaitedFor = failedOn === null || !isWorkerHolder(failedOn) || nowMs < failedAtMs(job) + PARKED_MAX_MS;
  return isWaitedFor ? failedOn : null;
}

/** Returns from when on the job could be tried again where it failed, epoch ms. */
function failedAtMs({ failedOn, formerWorkers, notBeforeMs }: Job): number {
  return Math.max(notBeforeMs, formerWorkers.find(({ holderId }) => holderId === failedOn)?.untilMs ?? 0);
}
