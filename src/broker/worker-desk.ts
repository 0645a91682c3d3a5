// What pulling workers ask of a broker and tell it: takes, heartbeats, results. A worker's word names itself and a job; the
// lease that fits is looked up here, so a report that is late, doubled or of another worker finds none and changes nothing.
import type { EndpointSettings, WorkerKey } from "../contract/settings.ts";
import type { HandedJob, PingCall, ReportCall, ReportReply, TakeCall, WorkerApi } from "../contract/worker.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { isTerminal, type Job } from "../core/job.ts";
import type { AttemptOutcome } from "../core/job-event.ts";
import { makeJobId } from "../core/job-id.ts";
import {
  IDLE_GRACE_MS,
  LIMIT_RETRY_AFTER_SECONDS,
  LOST_IN_A_ROW_MAX,
  PROGRESS_TOTAL_MAX_BYTES,
  START_JOBS_MAX,
  STOP_LET_GO_AFTER_MS,
  TAKE_HOLD_MAX_MS,
  WORKER_LEASE_MS,
  WORKER_POLLS_TOTAL_MAX,
  WORKERS_MAX,
} from "../core/limits.ts";
import { slotsOfWorker } from "../core/worker-id.ts";
import type { Poll, RosterWorker, WorkerRoster } from "../core/worker-roster.ts";
import { log } from "../log.ts";
import { TOO_MANY_POLLS } from "./held-calls.ts";
import type { JobBook } from "./job-book.ts";
import type { StoredJob } from "./job-row.ts";
import { isPricedHolder, type SlotHolder, workerSlots } from "./leasing.ts";
import type { LiveIndex } from "./live-index.ts";
import type { Starter } from "./starter.ts";
import type { StopDesk } from "./stop-desk.ts";
import type { Waiters } from "./waiters.ts";

interface Parts {
  readonly endpointId: string;
  readonly roster: WorkerRoster;
  readonly book: JobBook;
  readonly index: LiveIndex;
  readonly waiters: Waiters;
  readonly stops: StopDesk;
  readonly starter: Starter;
  /** Serves open polls, sends wake-ups and arms the alarm after a change. */
  readonly wake: (nowMs: number) => Promise<void>;
}

/** Walks all workers, so not at each call. */
const LOOK_FOR_GONE_EVERY_MS = 10_000;

type CallOf<Name extends keyof WorkerApi> = Parameters<WorkerApi[Name]>[0];

export class WorkerDesk {
  readonly #parts: Parts;
  /** What open polls have been given and not yet answered. */
  readonly #given = new Map<string, HandedJob[]>();
  /** Newest word of each running handler, by uuid: lost with the object, and told again by the next one. */
  readonly #progress = new Map<string, Uint8Array>();
  #progressBytes = 0;

  /** When each worker whose take or job has ended must have asked again, by its slots. */
  readonly #backBy = new Map<string, number>();
  #lookedForGoneAtMs = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  workerKey(keyId: string): Result<{ readonly digest: string } | null> {
    const { settings } = this.#parts.book;
    if (settings === null) return fail({ kind: "settings_behind" });
    const key = findKey(settings, keyId);
    return ok(key === null ? null : { digest: key.digest });
  }

  /** Settings have changed: other slots, or keys that are no more. */
  configured(nowMs: number): void {
    for (const worker of this.#parts.roster.all()) this.#ask(worker, nowMs);
  }

  async takeJobs(call: TakeCall): Promise<Result<readonly HandedJob[]>> {
    const { roster, waiters } = this.#parts;
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
    const isCrowded = roster.openPolls >= WORKER_POLLS_TOTAL_MAX;
    if (isCrowded && !call.idle && worker.polls.size > 0) return fail(TOO_MANY_POLLS);
    worker.gpu = call.gpu ?? worker.gpu;
    worker.version = call.version ?? worker.version;
    const mustAskAgain = call.idle && this.#believeIdle(worker, nowMs);
    const { pollId, wanted } = call;
    for (const overflow of roster.open(worker, { pollId, wanted }, call.idle, nowMs)) waiters.wake(overflow.pollId);
    if (isCrowded) for (const { pollId: left } of roster.overtaken(worker)) waiters.wake(left);
    this.#ask(worker, nowMs);
    // A parked job may be one that this worker can take.
    this.#parts.index.unpark(nowMs);
    try {
      await this.#parts.wake(nowMs);
      const isOpen = worker.polls.has(pollId) && !this.#given.has(pollId);
      if (isOpen) await waiters.wait(pollId, mustAskAgain ? IDLE_GRACE_MS : TAKE_HOLD_MAX_MS);
      return ok(this.#given.get(pollId) ?? []);
    } finally {
      this.#close(worker, pollId, true);
    }
  }

  async abandonTake(call: CallOf<"abandonTake">): Promise<void> {
    const worker = this.#parts.roster.get(slotsOfWorker(call.keyId, call.workerId));
    if (worker === undefined) return;
    const nowMs = Date.now();
    // What the poll was given and has not answered yet is known here alone.
    const undelivered = [...call.leases, ...(this.#given.get(call.pollId) ?? [])];
    if (worker.polls.has(call.pollId)) {
      this.#close(worker, call.pollId, false);
      this.#parts.waiters.wake(call.pollId);
    }
    for (const { jobId, lease } of undelivered) {
      const stored = this.#held(worker.slotsId, jobId);
      if (stored?.job.lease?.token !== lease) continue;
      this.#parts.book.apply(stored, { kind: "lost", token: lease, had: false }, nowMs);
      log("take_abandoned", { endpoint: this.#parts.endpointId, job: jobId });
    }
    await this.#parts.wake(nowMs);
  }

  /** Gives ready jobs to the open polls, and answers those that got some. */
  serve(nowMs: number): void {
    const { book, waiters } = this.#parts;
    while (book.pool.freePullSlots(nowMs) > 0) {
      const started = this.#parts.starter.startReady(nowMs, { push: false });
      if (started < START_JOBS_MAX) break;
    }
    for (const pollId of this.#given.keys()) waiters.wake(pollId);
    this.#forgetGone(nowMs);
  }

  #forgetGone(nowMs: number): void {
    const { book, roster } = this.#parts;
    if (nowMs < this.#lookedForGoneAtMs + LOOK_FOR_GONE_EVERY_MS) return;
    this.#lookedForGoneAtMs = nowMs;
    for (const worker of roster.forgetGone(nowMs, (id) => this.#runs(id))) book.pool.forget(worker.slotsId);
  }

  /** Takes a leased job for a worker's newest poll that still wants one. */
  hand(slotsId: string, job: HandedJob): void {
    const worker = this.#parts.roster.get(slotsId);
    const polls = worker === undefined ? [] : this.#parts.roster.asking(worker);
    const poll = polls.findLast(({ pollId, wanted }) => (this.#given.get(pollId)?.length ?? 0) < wanted);
    if (poll === undefined) throw new Error("the pool chose a worker that does not ask");
    this.#given.set(poll.pollId, [...(this.#given.get(poll.pollId) ?? []), job]);
    if (worker?.givenUp.has(job.jobId) === true) worker.givenUp.set(job.jobId, "again");
  }

  holderOf(slotsId: string): SlotHolder | null {
    const worker = this.#parts.roster.get(slotsId);
    const key = worker === undefined ? null : this.#keyOf(worker.keyId);
    return key === null ? null : workerSlots(slotsId, key);
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
    for (const jobId of call.jobIds) this.#renew(worker.slotsId, jobId, nowMs);
    this.#parts.stops.takeHeartbeat(worker, call.jobIds, nowMs);
    this.#ask(worker, nowMs);
    await this.#parts.wake(nowMs);
  }

  async report(call: ReportCall): Promise<ReportReply> {
    const { book, roster } = this.#parts;
    const nowMs = Date.now();
    const stored = book.byId(call.jobId);
    if (stored === null) return "unknown_job";
    const worker = roster.hear(call, nowMs);
    const slotsId = slotsOfWorker(call.keyId, call.workerId);
    const held = this.#held(slotsId, call.jobId);
    if (worker !== null && call.refresh) worker.refreshAskedAtMs = nowMs;
    if (worker !== null) void this.#expectBack(worker.slotsId);
    if (held === null || held.job.lease === null) {
      // The same report again, because its answer was lost: its result is the one that the row names.
      if (isStoredAs(stored, call.outcome)) return "accepted";
      if (worker !== null) await this.#takeLateReport(worker, call.jobId, nowMs);
      return "late";
    }
    const { token } = held.job.lease;
    const moved = book.apply(held, { kind: "finish", token, outcome: call.outcome }, nowMs);
    if (moved.reply !== "done") return "late";
    if (worker?.givenUp.has(call.jobId) === true) worker.givenUp.set(call.jobId, "reported");
    await this.#parts.wake(nowMs);
    return "accepted";
  }

  progress(call: CallOf<"progress">): ReportReply {
    const nowMs = Date.now();
    const slotsId = slotsOfWorker(call.keyId, call.workerId);
    this.#parts.roster.hear(call, nowMs);
    if (this.#parts.book.byId(call.jobId) === null) return "unknown_job";
    const uuid = this.#renew(slotsId, call.jobId, nowMs);
    if (uuid === null) return "late";
    this.#keepProgress(uuid, call.output);
    return "accepted";
  }

  /** Newest last. When all of them together are too much the oldest words go: the next ones of their handlers replace them. */
  #keepProgress(uuid: string, output: Uint8Array): void {
    this.#dropProgress(uuid);
    this.#progress.set(uuid, output);
    this.#progressBytes += output.length;
    for (const oldest of this.#progress.keys()) {
      if (this.#progressBytes <= PROGRESS_TOTAL_MAX_BYTES) return;
      this.#dropProgress(oldest);
    }
  }

  #dropProgress(uuid: string): void {
    this.#progressBytes -= this.#progress.get(uuid)?.length ?? 0;
    this.#progress.delete(uuid);
  }

  progressOf(uuid: string): Uint8Array | null {
    return this.#progress.get(uuid) ?? null;
  }

  #letGo(worker: RosterWorker): void {
    for (const pollId of worker.polls.keys()) this.#parts.waiters.wake(pollId);
    this.#parts.stops.letGo(worker.slotsId);
  }

  /** Out of service, its open polls are answered: a worker that is being shut down need not wait for them. */
  drain(call: CallOf<"drainWorker">): boolean {
    const { roster, book } = this.#parts;
    if (book.settings?.tenantId !== call.tenantId) return false;
    const found = roster.all().filter(({ workerId }) => workerId === call.workerId);
    for (const worker of found) {
      worker.draining = call.draining;
      if (call.draining) this.#letGo(worker);
      this.#ask(worker, Date.now());
    }
    return found.length > 0;
  }

  heardAtMs(slotsId: string): number {
    return this.#parts.roster.get(slotsId)?.lastSeenAtMs ?? 0;
  }

  idleSinceMs(slotsId: string): number {
    return this.#parts.roster.get(slotsId)?.idleAtMs ?? 0;
  }

  leaseEnded(slotsId: string, job: Job, how: "finished" | "lost" | "taken_away", nowMs: number): void {
    this.#dropProgress(job.uuid);
    const worker = this.#parts.roster.get(slotsId);
    if (worker === undefined) return;
    if (how === "finished") worker.lostInARow = 0;
    if (how === "lost") this.#noteLost(worker, nowMs);
  }

  /**
   * A worker that runs nothing has lost whatever it was given: its process began anew, or the handler's result could not be
   * written as JSON and was never sent. True: some of it is too young to say so, and the worker must be asked once more.
   */
  #believeIdle(worker: RosterWorker, nowMs: number): boolean {
    const { roster, book, index } = this.#parts;
    if (roster.isTwin(worker, nowMs)) return false;
    book.pool.letGoAll(worker.slotsId);
    roster.dropStops(worker.slotsId);
    let isYoung = false;
    for (const uuid of index.runningOn(worker.slotsId)) {
      const stored = book.load(uuid);
      const lease = stored?.job.lease ?? null;
      if (stored === null || lease === null) continue;
      if (nowMs - lease.startedAtMs < IDLE_GRACE_MS) {
        isYoung = true;
        continue;
      }
      book.apply(stored, { kind: "lost", token: lease.token, had: true }, nowMs);
      roster.giveUp(worker, makeJobId(stored.job.uuid, stored.job.mode));
    }
    worker.idleAtMs = nowMs;
    return isYoung;
  }

  /** The job is not this worker's any more. If it had said that it runs nothing, another process of its id has run it. */
  async #takeLateReport(worker: RosterWorker, jobId: string, nowMs: number): Promise<void> {
    const { roster, stops, endpointId } = this.#parts;
    const givenUp = worker.givenUp.get(jobId);
    if (givenUp === "away" || givenUp === "reported") roster.noteTwin(worker, nowMs);
    worker.givenUp.delete(jobId);
    log("late_report", { endpoint: endpointId, job: jobId });
    if (stops.takeReport(worker.slotsId, jobId)) await this.#parts.wake(nowMs);
  }

  #noteLost(worker: RosterWorker, nowMs: number): void {
    const { book } = this.#parts;
    worker.lostInARow += 1;
    if (worker.lostInARow >= LOST_IN_A_ROW_MAX) {
      const cause = "its process begins anew, or two processes use its id";
      const detail = `It lost ${worker.lostInARow} jobs in a row (${cause}); it is tried with one at a time.`;
      book.pool.pause(worker.slotsId, detail, null, nowMs, Math.random());
    }
    if (nowMs - worker.lastSeenAtMs < WORKER_LEASE_MS) return;
    worker.sick = { kind: "silent", detail: "It fell silent while it held a job.", sinceMs: nowMs };
    this.#ask(worker, nowMs);
  }

  #close(worker: RosterWorker, pollId: string, answered: boolean): void {
    const nowMs = Date.now();
    const wasGiven = this.#given.delete(pollId);
    this.#parts.roster.close(pollId, answered, nowMs);
    this.#ask(worker, nowMs);
    if (!wasGiven) void this.#expectBack(worker.slotsId);
  }

  /** Lets go of the job-stop of a worker that runs nothing and does not ask again: it may be waiting for just that. */
  async #expectBack(slotsId: string): Promise<void> {
    const { roster, waiters } = this.#parts;
    const isExpected = this.#backBy.has(slotsId);
    this.#backBy.set(slotsId, Date.now() + STOP_LET_GO_AFTER_MS);
    if (isExpected) return;
    const leftMs = () => (this.#backBy.get(slotsId) ?? 0) - Date.now();
    while (leftMs() > 0) await waiters.wait(`back ${slotsId}`, leftMs());
    this.#backBy.delete(slotsId);
    const isBack = (roster.get(slotsId)?.polls.size ?? 0) > 0 || this.#runs(slotsId);
    if (!isBack) this.#parts.stops.letGo(slotsId);
  }

  /** Tells the pool what a worker asks for now. */
  #ask(worker: RosterWorker, nowMs: number): void {
    const { roster, book } = this.#parts;
    const holder = this.holderOf(worker.slotsId);
    const { settings } = book;
    const isPriced = holder !== null && settings !== null && isPricedHolder(holder, settings, nowMs);
    // One that takes no jobs must not count as a sound one that others' jobs wait for.
    if (!isPriced || worker.sick !== null || worker.draining) {
      book.pool.leave(worker.slotsId);
      return;
    }
    const wanted = (poll: Poll): number => poll.wanted - (this.#given.get(poll.pollId)?.length ?? 0);
    const jobs = roster.asking(worker).reduce((sum, poll) => sum + wanted(poll), 0);
    book.pool.ask(holder, jobs, nowMs);
  }

  #renew(slotsId: string, jobId: string, nowMs: number): string | null {
    const stored = this.#held(slotsId, jobId);
    const token = stored?.job.lease?.token;
    if (stored === null || token === undefined) return null;
    const moved = this.#parts.book.apply(stored, { kind: "renew", token }, nowMs);
    return moved.reply === "done" ? stored.job.uuid : null;
  }

  /** A job that this worker holds; the lease may have run out a moment ago. */
  #held(slotsId: string, jobId: string): StoredJob | null {
    const stored = this.#parts.book.byId(jobId);
    if (stored === null || isTerminal(stored.job.status)) return null;
    return stored.job.lease?.upstreamId === slotsId ? stored : null;
  }

  #runs(slotsId: string): boolean {
    return this.#parts.index.runningOn(slotsId).length > 0;
  }

  #keyOf(keyId: string): WorkerKey | null {
    const { settings } = this.#parts.book;
    return settings === null ? null : findKey(settings, keyId);
  }
}

function findKey(settings: EndpointSettings, keyId: string): WorkerKey | null {
  return settings.workerKeys.find(({ id }) => id === keyId) ?? null;
}

/** Is the large result of this report the one that is kept? */
function isStoredAs({ outputPlace }: StoredJob, outcome: AttemptOutcome): boolean {
  const output = "output" in outcome ? outcome.output : null;
  return output?.kind === "r2" && outputPlace?.kind === "r2" && output.key === outputPlace.key;
}
