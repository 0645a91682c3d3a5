// The pulling workers of an endpoint, known by their own calls: which are there, ask for jobs or are unhealthy, and
// which ids two processes use. Memory only: calls show all of it again within one poll. Jobs stand in leases.

import { holderOfWorker } from "../job/worker-id.ts";
import {
  STOP_LET_GO_AFTER_MS,
  WORKER_GONE_AFTER_MS,
  WORKER_PING_INTERVAL_MS,
  WORKER_POLLS_MAX,
  WORKER_POLLS_TOTAL_MAX,
  WORKER_SICK_SHOWN_MS,
  WORKERS_MAX,
} from "../limits.ts";

/** A worker's name: the key that it uses, and its own id. */
export interface WorkerName {
  readonly keyId: string;
  readonly workerId: string;
}

/** An open job-take. */
export interface Poll {
  readonly pollId: string;
  /** How many jobs the poll asks for. */
  readonly wanted: number;
  /** A newer poll of an idle process has come, so the process of this poll is taken to have ended. */
  overtaken: boolean;
  /** The poll is to be answered without a job, because its worker leaves. */
  released: boolean;
}

/** A job that a worker is to stop, with the token of its ended lease. `notified`: a job-stop has returned it. */
export interface Stop {
  readonly token: string;
  readonly atMs: number;
  notified: boolean;
}

/** A worker that leaves. `settled`: its open polls have been answered, so a further poll shows that it goes on. */
export interface Leaving {
  /** `shutdown`: it was told to end before its start was done. `end`: it was told to end after that, and may run jobs. */
  readonly why: "restart" | "shutdown" | "end";
  settled: boolean;
}

export interface RosterWorker extends WorkerName {
  readonly holderId: string;
  lastSeenAtMs: number;
  /** When its newest take reported that it runs nothing, epoch ms; 0: none did since this roster began. */
  idleAtMs: number;
  /** Its newest heartbeat, with the jobs that it named but does not hold; null: none, or it named too many. */
  heartbeat: { readonly atMs: number; readonly strays: ReadonlySet<string> } | null;
  hasTaken: boolean;
  gpu: string | null;
  version: string | null;
  /** It reported a failed fitness check (`unfit`) or a failed start, or it went silent while it held jobs. */
  sick: { readonly kind: "unfit" | "silent" | "start"; readonly detail: string; readonly sinceMs: number } | null;
  /** When it asked for its restart by a result with `refresh_worker`, epoch ms; null: it did not. */
  refreshAskedAtMs: number | null;
  /** Its process is taken to be about to end; null again once it asks for a job anew. */
  leaving: Leaving | null;
  /** A handler has run in its process, which has therefore started well. */
  hasRun: boolean;
  /** When it last showed that a handler has run, in this process or an earlier one, epoch ms; 0: never since this roster began. */
  ranAtMs: number;
  /** Since its newest poll began a poll was cut, by the end of the process or of a connection. */
  wasCut: boolean;
  /** How many starts of its process have failed since the last one that ran a handler. */
  failedStarts: number;
  /** When a poll of it last began or ended, or it reported, epoch ms. Heartbeats may come from another process. */
  actedAtMs: number;
  /** When one of its leases last ended, however that came about, epoch ms; 0: none has since this roster began. */
  freedAtMs: number;
  /** How many jobs it has lost since it last finished one. */
  lostInARow: number;
  /** It gets no more jobs, because its owner has drained it, or because its machine is to end. */
  draining: boolean;
  /** When it was last shown that two processes use its id, epoch ms; null: never. */
  twinSeenAtMs: number | null;
  /** When an overtaken poll was last answered, epoch ms: a poll right after that comes from a living process. */
  overtakenEndedAtMs: number;
  /**
   * Jobs that it lost because it reported that it runs nothing: `away`, or given to it `again`, and then `reported`. A
   * late report of a job that is away, and a second report of a job that was given again, prove a second process.
   */
  readonly givenUp: Map<string, "away" | "again" | "reported">;
  /** Its open job-takes, oldest first. */
  readonly polls: Map<string, Poll>;
}

/** A poll so soon after the answer to an overtaken one comes from the process that was taken to have ended. */
const TWIN_RETURNS_WITHIN_MS = 2_000;
const TWIN_SHOWN_MS = 600_000;
const GIVEN_UP_MAX = 100;
/** A worker names jobs that it does not hold only for a moment after it lost them, so there are a few at most. */
const STRAYS_MAX = 100;

/** Is told of each call of a worker before it is noted. */
type Watch = (holderId: string, nowMs: number) => void;

export class WorkerRoster {
  /** When any worker has called last, also one that is forgotten since; 0: none has since the object's start. */
  lastCallAtMs = 0;
  readonly #workers = new Map<string, RosterWorker>();
  readonly #pollers = new Map<string, RosterWorker>();
  /** Holder → job id → stop. Not in the workers: after a start of the object a job may end before its worker calls. */
  readonly #stops = new Map<string, Map<string, Stop>>();
  readonly #watch: Watch;

  constructor(watch: Watch = () => undefined) {
    this.#watch = watch;
  }

  get(holderId: string): RosterWorker | undefined {
    return this.#workers.get(holderId);
  }

  all(): readonly RosterWorker[] {
    return [...this.#workers.values()];
  }

  /** Notes a call of a worker, of any kind, and returns the worker. Null: there are too many workers. */
  hear(name: WorkerName, nowMs: number): RosterWorker | null {
    this.lastCallAtMs = nowMs;
    const holderId = holderOfWorker(name.keyId, name.workerId);
    this.#watch(holderId, nowMs);
    const known = this.#workers.get(holderId);
    if (known !== undefined) {
      known.lastSeenAtMs = nowMs;
      return known;
    }
    if (this.#workers.size >= WORKERS_MAX) return null;
    const worker: RosterWorker = {
      keyId: name.keyId,
      workerId: name.workerId,
      holderId,
      lastSeenAtMs: nowMs,
      idleAtMs: 0,
      heartbeat: null,
      hasTaken: false,
      gpu: null,
      version: null,
      sick: null,
      refreshAskedAtMs: null,
      leaving: null,
      hasRun: false,
      ranAtMs: 0,
      wasCut: false,
      failedStarts: 0,
      actedAtMs: nowMs,
      freedAtMs: 0,
      lostInARow: 0,
      draining: false,
      twinSeenAtMs: null,
      overtakenEndedAtMs: 0,
      givenUp: new Map(),
      polls: new Map(),
    };
    this.#workers.set(holderId, worker);
    return worker;
  }

  /** Opens a poll; returns polls to answer now. An idle process has one poll, so others under its id are overtaken. */
  open(worker: RosterWorker, poll: Pick<Poll, "pollId" | "wanted">, idle: boolean, nowMs: number): Poll[] {
    const others = [...worker.polls.values()];
    const returned = nowMs - worker.overtakenEndedAtMs < TWIN_RETURNS_WITHIN_MS;
    if (returned && others.some(({ overtaken }) => !overtaken)) this.noteTwin(worker, nowMs);
    if (idle && !this.isTwin(worker, nowMs)) for (const other of others) other.overtaken = true;
    // An idle process that goes on has no other poll and makes no such pause, so this may be a new process. A poll that
    // was cut may have ended with its process, unless jobs still run.
    const isPaused = nowMs - worker.actedAtMs > STOP_LET_GO_AFTER_MS;
    if (idle && (others.length > 0 || isPaused || worker.wasCut)) worker.hasRun = false;
    worker.wasCut = false;
    worker.actedAtMs = nowMs;
    worker.hasTaken = true;
    worker.sick = null;
    if (worker.leaving?.settled === true) {
      worker.leaving = null;
      worker.hasRun = false;
    }
    worker.polls.set(poll.pollId, { ...poll, overtaken: false, released: false });
    this.#pollers.set(poll.pollId, worker);
    const tooMany = others.length - WORKER_POLLS_MAX + 1;
    return others.filter(({ overtaken }, at) => at < tooMany || (overtaken && this.isCrowded));
  }

  /** Ends a poll. `answered`: its client got the answer, so a living process would poll again. */
  close(pollId: string, answered: boolean, nowMs: number): void {
    const worker = this.#pollers.get(pollId);
    this.#pollers.delete(pollId);
    const isOvertaken = worker?.polls.get(pollId)?.overtaken === true;
    worker?.polls.delete(pollId);
    if (worker !== undefined) worker.actedAtMs = nowMs;
    if (worker !== undefined && !answered && !isOvertaken) worker.wasCut = true;
    if (worker !== undefined && isOvertaken && answered) worker.overtakenEndedAtMs = nowMs;
  }

  /** The endpoint has so many open polls that overtaken ones are not kept open. */
  get isCrowded(): boolean {
    return this.#pollers.size >= WORKER_POLLS_TOTAL_MAX;
  }

  /** The polls that may be given jobs, newest last. */
  asking(worker: RosterWorker): Poll[] {
    if (!this.mayTake(worker)) return [];
    return [...worker.polls.values()].filter(({ overtaken, released }) => !overtaken && !released);
  }

  /** Is the worker in service? A worker that leaves, is drained or is unhealthy gets no job, even if it asks. */
  mayTake({ sick, draining, leaving }: RosterWorker): boolean {
    return sick === null && !draining && leaving === null;
  }

  /** The jobs that a worker is to stop, by job id. */
  stopsOf(holderId: string): ReadonlyMap<string, Stop> {
    return this.#stops.get(holderId) ?? new Map();
  }

  addStop(holderId: string, jobId: string, stop: Stop): void {
    const stops = this.#stops.get(holderId) ?? new Map<string, Stop>();
    stops.set(jobId, stop);
    this.#stops.set(holderId, stops);
    const [oldest] = this.#stops.keys();
    if (this.#stops.size > WORKERS_MAX && oldest !== undefined) this.#stops.delete(oldest);
  }

  /** The worker does not run the job any more. Returns its lease's token; undefined: it was not to stop. */
  dropStop(holderId: string, jobId: string): string | undefined {
    const stops = this.#stops.get(holderId);
    const token = stops?.get(jobId)?.token;
    stops?.delete(jobId);
    if (stops?.size === 0) this.#stops.delete(holderId);
    return token;
  }

  /** The worker runs nothing, so it has nothing to stop. */
  dropStops(holderId: string): void {
    this.#stops.delete(holderId);
  }

  /** Notes a job that the worker lost by reporting itself idle. Older ones are forgotten: nobody reports them late. */
  giveUp(worker: RosterWorker, jobId: string): void {
    worker.givenUp.set(jobId, "away");
    const [oldest] = worker.givenUp.keys();
    if (worker.givenUp.size > GIVEN_UP_MAX && oldest !== undefined) worker.givenUp.delete(oldest);
  }

  /** Notes a heartbeat. `strays`: the jobs that it named and that the worker does not hold. */
  noteHeartbeat(worker: RosterWorker, strays: readonly string[], nowMs: number): void {
    worker.heartbeat = strays.length > STRAYS_MAX ? null : { atMs: nowMs, strays: new Set(strays) };
  }

  /**
   * Has the worker shown since `sinceMs` that it does not run a job that it had? An idle worker's take shows that. A
   * busy worker may never be idle, so a heartbeat without the job also counts, if it was surely made after that.
   */
  isRidOf(worker: RosterWorker, jobId: string, sinceMs: number, nowMs: number): boolean {
    const { idleAtMs, heartbeat } = worker;
    if (idleAtMs >= sinceMs) return true;
    if (heartbeat === null || heartbeat.strays.has(jobId) || this.isTwin(worker, nowMs)) return false;
    return heartbeat.atMs >= sinceMs + WORKER_PING_INTERVAL_MS;
  }

  noteTwin(worker: RosterWorker, nowMs: number): void {
    worker.twinSeenAtMs = nowMs;
  }

  /** Do two processes use its id? Then a report of one that it is idle shows nothing about the other's jobs. */
  isTwin(worker: RosterWorker, nowMs: number): boolean {
    return worker.twinSeenAtMs !== null && nowMs - worker.twinSeenAtMs < TWIN_SHOWN_MS;
  }

  /** Its process has ended: what comes under its name from now on is another one. */
  forget(holderId: string): void {
    this.#workers.delete(holderId);
    this.#stops.delete(holderId);
  }

  /** Removes and returns the workers that have sent nothing for long and hold no job. */
  forgetGone(nowMs: number, holdsJobs: (holderId: string) => boolean): RosterWorker[] {
    const gone = this.all().filter(({ holderId, lastSeenAtMs, sick, polls }) => {
      const shownMs = sick === null ? WORKER_GONE_AFTER_MS : WORKER_SICK_SHOWN_MS;
      return nowMs - lastSeenAtMs > shownMs && !holdsJobs(holderId) && polls.size === 0;
    });
    for (const { holderId } of gone) this.forget(holderId);
    return gone;
  }
}
