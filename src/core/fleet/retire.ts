// How a machine ends that is not to stay: after the jobs that it has, and stopped rather than ended where it may be of use again.
import type { FleetFacts } from "./fleet-facts.ts";
import { enterPhase, type Instance } from "./instance.ts";
import { whyItLeaves } from "./staying.ts";
import { toBeGone } from "./take-answer.ts";

/** A worker that is there and is not to stay: it finishes its jobs first. */
export function retire(instance: Instance, facts: FleetFacts): Instance {
  const worker = facts.workers.get(instance.id);
  // After a start of the broker a worker may run a job, and has not called yet.
  const isBusy = worker === undefined ? facts.nowMs < facts.allSeenAtMs : worker.running > 0;
  return isBusy ? enterPhase(instance, "draining", facts.nowMs) : endOrStop(instance, facts);
}

/** A worker that is not needed: its machine is stopped where that is wanted and can be done. */
export function endOrStop(instance: Instance, facts: FleetFacts): Instance {
  const { nowMs, stoppedKeptMs } = facts;
  const isOld = nowMs + stoppedKeptMs >= instance.endsAtMs || whyItLeaves(instance, facts) !== null;
  const canStop = stoppedKeptMs > 0 && instance.candidate?.canStop === true && !isOld && instance.ref !== null;
  if (!canStop) return toBeGone(instance, null, nowMs);
  return enterPhase(instance, "stopping", nowMs, { goal: "stopped" });
}
