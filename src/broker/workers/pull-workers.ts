// What pulling workers ask of a broker and tell it of themselves: takes and heartbeats. What they report of jobs stands in
// worker-reports.ts, how they leave in worker-exits.ts.
import type { EndpointSettings, WorkerKey } from "../../contract/settings.ts";
import type { HandedJob, HandedLease, PingCall, TakeCall, WorkerApi } from "../../contract/worker.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { showJobId } from "../../core/job/id.ts";
import type { Job } from "../../core/job/job.ts";
import { holderOfWorker } from "../../core/job/worker-id.ts";
import {
  IDLE_GRACE_MS,
  LIMIT_RETRY_AFTER_SECONDS,
  LOST_IN_A_ROW_MAX,
  START_JOBS_MAX,
  TAKE_HOLD_MAX_MS,
  WORKER_LEASE_MS,
  WORKERS_MAX,
} from "../../core/limits.ts";
import { reportsIdleness } from "../../core/scheduling/sdk-version.ts";
import { absenceOf } from "../../core/scheduling/worker-absence.ts";
import type { Poll, RosterWorker, WorkerRoster } from "../../core/scheduling/worker-roster.ts";
import { log } from "../../log.ts";
import type { Dispatcher } from "../jobs/dispatcher.ts";
import type { Egress } from "../jobs/egress.ts";
import { HANDED_MOST_BYTES } from "../jobs/egress-bytes.ts";
import { TOO_MANY_POLLS } from "../jobs/held-calls.ts";
import type { Jobs } from "../jobs/jobs.ts";
import { isPricedHolder, type SlotHolder, workerSlots } from "../jobs/leasing.ts";
import type { LiveIndex } from "../jobs/live-index.ts";
import type { LongPolls } from "../jobs/long-polls.ts";
import { WorkerExits } from "./exits.ts";
import { heldBy, renewHeld, WorkerReports } from "./reports.ts";
import type { Stops } from "./stops.ts";

interface Parts {
  readonly endpointId: string;
  readonly roster: WorkerRoster;
  readonly jobs: Jobs;
  readonly index: LiveIndex;
  readonly longPolls: LongPolls;
  readonly stops: Stops;
  readonly dispatcher: Dispatcher;
  readonly egress: Egress;
  /** Serves open polls, sends wake-ups and arms the alarm after a change. */
  readonly wake: (nowMs: number) => Promise<void>;
}

/** Walks all workers, so not at each call. */
const LOOK_FOR_GONE_EVERY_MS = 10_000;

type CallOf<Name extends keyof WorkerApi> = Parameters<WorkerApi[Name]>[0];

export class PullWorkers {
  readonly #parts: Parts;
  /** What open polls have been given and not yet answered. */
  readonly #handed = new Map<string, HandedJob[]>();
  #lookedForGoneAtMs = 0;
  readonly #serveMore = (): Promise<void> => this.#parts.wake(Date.now());

  readonly #exits: WorkerExits;
  readonly reports: WorkerReports;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#exits = new WorkerExits({
      ...parts,
      takeBack: (worker, nowMs) => this.#takeBack(worker, nowMs),
      ask: (worker, nowMs) => this.#ask(worker, nowMs),
    });
    this.reports = new WorkerReports({ ...parts, exits: this.#exits });
  }

  workerKey(keyId: string): Result<{ readonly digest: string }> {
    const key = this.#keyOf(keyId);
    return key === null ? fail({ kind: "settings_behind" }) : ok({ digest: key.digest });
  }

  /** Settings have changed: other slots, or keys that are no more. */
  configured(nowMs: number): void {
    for (const worker of this.#parts.roster.all()) this.#ask(worker, nowMs);
  }

  async takeJobs(call: TakeCall): Promise<Result<readonly HandedJob[]>> {
    const { roster, longPolls } = this.#parts;
    const nowMs = Date.now();
    if (this.#keyOf(call.keyId) === null) return fail({ kind: "unauthorized" });
    // Also where no job comes that would: those that are gone must not keep new ones out.
    this.#forgetGone(nowMs);
    const worker = roster.hear(call, nowMs);
    if (worker === null) {
      const retryAfterSeconds = LIMIT_RETRY_AFTER_SECONDS;
      return fail({ kind: "too_many_workers", workersMax: WORKERS_MAX, retryAfterSeconds });
    }
    if (worker.draining) return fail({ kind: "draining" });
    if (roster.isCrowded && !call.idle && worker.polls.size > 0) return fail(TOO_MANY_POLLS);
    worker.gpu = call.gpu ?? worker.gpu;
    worker.version = call.version ?? worker.version;
    const mustAskAgain = call.idle && this.#believeIdle(worker, nowMs);
    const { pollId, wanted } = call;
    for (const overflow of roster.open(worker, { pollId, wanted }, call.idle, nowMs)) longPolls.wake(overflow.pollId);
    this.#ask(worker, nowMs);
    // A parked job may be one that this worker can take.
    this.#parts.index.unpark(nowMs);
    try {
      await this.#parts.wake(nowMs);
      const isHeld = worker.polls.get(pollId)?.released === false && !this.#handed.has(pollId);
      if (isHeld) await longPolls.wait(pollId, mustAskAgain ? IDLE_GRACE_MS : TAKE_HOLD_MAX_MS);
      return ok(this.#handed.get(pollId) ?? []);
    } finally {
      this.#close(worker, pollId, true);
    }
  }

  async abandonTake(call: CallOf<"abandonTake">): Promise<void> {
    const worker = this.#parts.roster.get(holderOfWorker(call.keyId, call.workerId));
    if (worker === undefined) return;
    const nowMs = Date.now();
    // What the poll was given and has not answered yet is known here alone.
    const undelivered = [...call.leases, ...(this.#handed.get(call.pollId) ?? [])];
    if (worker.polls.has(call.pollId)) {
      this.#close(worker, call.pollId, false);
      this.#parts.longPolls.wake(call.pollId);
    }
    this.#giveBack(worker, undelivered, nowMs);
    await this.#parts.wake(nowMs);
  }

  #takeBack(worker: RosterWorker, nowMs: number): void {
    for (const pollId of worker.polls.keys()) {
      const handed = this.#handed.get(pollId) ?? [];
      this.#handed.delete(pollId);
      this.#giveBack(worker, handed, nowMs);
    }
  }

  /** What the worker was given and never got. */
  #giveBack(worker: RosterWorker, leases: readonly HandedLease[], nowMs: number): void {
    for (const { jobId, lease } of leases) {
      const stored = heldBy(this.#parts.jobs, worker.holderId, jobId);
      if (stored?.job.lease?.token !== lease) continue;
      this.#parts.jobs.apply(stored, { kind: "lost", token: lease, delivered: false }, nowMs);
      log("take_abandoned", { endpoint: this.#parts.endpointId, job: jobId });
    }
  }

  /** Gives ready jobs to the open polls, and answers those that got some. */
  serve(nowMs: number): void {
    const { jobs, index, longPolls, dispatcher, egress } = this.#parts;
    const started = dispatcher.startReady(nowMs, { push: false });
    // One portion a turn: each start takes its time, and all of their inputs leave together.
    const isCut = started === START_JOBS_MAX || !egress.fits(HANDED_MOST_BYTES);
    if (isCut && index.hasReady() && jobs.pool.freePullSlots(nowMs) > 0) egress.again(this.#serveMore);
    for (const pollId of this.#handed.keys()) longPolls.wake(pollId);
    this.#forgetGone(nowMs);
  }

  #forgetGone(nowMs: number): void {
    const { jobs, roster } = this.#parts;
    if (nowMs < this.#lookedForGoneAtMs + LOOK_FOR_GONE_EVERY_MS) return;
    this.#lookedForGoneAtMs = nowMs;
    for (const worker of roster.forgetGone(nowMs, (id) => this.#runs(id))) jobs.pool.forget(worker.holderId);
  }

  /** Takes a leased job for a worker's newest poll that still wants one. */
  hand(holderId: string, job: HandedJob): void {
    const worker = this.#parts.roster.get(holderId);
    const polls = worker === undefined ? [] : this.#parts.roster.asking(worker);
    const poll = polls.findLast(({ pollId, wanted }) => (this.#handed.get(pollId)?.length ?? 0) < wanted);
    if (poll === undefined) throw new Error("the pool chose a worker that does not ask");
    this.#handed.set(poll.pollId, [...(this.#handed.get(poll.pollId) ?? []), job]);
    if (worker?.givenUp.has(job.jobId) === true) worker.givenUp.set(job.jobId, "again");
  }

  holderOf(holderId: string): SlotHolder | null {
    const worker = this.#parts.roster.get(holderId);
    const key = worker === undefined ? null : this.#keyOf(worker.keyId);
    return key === null ? null : workerSlots(holderId, key);
  }

  async ping(call: PingCall): Promise<void> {
    const { roster } = this.#parts;
    const nowMs = Date.now();
    const worker = roster.hear(call, nowMs);
    if (worker === null) return;
    worker.gpu = call.gpu ?? worker.gpu;
    worker.version = call.version ?? worker.version;
    if (call.unfit !== null) worker.sick = { kind: "unfit", detail: call.unfit, sinceMs: nowMs };
    else if (worker.sick?.kind === "silent") worker.sick = null;
    const isStray = (jobId: string) => renewHeld(this.#parts.jobs, worker.holderId, jobId, nowMs) === null;
    roster.noteHeartbeat(worker, call.jobIds.filter(isStray), nowMs);
    this.#parts.stops.takeHeartbeat(worker, call.jobIds, nowMs);
    this.#ask(worker, nowMs);
    await this.#parts.wake(nowMs);
  }

  /** Out of service, its open polls are answered: a worker that is being shut down need not wait for them. */
  drain(call: CallOf<"drainWorker">): boolean {
    const { roster, jobs } = this.#parts;
    if (jobs.settings?.tenantId !== call.tenantId) return false;
    const found = roster.all().filter(({ workerId }) => workerId === call.workerId);
    for (const worker of found) {
      worker.draining = call.draining;
      if (call.draining) this.#exits.letGo(worker);
      this.#ask(worker, Date.now());
    }
    return found.length > 0;
  }

  /** Those that have run a handler, and take jobs, or work, or have done so a moment ago. */
  proven(nowMs: number): ReadonlySet<string> {
    const isThere = (worker: RosterWorker) => absenceOf(worker, this.#runs(worker.holderId), nowMs) === null;
    const proven = this.#parts.roster.all().filter((worker) => worker.hasRun && isThere(worker));
    return new Set(proven.map(({ holderId }) => holderId));
  }

  seenAtMs(holderId: string): number {
    return this.#parts.roster.get(holderId)?.lastSeenAtMs ?? 0;
  }

  /** Has the worker of these slots shown since then that it does not run a job that it had? */
  isRidOf(holderId: string, jobId: string, sinceMs: number, nowMs: number): boolean {
    const worker = this.#parts.roster.get(holderId);
    return worker !== undefined && this.#parts.roster.isRidOf(worker, jobId, sinceMs, nowMs);
  }

  leaseEnded(holderId: string, job: Job, how: "finished" | "lost" | "taken_away", nowMs: number): void {
    this.reports.dropProgress(job.uuid);
    const worker = this.#parts.roster.get(holderId);
    if (worker === undefined) return;
    if (how === "finished") worker.lostInARow = 0;
    if (how === "lost") this.#noteLost(worker, nowMs);
  }

  /**
   * A worker that runs nothing has lost whatever it was given: its process began anew, or the handler's result could not be
   * written as JSON and was never sent. True: some of it is too young to say so, and the worker must be asked once more.
   */
  #believeIdle(worker: RosterWorker, nowMs: number): boolean {
    const { roster, jobs, index } = this.#parts;
    if (roster.isTwin(worker, nowMs)) return false;
    jobs.pool.letGoAll(worker.holderId);
    roster.dropStops(worker.holderId);
    const isTrue = reportsIdleness(worker.version);
    let isYoung = false;
    for (const uuid of index.runningOn(worker.holderId)) {
      const stored = jobs.load(uuid);
      const lease = stored?.job.lease ?? null;
      if (stored === null || lease === null) continue;
      const isNew = nowMs - lease.startedAtMs < IDLE_GRACE_MS;
      if (isNew && !isTrue) {
        isYoung = true;
        continue;
      }
      // So soon it is the same process, which has cut the take that brought the job and not seen it.
      jobs.apply(stored, { kind: "lost", token: lease.token, delivered: isNew ? "perhaps" : true }, nowMs);
      roster.giveUp(worker, showJobId(stored.job.uuid, stored.job.mode));
    }
    worker.idleAtMs = nowMs;
    return isYoung;
  }

  #noteLost(worker: RosterWorker, nowMs: number): void {
    const { jobs } = this.#parts;
    worker.lostInARow += 1;
    if (worker.lostInARow >= LOST_IN_A_ROW_MAX) {
      const cause = "its process begins anew, or two processes use its id";
      const detail = `It lost ${worker.lostInARow} jobs in a row (${cause}); it is tried with one at a time.`;
      jobs.pool.pause(worker.holderId, detail, null, nowMs, Math.random());
    }
    if (nowMs - worker.lastSeenAtMs < WORKER_LEASE_MS) return;
    worker.sick = { kind: "silent", detail: "It fell silent while it held a job.", sinceMs: nowMs };
    this.#ask(worker, nowMs);
  }

  #close(worker: RosterWorker, pollId: string, answered: boolean): void {
    const nowMs = Date.now();
    const wasGiven = this.#handed.delete(pollId);
    this.#parts.roster.close(pollId, answered, nowMs);
    this.#ask(worker, nowMs);
    if (!wasGiven) void this.#exits.expectBack(worker.holderId);
  }

  /** Tells the pool what a worker asks for now. */
  #ask(worker: RosterWorker, nowMs: number): void {
    const { roster, jobs } = this.#parts;
    const holder = this.holderOf(worker.holderId);
    const { settings } = jobs;
    const isPriced = holder !== null && settings !== null && isPricedHolder(holder, settings, nowMs);
    // One that takes no jobs must not count as a sound one that others' jobs wait for.
    if (!isPriced || !roster.mayTake(worker)) {
      jobs.pool.leave(worker.holderId);
      return;
    }
    const wanted = (poll: Poll): number => poll.wanted - (this.#handed.get(poll.pollId)?.length ?? 0);
    const jobsWanted = roster.asking(worker).reduce((sum, poll) => sum + wanted(poll), 0);
    jobs.pool.ask(holder, jobsWanted, nowMs);
  }

  #runs(holderId: string): boolean {
    return this.#parts.index.runningOn(holderId).length > 0;
  }

  #keyOf(keyId: string): WorkerKey | null {
    const { settings } = this.#parts.jobs;
    return settings === null ? null : findKey(settings, keyId);
  }
}

function findKey(settings: EndpointSettings, keyId: string): WorkerKey | null {
  const key = settings.workerKeys.find(({ id }) => id === keyId) ?? null;
  return key !== null && key.expiresAtMs !== null && key.expiresAtMs <= Date.now() ? null : key;
}
