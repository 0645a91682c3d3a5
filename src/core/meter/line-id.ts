// The id under which the time of an active upstream or worker stands in the bill, where a job's line has the job's id.
import { shownWorkerId } from "../job/worker-id.ts";

/** No id of a job begins so, and none of a load-balanced request. */
export const HELD_PREFIX = "active-";

/** It names the upstream or worker as the list of workers does. */
export function billedHoldId(holderId: string): string {
  return HELD_PREFIX + shownWorkerId(holderId);
}
