// Deletes expired jobs, one page of the sweep a turn, with their payloads in R2; then starts the walk over Idempotency-Keys.
import type { Timed } from "../alarm.ts";
import type { OverJobs } from "./jobs.ts";

export class Retention implements Timed {
  readonly #parts: OverJobs;

  constructor(parts: OverJobs) {
    this.#parts = parts;
  }

  nextAtMs(): number {
    return this.#parts.sweep.nextAtMs;
  }

  run(nowMs: number): boolean {
    const { jobs, index, sweep, keys, owedWebhooks, platform } = this.#parts;
    if (sweep.nextAtMs > nowMs) return false;
    const dropped = sweep.run(
      nowMs,
      (stored) => jobs.settle(stored),
      (job) => !index.has(job.uuid) && !owedWebhooks.holdsJob(job.uuid),
    );
    platform.dropPayloads(dropped);
    keys.beginWalk(nowMs);
    return sweep.nextAtMs <= nowMs;
  }
}
