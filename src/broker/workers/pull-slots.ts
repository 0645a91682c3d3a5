// The slots of pulling workers: which worker has them, which of them may take a job, what their open polls ask for, and
// which jobs those polls have been given, but not yet answered with.
import type { WorkerKey } from "../../contract/settings.ts";
import type { HandedJob } from "../../contract/worker.ts";
import { LOST_IN_A_ROW_MAX, WORKER_PING_INTERVAL_MS } from "../../core/limits.ts";
import { absenceOf } from "../../core/scheduling/worker-absence.ts";
import type { Poll, RosterWorker, WorkerRoster } from "../../core/scheduling/worker-roster.ts";
import type { Endpoint } from "../endpoint.ts";
import { type Machines, workerKeyOf } from "../fleet/machines.ts";
import { rateOf, type SlotHolder, workerSlots } from "../jobs/leasing.ts";
import type { LiveIndex } from "../jobs/live-index.ts";
import type { LongPolls } from "../jobs/long-polls.ts";

/** The parts of a broker that whatever looks after pulling workers is made of. */
export interface OverRoster {
  readonly endpoint: Endpoint;
  readonly roster: WorkerRoster;
  readonly index: LiveIndex;
  readonly longPolls: LongPolls;
}

/** Looking for workers that are gone walks all workers, so it is not done at each call. */
const LOOK_FOR_GONE_EVERY_MS = 10_000;

interface Parts extends OverRoster {
  readonly machines: Machines;
}

export class PullSlots {
  readonly #parts: Parts;
  /** Jobs that polls have been given and are not yet answered with, by poll. */
  readonly #given = new Map<string, HandedJob[]>();
  #lookedForGoneAtMs = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Null: the endpoint has no such key, or it has expired. A machine of the fleet has a key of its own. */
  keyOf(keyId: string): WorkerKey | null {
    const key = this.listedKeyOf(keyId);
    return key !== null && key.expiresAtMs !== null && key.expiresAtMs <= Date.now() ? null : key;
  }

  /** The same, for a list: workers of a key that has expired are still shown. */
  listedKeyOf(keyId: string): WorkerKey | null {
    const { endpoint, machines } = this.#parts;
    return endpoint.settings === null ? null : workerKeyOf(keyId, endpoint.settings, machines);
  }

  /**
   * The workers of the endpoint, as they are known by their own calls: those that have a key, and whose machine, where they have one, was
   * not started anew since they called.
   */
  listed(): readonly RosterWorker[] {
    const { roster, machines } = this.#parts;
    return roster.all().filter(({ keyId, lastSeenAtMs }) => {
      const startedAtMs = machines.get(keyId)?.startedAtMs ?? 0;
      return this.listedKeyOf(keyId) !== null && lastSeenAtMs >= startedAtMs;
    });
  }

  /** Null: the worker or its key is not one of this endpoint's any more. */
  holderOf(holderId: string): SlotHolder | null {
    const worker = this.#parts.roster.get(holderId);
    const key = worker === undefined ? null : this.keyOf(worker.keyId);
    return key === null ? null : workerSlots(holderId, key);
  }

  runs(holderId: string): boolean {
    return this.#parts.index.runningOn(holderId).length > 0;
  }

  /** Ids of workers that have run a handler, and that take jobs or work, or have done so a moment ago. */
  proven(nowMs: number): ReadonlySet<string> {
    const isThere = (worker: RosterWorker) => absenceOf(worker, this.runs(worker.holderId), nowMs) === null;
    const proven = this.#parts.roster.all().filter((worker) => worker.hasRun && isThere(worker));
    return new Set(proven.map(({ holderId }) => holderId));
  }

  /** Has the worker shown since then that it does not run a job that it had? */
  isRidOf(holderId: string, jobId: string, sinceMs: number, nowMs: number): boolean {
    const worker = this.#parts.roster.get(holderId);
    return worker !== undefined && this.#parts.roster.isRidOf(worker, jobId, sinceMs, nowMs);
  }

  /** Gives the pool the number of jobs that a worker asks for now. */
  ask(worker: RosterWorker, nowMs: number): void {
    const {
      roster,
      endpoint: { pool, settings },
    } = this.#parts;
    const holder = this.holderOf(worker.holderId);
    const isPriced = holder !== null && settings !== null && rateOf(holder, settings, nowMs) !== undefined;
    // A worker that takes no jobs must not count as sound: jobs that failed elsewhere would wait for it.
    if (!isPriced || !roster.mayTake(worker)) {
      pool.leave(worker.holderId);
      return;
    }
    const wanted = (poll: Poll): number => poll.wanted - this.given(poll.pollId).length;
    const jobsWanted = roster.asking(worker).reduce((sum, poll) => sum + wanted(poll), 0);
    pool.ask(holder, jobsWanted, nowMs);
  }

  /** Called when settings have changed: workers may have other slots, or keys that do not exist any more. */
  askAll(nowMs: number): void {
    for (const worker of this.#parts.roster.all()) this.ask(worker, nowMs);
  }

  /** Takes a leased job for a worker's newest poll that still wants one. */
  hand(holderId: string, job: HandedJob): void {
    const worker = this.#parts.roster.get(holderId);
    const polls = worker === undefined ? [] : this.#parts.roster.asking(worker);
    const poll = polls.findLast(({ pollId, wanted }) => this.given(pollId).length < wanted);
    if (poll === undefined) throw new Error("the pool chose a worker that does not ask");
    this.#given.set(poll.pollId, [...this.given(poll.pollId), job]);
    if (worker?.givenUp.has(job.jobId) === true) worker.givenUp.set(job.jobId, "again");
  }

  given(pollId: string): readonly HandedJob[] {
    return this.#given.get(pollId) ?? [];
  }

  /** Answers the polls that were given something. */
  answerGiven(): void {
    for (const pollId of this.#given.keys()) this.#parts.longPolls.wake(pollId);
  }

  /** Removes what a poll was given and returns it: the poll was answered with it, or it goes back. */
  takeGiven(pollId: string): readonly HandedJob[] {
    const given = this.given(pollId);
    this.#given.delete(pollId);
    return given;
  }

  /** A lease of a worker has ended. `lost`: the worker has not reported the job, and does not have it any more. */
  leaseEnded(holderId: string, how: "finished" | "lost" | "taken_away", nowMs: number): void {
    const worker = this.#parts.roster.get(holderId);
    if (worker === undefined) return;
    worker.freedAtMs = nowMs;
    if (how === "finished") worker.lostInARow = 0;
    if (how === "lost") this.#noteLost(worker, nowMs);
  }

  #noteLost(worker: RosterWorker, nowMs: number): void {
    worker.lostInARow += 1;
    if (worker.lostInARow >= LOST_IN_A_ROW_MAX) {
      const cause = "its process begins anew, or two processes use its id";
      const detail = `It lost ${worker.lostInARow} jobs in a row (${cause}); it is tried with one at a time.`;
      this.#parts.endpoint.pool.pause(worker.holderId, detail, null, nowMs, Math.random());
    }
    // A call that said nothing of the job, such as the first heartbeat of its process, may have come after the lease began.
    if (nowMs - worker.lastSeenAtMs < 2 * WORKER_PING_INTERVAL_MS) return;
    worker.sick = { kind: "silent", detail: "It fell silent while it held a job.", sinceMs: nowMs };
    this.ask(worker, nowMs);
  }

  /** The machine of a worker stops or ends, and its process with it. */
  forget({ holderId }: RosterWorker): void {
    this.#parts.roster.forget(holderId);
    this.#parts.endpoint.pool.forget(holderId);
  }

  /** Forgets workers that have not been seen for long, which makes room for new ones. */
  forgetGone(nowMs: number): void {
    const { endpoint, roster } = this.#parts;
    if (nowMs < this.#lookedForGoneAtMs + LOOK_FOR_GONE_EVERY_MS) return;
    this.#lookedForGoneAtMs = nowMs;
    for (const worker of roster.forgetGone(nowMs, (id) => this.runs(id))) endpoint.pool.forget(worker.holderId);
  }
}
