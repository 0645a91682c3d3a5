// Jobs that pulling workers are to stop: told by the held job-stop, and over when the worker shows that it does not run them.
import type { WorkerCall } from "../../contract/worker.ts";
import { showJobId } from "../../core/job/id.ts";
import type { Job } from "../../core/job/job.ts";
import { holderOfWorker } from "../../core/job/worker-id.ts";
import { STOP_HOLD_MS, STOPS_HELD_MAX, WORKER_PING_INTERVAL_MS, WORKERS_MAX } from "../../core/limits.ts";
import type { RosterWorker, WorkerRoster } from "../../core/scheduling/worker-roster.ts";
import type { Endpoint } from "../endpoint.ts";
import type { LongPolls } from "../jobs/long-polls.ts";

interface Parts {
  readonly endpoint: Endpoint;
  readonly roster: WorkerRoster;
  readonly longPolls: LongPolls;
}

export class Stops {
  readonly #parts: Parts;
  /** Workers that were let go of between two slices of their held job-stop. */
  readonly #released = new Set<string>();
  #held = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The worker may still run a job whose lease, of this token, has ended. */
  add(holderId: string, job: Job, token: string): void {
    const { roster, longPolls } = this.#parts;
    roster.addStop(holderId, showJobId(job.uuid, job.mode), { token, atMs: Date.now(), notified: false });
    longPolls.wake(stopKey(holderId));
  }

  /** Held until there is one to tell. Null: woken for nothing, so the worker need not be held. */
  async await(call: WorkerCall & { readonly holdMs: number }): Promise<readonly string[] | null> {
    const { roster, longPolls } = this.#parts;
    const nowMs = Date.now();
    // Also one that is too many to be kept in mind waits: who is answered at once asks again at once.
    roster.hear(call, nowMs);
    const holderId = holderOfWorker(call.keyId, call.workerId);
    const unnotified = () => [...roster.stopsOf(holderId)].filter(([, { notified }]) => !notified);
    const holdMs = Math.min(call.holdMs, STOP_HOLD_MS);
    if (this.#released.delete(holderId) && unnotified().length === 0) return null;
    if (unnotified().length === 0) {
      // Whoever asks with made-up names gets no more held calls than there may be workers; the edge slows it down.
      if (this.#held >= STOPS_HELD_MAX) return [];
      this.#held += 1;
      await longPolls.wait(stopKey(holderId), holdMs);
      this.#held -= 1;
    }
    const stops = unnotified();
    if (stops.length === 0 && Date.now() < nowMs + holdMs) return null;
    for (const [, stop] of stops) stop.notified = true;
    return stops.map(([jobId]) => jobId);
  }

  /** Answers the open job-stop of a worker that is about to end: runpod 1.10 and later wait for it before they do. */
  letGo(holderId: string): void {
    if (this.#parts.longPolls.wake(stopKey(holderId))) return;
    if (this.#released.size >= WORKERS_MAX) this.#released.clear();
    this.#released.add(holderId);
  }

  /** What a heartbeat says of jobs that are not the worker's any more: it names those that it still runs. */
  takeHeartbeat({ holderId }: RosterWorker, jobIds: readonly string[], nowMs: number): void {
    const { endpoint, roster, longPolls } = this.#parts;
    for (const [jobId, stop] of [...roster.stopsOf(holderId)]) {
      const isOld = nowMs - stop.atMs > WORKER_PING_INTERVAL_MS;
      if (!jobIds.includes(jobId)) {
        // Its slot is free. An older SDK is never told: only that it names the job no more shows it.
        if (stop.notified || isOld) endpoint.pool.letGo(roster.dropStop(holderId, jobId) ?? "");
      } else if (stop.notified && isOld) {
        // The answer that told it was lost, or its handler blocks what would stop it.
        roster.addStop(holderId, jobId, { ...stop, atMs: nowMs, notified: false });
        longPolls.wake(stopKey(holderId));
      }
    }
  }

  /** The worker has reported the job after all. True: that freed a slot. */
  takeReport(holderId: string, jobId: string): boolean {
    const token = this.#parts.roster.dropStop(holderId, jobId);
    return token !== undefined && this.#parts.endpoint.pool.letGo(token);
  }
}

/** What a held job-stop waits for. */
function stopKey(holderId: string): string {
  return `stops ${holderId}`;
}
