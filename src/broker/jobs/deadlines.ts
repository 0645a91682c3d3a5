// Handles the passing of time: each live job has one deadline, and core decides what happens to the job when it passes.
import { TURN_ROWS_MAX } from "../../core/limits.ts";
import type { Timed } from "../alarm.ts";
import type { OverJobs } from "./jobs.ts";

export class Deadlines implements Timed {
  readonly #parts: OverJobs;

  constructor(parts: OverJobs) {
    this.#parts = parts;
  }

  nextAtMs(): number {
    return this.#parts.index.nextDueAtMs();
  }

  run(nowMs: number): boolean {
    const { jobs, index, usageOutbox } = this.#parts;
    for (let handled = 0; handled < TURN_ROWS_MAX; handled += 1) {
      const uuid = index.takeDue(nowMs);
      if (uuid === undefined) return false;
      const stored = jobs.load(uuid);
      if (stored === null) {
        index.forget(uuid);
        continue;
      }
      const { after } = jobs.apply(stored, { kind: "time" }, nowMs);
      if (after === stored.job) index.put(after, usageOutbox.through(after.tenantId), null, nowMs);
    }
    return true;
  }
}
