// How many workers the jobs of this moment need, by the rule of the endpoint (RunPod's two rules, docs/wire.md). Bounds and idle
// times come later, in scaler.ts.

/** `delayMs`: a job that waits for longer adds a worker. `requests`: jobs that wait or run, for each worker. */
export type ScalingRule =
  | { readonly type: "QUEUE_DELAY"; readonly delayMs: number }
  | { readonly type: "REQUEST_COUNT"; readonly requests: number };

/** What an endpoint has to do. Jobs of low priority that wait are in none of the figures: they add no worker. */
export interface Load {
  /** Jobs that could start at this moment if a slot were free. */
  readonly waiting: number;
  /** Those of them that have waited for longer than the delay of the rule; 0 where the rule has none. */
  readonly overdue: number;
  /** Jobs, of any priority, that hold a slot of one of the fleet's workers. */
  readonly running: number;
  /** Free slots of workers and upstreams that are not the fleet's: jobs start there at once. */
  readonly spareSlots: number;
  /** Jobs that one worker of the fleet runs at once. */
  readonly slots: number;
}

/** Workers of the fleet. */
export function workersNeeded(rule: ScalingRule, { waiting, overdue, running, spareSlots, slots }: Load): number {
  if (rule.type === "REQUEST_COUNT") return Math.ceil((Math.max(waiting - spareSlots, 0) + running) / rule.requests);
  return Math.ceil((Math.max(overdue - spareSlots, 0) + running) / slots);
}
