import type { CallOf } from "../../contract/broker.ts";
import type { HandedJob, PingCall, TakeCall } from "../../contract/worker.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { showJobId } from "../../core/job/id.ts";
import { isCompletedBy } from "../../core/job/job.ts";
import { holderOfWorker } from "../../core/job/worker-id.ts";
import { IDLE_GRACE_MS, LIMIT_RETRY_AFTER_SECONDS, TAKE_HOLD_MAX_MS, WORKERS_MAX } from "../../core/limits.ts";
import { reportsIdleness } from "../../core/scheduling/sdk-version.ts";
import type { RosterWorker, WorkerName } from "../../core/scheduling/worker-roster.ts";
import { TOO_MANY_POLLS } from "../jobs/held-calls.ts";
import type { OverJobs } from "../jobs/jobs.ts";
import type { Wake } from "../wake.ts";
import type { WorkerExits } from "./exits.ts";
import { renewHeld } from "./reports.ts";

interface Parts extends OverJobs {
  readonly exits: WorkerExits;
  readonly wake: Wake;
}

const NO_JOBS = {
  kind: "wrong_state",
  message: "this endpoint is load-balanced and has no jobs: its owner adds this worker as an upstream that is called",
} as const;

export class PullWorkers {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  workerKey(keyId: string): Result<{ readonly digest: string }> {
    const key = this.#parts.pullSlots.keyOf(keyId);
    return key === null ? fail({ kind: "settings_behind" }) : ok({ digest: key.digest });
  }

  async takeJobs(call: TakeCall): Promise<Result<readonly HandedJob[]>> {
    const { activeHolds, endpoint, roster, longPolls, pullSlots, wake } = this.#parts;
    const nowMs = Date.now();
    if (pullSlots.keyOf(call.keyId) === null) return fail({ kind: "unauthorized" });
    if (endpoint.settings?.kind === "load_balancer") return fail(NO_JOBS);
    // This runs here too, as no job may come that would run it: workers that are gone must not keep new ones out.
    pullSlots.forgetGone(nowMs);
    const worker = this.#hear(call, nowMs);
    if (worker === null) {
      const retryAfterSeconds = LIMIT_RETRY_AFTER_SECONDS;
      return fail({ kind: "too_many_workers", workersMax: WORKERS_MAX, retryAfterSeconds });
    }
    if (worker.draining) return fail({ kind: "draining" });
    activeHolds.ready(worker, nowMs);
    if (roster.isCrowded && !call.idle && worker.polls.size > 0) return fail(TOO_MANY_POLLS);
    worker.gpu = call.gpu ?? worker.gpu;
    worker.version = call.version ?? worker.version;
    const mustAskAgain = call.idle && this.#believeIdle(worker, nowMs);
    const { pollId, wanted } = call;
    for (const overflow of roster.open(worker, { pollId, wanted }, call.idle, nowMs)) longPolls.wake(overflow.pollId);
    pullSlots.ask(worker, nowMs);
    // A parked job may be one that this worker can take.
    this.#parts.index.unpark(nowMs);
    try {
      await wake.run(nowMs);
      const isHeld = worker.polls.get(pollId)?.released === false && pullSlots.given(pollId).length === 0;
      if (isHeld) await longPolls.wait(pollId, mustAskAgain ? IDLE_GRACE_MS : TAKE_HOLD_MAX_MS);
      return ok(pullSlots.given(pollId));
    } finally {
      this.#close(worker, pollId, true);
    }
  }

  async abandonTake(call: CallOf<"abandonTake">): Promise<void> {
    const worker = this.#parts.roster.get(holderOfWorker(call.keyId, call.workerId));
    if (worker === undefined) return;
    const nowMs = Date.now();
    // `call.leases` lacks the jobs that the poll was given and is not yet answered with: only this object has them.
    const undelivered = [...call.leases, ...this.#parts.pullSlots.given(call.pollId)];
    if (worker.polls.has(call.pollId)) {
      this.#close(worker, call.pollId, false);
      this.#parts.longPolls.wake(call.pollId);
    }
    this.#parts.exits.giveBack(worker, undelivered, nowMs);
    await this.#parts.wake.run(nowMs);
  }

  async ping(call: PingCall): Promise<boolean> {
    const { roster } = this.#parts;
    const nowMs = Date.now();
    const worker = this.#hear(call, nowMs);
    if (worker === null) return false;
    worker.gpu = call.gpu ?? worker.gpu;
    worker.version = call.version ?? worker.version;
    if (call.unfit !== null) worker.sick = { kind: "unfit", detail: call.unfit, sinceMs: nowMs };
    else if (worker.sick?.kind === "silent") worker.sick = null;
    const isStray = (jobId: string) => renewHeld(this.#parts.jobs, worker.holderId, jobId, nowMs) === null;
    roster.noteHeartbeat(worker, call.jobIds.filter(isStray), nowMs);
    this.#parts.stops.takeHeartbeat(worker, call.jobIds, nowMs);
    for (const jobId of call.jobIds) this.#stopFormer(worker, jobId);
    const areAnswered = call.leaving && this.#parts.exits.noteEnding(worker, nowMs);
    this.#parts.pullSlots.ask(worker, nowMs);
    await this.#parts.wake.run(nowMs);
    return areAnswered;
  }

  /** Null: there are too many workers. The roster of a start of the object does not have whose machine drains already, or is to. */
  #hear(call: WorkerName, nowMs: number): RosterWorker | null {
    const { roster, machines } = this.#parts;
    const worker = roster.hear(call, nowMs);
    if (worker !== null && machines.isLeaving(worker.keyId, nowMs)) worker.draining = true;
    return worker;
  }

  /** Stops a job that was taken from the worker before this start of the object, which the worker was not sent. */
  #stopFormer({ holderId, workerId, givenUp }: RosterWorker, jobId: string): void {
    const { roster, jobs, stops } = this.#parts;
    if (roster.stopsOf(holderId).has(jobId)) return;
    // The worker reported that it runs nothing. If another process of its id did that, this one's report will prove it.
    if (givenUp.has(jobId)) return;
    const job = jobs.byId(jobId)?.job;
    if (job === undefined || job.lease?.holderId === holderId) return;
    // Its own report has overtaken this heartbeat.
    if (isCompletedBy(job, workerId)) return;
    // The slot that the job's lease held is free since then, so there is no token of a slot to free.
    if (job.formerWorkers.some((former) => former.holderId === holderId)) stops.add(holderId, job, "");
  }

  /** Takes workers out of service or back; out of it, polls are answered, as a worker being shut down need not wait. */
  async drain(call: CallOf<"drainWorker">): Promise<boolean> {
    const { endpoint, roster, machines, pullSlots, exits } = this.#parts;
    if (endpoint.settings?.tenantId !== call.tenantId) return false;
    const nowMs = Date.now();
    const found = roster.all().filter(({ workerId }) => workerId === call.workerId);
    for (const worker of found) {
      machines.noteDrained(worker.keyId, call.draining);
      worker.draining = call.draining || machines.isLeaving(worker.keyId, nowMs);
      if (call.draining) exits.letGo(worker);
      pullSlots.ask(worker, nowMs);
    }
    // The machine of a fleet's worker ends, or another one takes its place.
    if (found.length > 0) await this.#parts.wake.run(nowMs);
    return found.length > 0;
  }

  /**
   * Ends the leases of a worker that runs nothing: its process began anew, or a handler's result could not be written
   * as JSON and was never sent. True: some leases are too young to be judged, and the worker must be asked once more.
   */
  #believeIdle(worker: RosterWorker, nowMs: number): boolean {
    const { endpoint, roster, jobs, index } = this.#parts;
    if (roster.isTwin(worker, nowMs)) return false;
    endpoint.pool.letGoAll(worker.holderId);
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
      // So soon after its start this is the same process, which cut off the take with the job and never saw the job.
      jobs.apply(stored, { kind: "lost", token: lease.token, delivered: isNew ? "perhaps" : true }, nowMs);
      roster.giveUp(worker, showJobId(stored.job.uuid, stored.job.mode));
    }
    worker.idleAtMs = nowMs;
    return isYoung;
  }

  #close(worker: RosterWorker, pollId: string, answered: boolean): void {
    const { roster, pullSlots, exits } = this.#parts;
    const nowMs = Date.now();
    const wasGiven = pullSlots.takeGiven(pollId).length > 0;
    roster.close(pollId, answered, nowMs);
    pullSlots.ask(worker, nowMs);
    if (!wasGiven) void exits.expectBack(worker.holderId);
  }
}
