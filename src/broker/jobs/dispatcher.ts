// Starts waiting jobs: leases them while slots are free, and hands each to a carrier that nobody here waits for: the
// Carrier entrypoint, or the open poll of a pulling worker.
import type { Claim, SubmitCall } from "../../contract/broker.ts";
import type { Assignment } from "../../contract/dispatch.ts";
import type { EndpointSettings, Upstream } from "../../contract/settings.ts";
import type { HandedJob } from "../../contract/worker.ts";
import { mayClientCarry } from "../../core/job/client-carry.ts";
import { makeJobId } from "../../core/job/id.ts";
import type { Job, Lease } from "../../core/job/job.ts";
import { isWorkerSlots } from "../../core/job/worker-id.ts";
import { HOLD_BACK_MS, PARKED_MAX_MS, START_JOBS_MAX } from "../../core/limits.ts";
import { routesInForce } from "../../core/openai/routes.ts";
import type { StoredJob } from "../store/job-row.ts";
import type { BrokerStore } from "../store/jobs.ts";
import type { Departures } from "./departures.ts";
import type { JobBook } from "./jobs.ts";
import { leaseFor, type SlotHolder, toAssignment, toClaim, toHandedJob, upstreamSlots } from "./leasing.ts";
import { HANDED_MOST_BYTES, handedBytes } from "./leaving-bytes.ts";
import type { LiveIndex } from "./live-index.ts";

interface Parts {
  readonly endpointId: string;
  readonly store: BrokerStore;
  readonly index: LiveIndex;
  readonly book: JobBook;
  readonly departures: Departures;
  readonly carry: (assignment: Assignment) => void;
  /** The slots of a pulling worker; null: it is not one of ours any more. */
  readonly holderOf: (slotsId: string) => SlotHolder | null;
  /** Has the pulling worker of these slots shown since then that it does not run a job that it had? */
  readonly isRidOf: (slotsId: string, jobId: string, sinceMs: number, nowMs: number) => boolean;
  /** The pulling workers that have run a handler and are in service. */
  readonly provenWorkers: (nowMs: number) => ReadonlySet<string>;
  readonly hand: (slotsId: string, job: HandedJob) => void;
}

/** A job that its caller carries: as it enters, and what its caller is told. */
export interface Claimed {
  readonly job: Job;
  readonly claim: Claim;
}

export class Starter {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Leases what fits now and starts the carriers, as far as their inputs may leave in this turn. Returns how many. Without `push`
   * it stops where the next job would go to an upstream: those starts are the wake-up's.
   */
  startReady(nowMs: number, { push }: { readonly push: boolean }): number {
    const { book, index } = this.#parts;
    const { settings } = book;
    if (settings === null || settings.paused) return 0;
    let started = 0;
    while (started < START_JOBS_MAX && this.#parts.departures.fits(HANDED_MOST_BYTES) && this.#hasRoom(push, nowMs)) {
      const uuid = index.next(nowMs);
      const stored = uuid === undefined ? null : book.load(uuid);
      if (stored === null) break;
      const result = this.#startOne(stored, settings, push, nowMs);
      if (result === "push_only") break;
      if (result === "started") started += 1;
    }
    return started;
  }

  #hasRoom(push: boolean, nowMs: number): boolean {
    const { pool } = this.#parts.book;
    return (push ? pool.freeSlots(nowMs) : pool.freePullSlots(nowMs)) > 0;
  }

  /** Starts another carrier for a lease that is held. False: it is not, or its upstream is not there any more. */
  async carryOn({ job: { uuid, tenantId } }: StoredJob, token: string): Promise<boolean> {
    const { book, departures, store, endpointId } = this.#parts;
    return departures.leave(tenantId, HANDED_MOST_BYTES, () => {
      const stored = book.load(uuid);
      const lease = stored?.job.lease ?? null;
      const upstream = book.settings?.upstreams.find(({ id }) => id === lease?.upstreamId);
      if (stored === null || lease?.token !== token || upstream === undefined) return { value: false, bytes: 0 };
      const { settings } = book;
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
    const { book, index } = this.#parts;
    const { uuid } = stored.job;
    const resumedOn = book.pool.boundTo(stored.job);
    const othersWait = index.hasOtherReady(stored.job);
    const mayTry = (id: string): boolean => book.trials.mayTry(id, uuid, othersWait);
    if (resumedOn !== null && !(book.pool.hasRoomOn(resumedOn, nowMs) && mayTry(resumedOn))) {
      index.holdBack(uuid, nowMs + HOLD_BACK_MS);
      return "aside";
    }
    const proven = this.#provenFor(stored.job, nowMs);
    const isFit = (id: string): boolean => proven === null || !isWorkerSlots(id) || proven.has(id);
    const mayTake = (id: string): boolean => isFit(id) && this.#mayTake(stored.job, id, nowMs) && mayTry(id);
    const chosen = resumedOn ?? book.pool.choose(nowMs, { avoidId: avoided(stored.job, nowMs), mayTake });
    if (chosen === null) {
      // Room is only where the job has failed already, or may still run, while a sound one is busy.
      index.park(uuid, nowMs + PARKED_MAX_MS);
      return "aside";
    }
    const upstream = settings.upstreams.find((candidate) => candidate.id === chosen);
    if (upstream !== undefined && !push) return "push_only";
    const holder = upstream === undefined ? this.#parts.holderOf(chosen) : upstreamSlots(upstream);
    if (holder === null) throw new Error("the pool chose slots that nobody has");
    const fence = { token: crypto.randomUUID(), incarnation: book.incarnation, byClient: false };
    const lease = leaseFor(holder, settings, nowMs, fence);
    if (lease === null) throw new Error("the pool chose slots without a rate");
    const moved = book.apply(stored, { kind: "start", lease }, nowMs);
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
    const { book, index, endpointId } = this.#parts;
    const { settings } = book;
    if (settings === null || settings.paused || !call.carries || index.hasReady()) return null;
    if (!mayClientCarry(job, call.waitMs, book.recentTimes.p99)) return null;
    const chosen = book.pool.choose(nowMs);
    const upstream = settings.upstreams.find(({ id }) => id === chosen);
    if (upstream === undefined) return null;
    const fence = { token: crypto.randomUUID(), incarnation: book.incarnation, byClient: true };
    const lease = leaseFor(upstreamSlots(upstream), settings, nowMs, fence);
    if (lease === null) throw new Error("the pool chose slots without a rate");
    const started = book.startEntering(job, lease, nowMs);
    if (started === null) return null;
    const openaiRoutes = routesInForce(settings);
    const parts = { endpointId, stored: call, job: started, lease, upstream, openaiRoutes, resumed: false, nowMs };
    return { job: started, claim: toClaim(parts) };
  }

  /** The claim of a caller that carries the job already; null: another carrier has it, or nobody. */
  claimAgain(stored: StoredJob, nowMs: number): Claim | null {
    const { book, endpointId } = this.#parts;
    const { settings } = book;
    const { job } = stored;
    const { lease } = job;
    if (lease === null || settings === null || !lease.byClient) return null;
    const upstream = settings.upstreams.find(({ id }) => id === lease.upstreamId);
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
    const { endpointId, store, departures } = this.#parts;
    const input = store.readPayload(job.uuid, "input", stored.inputPlace);
    departures.count(handedBytes(input, stored.fields));
    if (upstream === undefined) {
      this.#parts.hand(lease.upstreamId, toHandedJob(stored, lease, input));
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
    const former = formerWorkers.find(({ slotsId }) => slotsId === id);
    return former === undefined || this.#parts.isRidOf(id, makeJobId(uuid, mode), former.untilMs, nowMs);
  }

  /**
   * A job that has met workers which failed their start is not for another that nobody has seen work, while one that has been
   * seen is there: new processes of a broken image, each under a new id, would use up its bound while a sound worker is busy.
   * Null: it may go to any.
   */
  #provenFor(job: Job, nowMs: number): ReadonlySet<string> | null {
    if (job.startFailures === 0 || nowMs >= failedAtMs(job) + PARKED_MAX_MS) return null;
    const proven = this.#parts.provenWorkers(nowMs);
    const isThere = proven.size > 0 || this.#parts.book.pool.hasSound((id) => !isWorkerSlots(id));
    return isThere ? proven : null;
  }
}

/**
 * Where the job is not to go while others are sound. An upstream that fails fast would eat every job, for as long as it does;
 * pulling workers are alike, so for one of them the others' long jobs are waited for only a while.
 */
function avoided(job: Job, nowMs: number): string | null {
  const { failedOn } = job;
  const isWaitedFor = failedOn === null || !isWorkerSlots(failedOn) || nowMs < failedAtMs(job) + PARKED_MAX_MS;
  return isWaitedFor ? failedOn : null;
}

/** From when on it could be tried again where it failed. */
function failedAtMs({ failedOn, formerWorkers, notBeforeMs }: Job): number {
  return Math.max(notBeforeMs, formerWorkers.find(({ slotsId }) => slotsId === failedOn)?.untilMs ?? 0);
}
