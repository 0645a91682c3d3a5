// One decision of the broker, for the oracle that judges it.
import type { JobEvent } from "../../src/core/job/event.ts";
import type { Job } from "../../src/core/job/job.ts";
import type { Context, Transition } from "../../src/core/job/transition.ts";

/** One decision as the shell saw it: the job it read, what it asked, what it stored. */
export interface Decision {
  readonly before: Job;
  readonly event: JobEvent;
  readonly context: Context;
  readonly result: Transition;
}
