// Jobs that pulling workers are to stop: told by the held job-stop, and over when the worker shows that it does not run them.
import type { WorkerCall } from "../../contract/worker.ts";
import { makeJobId } from "../../core/job/id.ts";
import type { Job } from "../../core/job/job.ts";
import { slotsOfWorker } from "../../core/job/worker-id.ts";
import { STOP_HOLD_MS, STOPS_HELD_MAX, WORKER_PING_INTERVAL_MS, WORKERS_MAX } from "../../core/limits.ts";
import type { RosterWorker, WorkerRoster } from "../../core/scheduling/worker-roster.ts";
import type { JobBook } from "../jobs/jobs.ts";
import type { Waiters } from "../jobs/long-polls.ts";

interface Parts {
  readonly roster: WorkerRoster;
  readonly book: JobBook;
  readonly waiters: Waiters;
}

export class StopDesk {
  readonly #parts: Parts;
  /** Workers that were let go of between two slices of their held job-stop. */
  readonly #released = new Set<string>();
  #held = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The worker may still run a job whose lease, of this token, has ended. */
  add(slotsId: string, job: Job, token: string): void {
    const { roster, waiters } = this.#parts;
    roster.addStop(slotsId, makeJobId(job.uuid, job.mode), { token, atMs: Date.now(), told: false });
    waiters.wake(stopKey(slotsId));
  }

  /** Held until there is one to tell. Null: woken for nothing, so the worker need not be held. */
  async await(call: WorkerCall & { readonly holdMs: number }): Promise<readonly string[] | null> {
    const { roster, waiters } = this.#parts;
    const nowMs = Date.now();
    // Also one that is too many to be kept in mind waits: who is answered at once asks again at once.
    roster.hear(call, nowMs);
    const slotsId = slotsOfWorker(call.keyId, call.workerId);
    const untold = () => [...roster.stopsOf(slotsId)].filter(([, { told }]) => !told);
    const holdMs = Math.min(call.holdMs, STOP_HOLD_MS);
    if (this.#released.delete(slotsId) && untold().length === 0) return null;
    if (untold().length === 0) {
      // Whoever asks with made-up names gets no more held calls than there may be workers; the edge slows it down.
      if (this.#held >= STOPS_HELD_MAX) return [];
      this.#held += 1;
      await waiters.wait(stopKey(slotsId), holdMs);
      this.#held -= 1;
    }
    const stops = untold();
    if (stops.length === 0 && Date.now() < nowMs + holdMs) return null;
    for (const [, stop] of stops) stop.told = true;
    return stops.map(([jobId]) => jobId);
  }

  /** Answers the open job-stop of a worker that is about to end: runpod 1.10 and later wait for it before they do. */
  letGo(slotsId: string): void {
    if (this.#parts.waiters.wake(stopKey(slotsId))) return;
    if (this.#released.size >= WORKERS_MAX) this.#released.clear();
    this.#released.add(slotsId);
  }

  /** What a heartbeat says of jobs that are not the worker's any more: it names those that it still runs. */
  takeHeartbeat({ slotsId }: RosterWorker, jobIds: readonly string[], nowMs: number): void {
    const { roster, book, waiters } = this.#parts;
    for (const [jobId, stop] of [...roster.stopsOf(slotsId)]) {
      const isOld = nowMs - stop.atMs > WORKER_PING_INTERVAL_MS;
      if (!jobIds.includes(jobId)) {
        // Its slot is free. An older SDK is never told: only that it names the job no more shows it.
        if (stop.told || isOld) book.pool.letGo(roster.dropStop(slotsId, jobId) ?? "");
      } else if (stop.told && isOld) {
        // The answer that told it was lost, or its handler blocks what would stop it.
        roster.addStop(slotsId, jobId, { ...stop, atMs: nowMs, told: false });
        waiters.wake(stopKey(slotsId));
      }
    }
    for (const jobId of jobIds) this.#stopFormer(slotsId, jobId);
  }

  /** The worker has reported the job after all. True: that freed a slot. */
  takeReport(slotsId: string, jobId: string): boolean {
    const token = this.#parts.roster.dropStop(slotsId, jobId);
    return token !== undefined && this.#parts.book.pool.letGo(token);
  }

  /** A job that was taken from it in an earlier life of this object, which nobody has told it. */
  #stopFormer(slotsId: string, jobId: string): void {
    const { roster, book } = this.#parts;
    if (roster.stopsOf(slotsId).has(jobId)) return;
    // It had said that it runs nothing. If that was another process of its id, this one's report will prove it.
    if (roster.get(slotsId)?.givenUp.has(jobId) === true) return;
    const job = book.byId(jobId)?.job;
    if (job === undefined || job.lease?.upstreamId === slotsId) return;
    // The slot that its lease held is free since then: no token.
    if (job.formerWorkers.some((former) => former.slotsId === slotsId)) this.add(slotsId, job, "");
  }
}

/** What a held job-stop waits for. */
function stopKey(slotsId: string): string {
  return `stops ${slotsId}`;
}
