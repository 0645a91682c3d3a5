// Jobs that pulling workers must stop: sent by the held job-stop call, until the worker shows that it does not run them.
import type { CallOf } from "../../contract/broker.ts";
import { showJobId } from "../../core/job/id.ts";
import type { Job } from "../../core/job/job.ts";
import { holderOfWorker } from "../../core/job/worker-id.ts";
import { STOP_HOLD_MS, STOPS_HELD_MAX, WORKER_PING_INTERVAL_MS, WORKERS_MAX } from "../../core/limits.ts";
import type { RosterWorker } from "../../core/scheduling/worker-roster.ts";
import type { OverRoster } from "./pull-slots.ts";

export class Stops {
  readonly #parts: OverRoster;
  /** Workers that were let go of between two slices of their held job-stop. */
  readonly #released = new Set<string>();
  #held = 0;

  constructor(parts: OverRoster) {
    this.#parts = parts;
  }

  /** Adds a job that the worker may still run although its lease, of this token, has ended. */
  add(holderId: string, job: Job, token: string): void {
    const { roster, longPolls } = this.#parts;
    roster.addStop(holderId, showJobId(job.uuid, job.mode), { token, atMs: Date.now(), notified: false });
    longPolls.wake(stopKey(holderId));
  }

  /** Holds a job-stop call until there is a job to stop. Null: it was released, and the worker need not be held. */
  async await(call: CallOf<"awaitStops">): Promise<readonly string[] | null> {
    const { roster, longPolls } = this.#parts;
    const nowMs = Date.now();
    // A worker beyond the roster's limit waits as well: a worker that is answered at once asks again at once.
    if (call.again !== true) roster.hear(call, nowMs);
    const holderId = holderOfWorker(call.keyId, call.workerId);
    const unnotified = () => [...roster.stopsOf(holderId)].filter(([, { notified }]) => !notified);
    const holdMs = Math.min(call.holdMs, STOP_HOLD_MS);
    if (this.#released.delete(holderId) && unnotified().length === 0) return null;
    if (unnotified().length === 0) {
      // A caller with made-up worker ids gets no more held calls than STOPS_HELD_MAX; the edge slows it down.
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

  /** Takes a heartbeat, which names the jobs that the worker still runs, also those that were taken from it. */
  takeHeartbeat({ holderId }: RosterWorker, jobIds: readonly string[], nowMs: number): void {
    const { endpoint, roster, longPolls } = this.#parts;
    for (const [jobId, stop] of [...roster.stopsOf(holderId)]) {
      const isOld = nowMs - stop.atMs > WORKER_PING_INTERVAL_MS;
      if (!jobIds.includes(jobId)) {
        // The slot is free. An older SDK is never sent stops: only a heartbeat without the job shows its end.
        if (stop.notified || isOld) endpoint.pool.letGo(roster.dropStop(holderId, jobId) ?? "");
      } else if (stop.notified && isOld) {
        // The answer with the stop was lost, or the job's handler blocks the process that would stop it.
        roster.addStop(holderId, jobId, { ...stop, atMs: nowMs, notified: false });
        longPolls.wake(stopKey(holderId));
      }
    }
  }

  /** Called when the worker has reported the job after all. True: that freed a slot. */
  takeReport(holderId: string, jobId: string): boolean {
    const token = this.#parts.roster.dropStop(holderId, jobId);
    return token !== undefined && this.#parts.endpoint.pool.letGo(token);
  }
}

/** The key that a held job-stop call waits for in LongPolls. */
function stopKey(holderId: string): string {
  return `stops ${holderId}`;
}
