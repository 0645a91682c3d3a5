// The pulling workers of an endpoint as their own words tell of them: who is there, who asks, who is ill, which id is used
// twice. Memory only: each worker says all of it again within one poll. What it was given stands in leases, never here.

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

/** The name of a worker under its key. */
export interface WorkerName {
  readonly keyId: string;
  readonly workerId: string;
}

/** An open job-take. */
export interface Poll {
  readonly pollId: string;
  /** Jobs it asks for. */
  readonly wanted: number;
  /** Overtaken by a newer poll of an idle process: its own process is gone, as far as anybody knows. */
  overtaken: boolean;
  /** To be answered without a job, because its worker leaves. */
  released: boolean;
}

/** A job that a worker is to stop, with the lease that has ended. `told`: handed out by job-stop. */
export interface Stop {
  readonly token: string;
  readonly atMs: number;
  notified: boolean;
}

/** `settled`: its open polls have been answered, so that its next one shows that it goes on. */
export interface Leaving {
  readonly why: "restart" | "shutdown";
  settled: boolean;
}

export interface RosterWorker extends WorkerName {
  readonly holderId: string;
  lastSeenAtMs: number;
  /** Its newest take that said that it runs nothing; 0: none since this roster began. */
  idleAtMs: number;
  /** Its newest heartbeat, with the jobs that it named and does not hold; null: none, or one that named too many. */
  heartbeat: { readonly atMs: number; readonly strays: ReadonlySet<string> } | null;
  hasTaken: boolean;
  gpu: string | null;
  version: string | null;
  /** Its own word (a failed fitness check, a failed start), or what it did (it fell silent with jobs). */
  sick: { readonly kind: "unfit" | "silent" | "start"; readonly detail: string; readonly sinceMs: number } | null;
  /** It asked to be restarted by a result with `refresh_worker`. */
  refreshAskedAtMs: number | null;
  /** As far as anybody knows its process is about to end; null again when it asks for a job anew. */
  leaving: Leaving | null;
  /** A handler has run in its process, so that the process has started well. */
  hasRun: boolean;
  /** A poll of it was cut since its newest one began, by the end of its process or of a connection. */
  wasCut: boolean;
  /** Starts of its process that failed since one of them ran a handler. */
  failedStarts: number;
  /** When its process last did something: a poll of it began or ended, it reported. Heartbeats may be another process's. */
  actedAtMs: number;
  /** Jobs that it lost since it finished one. */
  lostInARow: number;
  draining: boolean;
  /** The newest proof that two processes use its id. */
  twinSeenAtMs: number | null;
  /** When an overtaken poll was last answered: whoever comes right after that is alive. */
  overtakenEndedAtMs: number;
  /**
   * Jobs that it lost by saying that it runs nothing: `away`, or given to it `again`, and then `reported`. A late report of
   * one that is away, and a second report of one that was given again, prove a second process.
   */
  readonly givenUp: Map<string, "away" | "again" | "reported">;
  /** Its open job-takes, oldest first. */
  readonly polls: Map<string, Poll>;
}

/** A poll that comes so soon after an overtaken one was answered comes from the process that nobody believed in. */
const TWIN_RETURNS_WITHIN_MS = 2_000;
const TWIN_SHOWN_MS = 600_000;
const GIVEN_UP_MAX = 100;
/** A worker names jobs that it does not hold for a moment after they were taken from it, and so a few at most. */
const STRAYS_MAX = 100;

export class WorkerRoster {
  readonly #workers = new Map<string, RosterWorker>();
  readonly #pollers = new Map<string, RosterWorker>();
  /** By slots, then by job id. Apart from the workers: after a start of the object a job may end before its worker is heard of. */
  readonly #stops = new Map<string, Map<string, Stop>>();

  get(holderId: string): RosterWorker | undefined {
    return this.#workers.get(holderId);
  }

  all(): readonly RosterWorker[] {
    return [...this.#workers.values()];
  }

  /** A word of a worker, of whatever kind. Null: there are too many of them. */
  hear(name: WorkerName, nowMs: number): RosterWorker | null {
    const holderId = holderOfWorker(name.keyId, name.workerId);
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
      wasCut: false,
      failedStarts: 0,
      actedAtMs: nowMs,
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

  /** Opens a poll. An idle process has no other one, so what else is open under its id belongs to a process that is gone. */
  open(worker: RosterWorker, poll: Pick<Poll, "pollId" | "wanted">, idle: boolean, nowMs: number): Poll[] {
    const others = [...worker.polls.values()];
    const returned = nowMs - worker.overtakenEndedAtMs < TWIN_RETURNS_WITHIN_MS;
    if (returned && others.some(({ overtaken }) => !overtaken)) this.noteTwin(worker, nowMs);
    if (idle && !this.isTwin(worker, nowMs)) for (const other of others) other.overtaken = true;
    // One that goes on has no other poll when it is idle, and leaves no such pause: this may be another process. A poll that was cut
    // may have ended with the one before it, unless jobs run on.
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

  /** Ends a poll. `answered`: its client heard of it, and would come again. */
  close(pollId: string, answered: boolean, nowMs: number): void {
    const worker = this.#pollers.get(pollId);
    this.#pollers.delete(pollId);
    const isOvertaken = worker?.polls.get(pollId)?.overtaken === true;
    worker?.polls.delete(pollId);
    if (worker !== undefined) worker.actedAtMs = nowMs;
    if (worker !== undefined && !answered && !isOvertaken) worker.wasCut = true;
    if (worker !== undefined && isOvertaken && answered) worker.overtakenEndedAtMs = nowMs;
  }

  /** The endpoint has so many open polls that none is left to a process that is taken to be gone. */
  get isCrowded(): boolean {
    return this.#pollers.size >= WORKER_POLLS_TOTAL_MAX;
  }

  /** The polls that may be given jobs, newest last. */
  asking(worker: RosterWorker): Poll[] {
    if (!this.mayTake(worker)) return [];
    return [...worker.polls.values()].filter(({ overtaken, released }) => !overtaken && !released);
  }

  /** Is it in service? Who leaves, or is ill, gets no job, whatever it asks for. */
  mayTake({ sick, draining, leaving }: RosterWorker): boolean {
    return sick === null && !draining && leaving === null;
  }

  /** What a worker is to stop. */
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

  /** The worker does not run it any more. Returns the token of its lease; undefined: it was not to stop. */
  dropStop(holderId: string, jobId: string): string | undefined {
    const stops = this.#stops.get(holderId);
    const token = stops?.get(jobId)?.token;
    stops?.delete(jobId);
    if (stops?.size === 0) this.#stops.delete(holderId);
    return token;
  }

  /** The worker runs nothing. */
  dropStops(holderId: string): void {
    this.#stops.delete(holderId);
  }

  /** It lost a job by its own word. Only the newest are remembered: of the others nobody will report any more. */
  giveUp(worker: RosterWorker, jobId: string): void {
    worker.givenUp.set(jobId, "away");
    const [oldest] = worker.givenUp.keys();
    if (worker.givenUp.size > GIVEN_UP_MAX && oldest !== undefined) worker.givenUp.delete(oldest);
  }

  /** A heartbeat, with the jobs that it named and that the worker does not hold. */
  noteHeartbeat(worker: RosterWorker, strays: readonly string[], nowMs: number): void {
    worker.heartbeat = strays.length > STRAYS_MAX ? null : { atMs: nowMs, strays: new Set(strays) };
  }

  /**
   * Has it shown since then that it does not run a job that it had? A take of an idle worker shows that. A busy one may never be
   * idle, so a heartbeat without the job also counts, if it is too late to have been made before.
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

  /** Do two processes use its id? Then neither's word that it is idle says anything of the other's jobs. */
  isTwin(worker: RosterWorker, nowMs: number): boolean {
    return worker.twinSeenAtMs !== null && nowMs - worker.twinSeenAtMs < TWIN_SHOWN_MS;
  }

  /** Forgets workers that nobody has heard of for long and that hold nothing. Returns them. */
  forgetGone(nowMs: number, holdsJobs: (holderId: string) => boolean): RosterWorker[] {
    const gone = this.all().filter(({ holderId, lastSeenAtMs, sick, polls }) => {
      const shownMs = sick === null ? WORKER_GONE_AFTER_MS : WORKER_SICK_SHOWN_MS;
      return nowMs - lastSeenAtMs > shownMs && !holdsJobs(holderId) && polls.size === 0;
    });
    for (const { holderId } of gone) {
      this.#workers.delete(holderId);
      this.#stops.delete(holderId);
    }
    return gone;
  }
}
