// Starts waiting jobs: leases them while slots are free, and hands each to a carrier that nobody here waits for: the
// Carrier entrypoint, or the open poll of a pulling worker.
import type { Claim, SubmitCall } from "../../contract/broker.ts";
import type { Assignment } from "../../contract/dispatch.ts";
import type { EndpointSettings, Upstream } from "../../contract/settings.ts";
import type { HandedJob } from "../../contract/worker.ts";
import { mayClientCarry } from "../../core/job/client-carry.ts";
import { showJobId } from "../../core/job/id.ts";
import type { Job, Lease } from "../../core/job/job.ts";
import { isWorkerHolder } from "../../core/job/worker-id.ts";
import { HOLD_BACK_MS, PARKED_MAX_MS, START_JOBS_MAX } from "../../core/limits.ts";
import { routesInForce } from "../../core/openai/routes.ts";
import type { StoredJob } from "../store/job-row.ts";
import type { BrokerStore } from "../store/jobs.ts";
import type { Egress } from "./egress.ts";
import { HANDED_MOST_BYTES, handedBytes } from "./egress-bytes.ts";
import type { Jobs } from "./jobs.ts";
import { leaseFor, type SlotHolder, toAssignment, toClaim, toHandedJob, upstreamSlots } from "./leasing.ts";
import type { LiveIndex } from "./live-index.ts";

interface Parts {
  readonly endpointId: string;
  readonly store: BrokerStore;
  readonly index: LiveIndex;
  readonly jobs: Jobs;
  readonly egress: Egress;
  readonly carry: (assignment: Assignment) => void;
  /** The slots of a pulling worker; null: it is not one of ours any more. */
  readonly holderOf: (holderId: string) => SlotHolder | null;
  /** Has the pulling worker of these slots shown since then that it does not run a job that it had? */
  readonly isRidOf: (holderId: string, jobId: string, sinceMs: number, nowMs: number) => boolean;
  /** The pulling workers that have run a handler and are in service. */
  readonly provenWorkers: (nowMs: number) => ReadonlySet<string>;
  readonly hand: (holderId: string, job: HandedJob) => void;
}

/** A job that its caller carries: as it enters, and what its caller is told. */
export interface Claimed {
  readonly job: Job;
  readonly claim: Claim;
}

export class Dispatcher {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Leases what fits now and starts the carriers, as far as their inputs may leave in this turn. Returns how many. Without `push`
   * it stops where the next job would go to an upstream: those starts are the wake-up's.
   */
  startReady(nowMs: number, { push }: { readonly push: boolean }): number {
    const { jobs, index } = this.#parts;
    const { settings } = jobs;
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
    const { pool } = this.#parts.jobs;
    return (push ? pool.freeSlots(nowMs) : pool.freePullSlots(nowMs)) > 0;
  }

  /** Starts another carrier for a lease that is held. False: it is not, or its upstream is not there any more. */
  async carryOn({ job: { uuid, tenantId } }: StoredJob, token: string): Promise<boolean> {
    const { jobs, egress, store, endpointId } = this.#parts;
    return egress.leave(tenantId, HANDED_MOST_BYTES, () => {
      const stored = jobs.load(uuid);
      const lease = stored?.job.lease ?? null;
      const upstream = jobs.settings?.upstreams.find(({ id }) => id === lease?.holderId);
      if (stored === null || lease?.token !== token || upstream === undefined) return { value: false, bytes: 0 };
      const { settings } = jobs;
      if (settings === null) return { value: false, bytes: 0 };
      const { job, fields } = stored;
      const openaiRoutes = routesInForce(settings);
      const input = store.readPayload(uuid, "input", stored.inputPlace);
      const nowMs = Date.now();
      this.#parts.carry(
        toAssignment({ endpointId, stored, job, lease, upstream, openaiRoutes, input, resumed: true, nowMs }),
      );
      return { value: true, bytes: handedBytes(input, fields) };
    });
  }

  /** `aside`: the job cannot start at this moment, and is out of the order for a while. */
  #startOne(
    stored: StoredJob,
    settings: EndpointSettings,
    push: boolean,
    nowMs: number,
  ): "started" | "aside" | "push_only" {
    const { jobs, index } = this.#parts;
    const { uuid } = stored.job;
    const resumedOn = jobs.pool.boundTo(stored.job);
    const othersWait = index.hasOtherReady(stored.job);
    const mayTry = (id: string): boolean => jobs.trials.mayTry(id, uuid, othersWait);
    if (resumedOn !== null && !(jobs.pool.hasRoomOn(resumedOn, nowMs) && mayTry(resumedOn))) {
      index.holdBack(uuid, nowMs + HOLD_BACK_MS);
      return "aside";
    }
    const proven = this.#provenFor(stored.job, nowMs);
    const isFit = (id: string): boolean => proven === null || !isWorkerHolder(id) || proven.has(id);
    const mayTake = (id: string): boolean => isFit(id) && this.#mayTake(stored.job, id, nowMs) && mayTry(id);
    const chosen = resumedOn ?? jobs.pool.choose(nowMs, { avoidId: avoided(stored.job, nowMs), mayTake });
    if (chosen === null) {
      // Room is only where the job has failed already, or may still run, while a sound one is busy.
      index.park(uuid, nowMs + PARKED_MAX_MS);
      return "aside";
    }
    const upstream = settings.upstreams.find((candidate) => candidate.id === chosen);
    if (upstream !== undefined && !push) return "push_only";
    const holder = upstream === undefined ? this.#parts.holderOf(chosen) : upstreamSlots(upstream);
    if (holder === null) throw new Error("the pool chose slots that nobody has");
    const fence = { token: crypto.randomUUID(), incarnation: jobs.incarnation, byClient: false };
    const lease = leaseFor(holder, settings, nowMs, fence);
    if (lease === null) throw new Error("the pool chose slots without a rate");
    const moved = jobs.apply(stored, { kind: "start", lease }, nowMs);
    if (moved.reply !== "done") {
      index.holdBack(uuid, nowMs + HOLD_BACK_MS);
      return "aside";
    }
    this.#handOn({ ...stored, job: moved.job }, lease, upstream, settings, { resumed: resumedOn !== null, nowMs });
    return "started";
  }

  /**
   * A job that its caller carries starts in the very moment of its entry, where nobody waits before it and an upstream has a
   * free slot: its row is written once, as a running one. Null: it enters like any other. Nothing is changed here.
   */
  startEntering(call: SubmitCall, job: Job, nowMs: number): Claimed | null {
    const { jobs, index, endpointId } = this.#parts;
    const { settings } = jobs;
    if (settings === null || settings.paused || !call.carries || index.hasReady()) return null;
    if (!mayClientCarry(job, call.waitMs, jobs.recentTimes.p99)) return null;
    const chosen = jobs.pool.choose(nowMs);
    const upstream = settings.upstreams.find(({ id }) => id === chosen);
    if (upstream === undefined) return null;
    const fence = { token: crypto.randomUUID(), incarnation: jobs.incarnation, byClient: true };
    const lease = leaseFor(upstreamSlots(upstream), settings, nowMs, fence);
    if (lease === null) throw new Error("the pool chose slots without a rate");
    const started = jobs.startEntering(job, lease, nowMs);
    if (started === null) return null;
    const openaiRoutes = routesInForce(settings);
    const parts = { endpointId, stored: call, job: started, lease, upstream, openaiRoutes, resumed: false, nowMs };
    return { job: started, claim: toClaim(parts) };
  }

  /** The claim of a caller that carries the job already; null: another carrier has it, or nobody. */
  claimAgain(stored: StoredJob, nowMs: number): Claim | null {
    const { jobs, endpointId } = this.#parts;
    const { settings } = jobs;
    const { job } = stored;
    const { lease } = job;
    if (lease === null || settings === null || !lease.byClient) return null;
    const upstream = settings.upstreams.find(({ id }) => id === lease.holderId);
    if (upstream === undefined) return null;
    const openaiRoutes = routesInForce(settings);
    return toClaim({ endpointId, stored, job, lease, upstream, openaiRoutes, resumed: false, nowMs });
  }

  #handOn(
    stored: StoredJob,
    lease: Lease,
    upstream: Upstream | undefined,
    settings: EndpointSettings,
    { resumed, nowMs }: { readonly resumed: boolean; readonly nowMs: number },
  ): void {
    const { job } = stored;
    const { endpointId, store, egress } = this.#parts;
    const input = store.readPayload(job.uuid, "input", stored.inputPlace);
    egress.count(handedBytes(input, stored.fields));
    if (upstream === undefined) {
      this.#parts.hand(lease.holderId, toHandedJob(stored, lease, input));
      return;
    }
    const openaiRoutes = routesInForce(settings);
    this.#parts.carry(toAssignment({ endpointId, stored, job, lease, upstream, openaiRoutes, input, resumed, nowMs }));
  }

  /**
   * A pulling worker's report names the job but no attempt. So a worker that had the job gets it again only after it has
   * shown that it does not run it: until then a late report could be taken for one of the new attempt.
   */
  #mayTake({ uuid, mode, formerWorkers }: Job, id: string, nowMs: number): boolean {
    const former = formerWorkers.find(({ holderId }) => holderId === id);
    return former === undefined || this.#parts.isRidOf(id, showJobId(uuid, mode), former.untilMs, nowMs);
  }

  /**
   * A job that has met workers which failed their start is not for another that nobody has seen work, while one that has been
   * seen is there: new processes of a broken image, each under a new id, would use up its bound while a sound worker is busy.
   * Null: it may go to any.
   */
  #provenFor(job: Job, nowMs: number): ReadonlySet<string> | null {
    if (job.startFailures === 0 || nowMs >= failedAtMs(job) + PARKED_MAX_MS) return null;
    const proven = this.#parts.provenWorkers(nowMs);
    const isThere = proven.size > 0 || this.#parts.jobs.pool.hasSound((id) => !isWorkerHolder(id));
    return isThere ? proven : null;
  }
}

/**
 * Where the job is not to go while others are sound. An upstream that fails fast would eat every job, for as long as it does;
 * pulling workers are alike, so for one of them the others' long jobs are waited for only a while.
 */
function avoided(job: Job, nowMs: number): string | null {
  const { failedOn } = job;
  const isWaitedFor = failedOn === null || !isWorkerHolder(failedOn) || nowMs < failedAtMs(job) + PARKED_MAX_MS;
  return isWaitedFor ? failedOn : null;
}

/** From when on it could be tried again where it failed. */
function failedAtMs({ failedOn, formerWorkers, notBeforeMs }: Job): number {
  return Math.max(notBeforeMs, formerWorkers.find(({ holderId }) => holderId === failedOn)?.untilMs ?? 0);
}
