// How pulling workers leave: drained, by a result that asks for their restart, told to end, by a start that failed, or
// without notice. Then what the broker holds for them is let go of: their open polls are answered, their jobs go to others.
import type { HandedLease } from "../../contract/worker.ts";
import type { AttemptOutcome } from "../../core/job/event.ts";
import { LEAVE_SETTLE_MS, STOP_LET_GO_AFTER_MS } from "../../core/limits.ts";
import type { Leaving, RosterWorker } from "../../core/scheduling/worker-roster.ts";
import { log } from "../../log.ts";
import type { OverJobs } from "../jobs/jobs.ts";

export type StartFailed = Extract<AttemptOutcome, { kind: "start_failed" }>;

export class WorkerExits {
  readonly #parts: OverJobs;
  /** The time by which a worker whose take or job has ended must ask again, epoch ms, by its holder id. */
  readonly #backBy = new Map<string, number>();

  constructor(parts: OverJobs) {
    this.#parts = parts;
  }

  /** Answers its open polls: a worker that is being shut down need not wait for them. */
  letGo(worker: RosterWorker): void {
    this.#answerPolls(worker);
    this.#parts.stops.letGo(worker.holderId);
  }

  /** The endpoint is deleted: jobs that open polls were given and are not yet answered with go back, and the polls end. */
  turnAway(worker: RosterWorker, nowMs: number): void {
    this.#takeBack(worker, nowMs);
    this.#answerPolls(worker);
  }

  #answerPolls(worker: RosterWorker): void {
    for (const poll of worker.polls.values()) {
      poll.released = true;
      this.#parts.longPolls.wake(poll.pollId);
    }
  }

  /** Takes back the jobs that its open polls were given and are not yet answered with. */
  #takeBack(worker: RosterWorker, nowMs: number): void {
    for (const pollId of worker.polls.keys()) this.giveBack(worker, this.#parts.pullSlots.takeGiven(pollId), nowMs);
  }

  /** Ends the leases of jobs that the worker was given and never received. */
  giveBack({ holderId }: RosterWorker, leases: readonly HandedLease[], nowMs: number): void {
    const { endpoint, jobs } = this.#parts;
    for (const { jobId, lease } of leases) {
      const stored = jobs.heldBy(holderId, jobId);
      if (stored?.job.lease?.token !== lease) continue;
      jobs.apply(stored, { kind: "lost", token: lease, delivered: false }, nowMs);
      log("take_abandoned", { endpoint: endpoint.id, job: jobId });
    }
  }

  /** A result asked for the worker's restart. Jobs that the worker still runs keep their leases; it gets no other. */
  askRestart(worker: RosterWorker, nowMs: number): void {
    worker.refreshAskedAtMs = nowMs;
    // A process that was told to end does not begin anew, whatever its last results ask for.
    if (worker.leaving?.why !== "end") this.#leave(worker, "restart", nowMs);
  }

  /**
   * The worker was told to end. Jobs that it runs keep their leases; it gets no others. Returns whether it should wait for the answers to
   * its open polls. One that is drained need not: it has been given nothing since.
   */
  noteEnding(worker: RosterWorker, nowMs: number): boolean {
    if (worker.draining) return false;
    if (worker.leaving === null) this.#leave(worker, "end", nowMs);
    return true;
  }

  /**
   * The worker's process could not start, so that no handler has begun there, and none will: the attempts of all jobs
   * that it holds end here, except that of the reported job, which the caller ends.
   */
  failStart(worker: RosterWorker, { start }: StartFailed, reportedUuid: string | null, nowMs: number): void {
    const { endpoint, roster, jobs, index } = this.#parts;
    log("worker_start_failed", { endpoint: endpoint.id, worker: worker.workerId, detail: start.detail });
    if (start.kind === "cancelled") this.#leave(worker, "shutdown", nowMs);
    else this.#sicken(worker, start.detail, nowMs);
    // A process older than this start of the object may have run a handler, whose error can look like a failed start.
    // If it did fail to start, its other jobs end with their leases.
    if (roster.isTwin(worker, nowMs) || worker.idleAtMs === 0) return;
    for (const uuid of index.runningOn(worker.holderId)) {
      const stored = uuid === reportedUuid ? null : jobs.load(uuid);
      const token = stored?.job.lease?.token;
      if (stored === null || token === undefined) continue;
      jobs.apply(stored, { kind: "finish", token, outcome: { kind: "start_failed", start } }, nowMs);
    }
  }

  #sicken(worker: RosterWorker, detail: string, nowMs: number): void {
    // One process reports its failed start once for each job that it holds.
    if (worker.sick?.kind !== "start") worker.failedStarts += 1;
    // A crash loop must not use up the queue: after its second failed start a worker gets single jobs after growing pauses.
    if (worker.failedStarts > 1) this.#parts.endpoint.pool.pause(worker.holderId, detail, null, nowMs, Math.random());
    worker.sick = { kind: "start", detail, sinceMs: nowMs };
    this.#takeBack(worker, nowMs);
    this.letGo(worker);
    this.#parts.pullSlots.ask(worker, nowMs);
  }

  #leave(worker: RosterWorker, why: Leaving["why"], nowMs: number): void {
    const leaving: Leaving = { why, settled: false };
    worker.leaving = leaving;
    // A process that was told to end waits for the answers to its polls, and does what comes by them.
    if (why !== "end") this.#takeBack(worker, nowMs);
    this.#parts.pullSlots.ask(worker, nowMs);
    void this.#settle(worker, leaving);
  }

  /**
   * Answers polls that were open or under way when the call came by which the worker leaves. It waits by scheduler.wait and not by
   * LongPolls, which go by the date: this is a pause in which an answer travels.
   */
  async #settle(worker: RosterWorker, leaving: Leaving): Promise<void> {
    await scheduler.wait(LEAVE_SETTLE_MS);
    // A later result has asked for a restart meanwhile: only the pause of that one counts.
    if (worker.leaving !== leaving) return;
    leaving.settled = true;
    if (this.#parts.pullSlots.runs(worker.holderId)) this.#answerPolls(worker);
    else this.letGo(worker);
  }

  /** Answers the job-stop of a worker that runs nothing and does not ask again: its end may wait for just that. */
  async expectBack(holderId: string): Promise<void> {
    const { roster, longPolls } = this.#parts;
    const isExpected = this.#backBy.has(holderId);
    this.#backBy.set(holderId, Date.now() + STOP_LET_GO_AFTER_MS);
    if (isExpected) return;
    const leftMs = () => (this.#backBy.get(holderId) ?? 0) - Date.now();
    while (leftMs() > 0) await longPolls.wait(`back ${holderId}`, leftMs());
    this.#backBy.delete(holderId);
    const isBack = (roster.get(holderId)?.polls.size ?? 0) > 0 || this.#parts.pullSlots.runs(holderId);
    if (!isBack) this.#parts.stops.letGo(holderId);
  }
}
