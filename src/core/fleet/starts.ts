// The starts of machines that have come to a good end, by the records before a change and after it.
import type { FleetState } from "./fleet-state.ts";

/** The start of one machine. */
export interface Start {
  /** It was stopped, and was started again; false: it was created. */
  readonly isResumed: boolean;
  /** When its worker first asked for a job, epoch ms. */
  readonly readyAtMs: number;
  /** How long that took since the machine was to be created or started, ms. */
  readonly tookMs: number;
}

/** The machines whose workers have first asked for a job by this change. */
export function newStarts(before: FleetState, after: FleetState): readonly Start[] {
  const starts: Start[] = [];
  for (const { id, readyAtMs, startedAtMs, isResumed } of after.instances.values()) {
    if (readyAtMs === null || before.instances.get(id)?.readyAtMs === readyAtMs) continue;
    starts.push({ isResumed, readyAtMs, tookMs: readyAtMs - startedAtMs });
  }
  return starts;
}
