// What a decision owes because a worker pulled the job: its reports name no attempt, so who had the job is remembered, and a
// worker that may still run it is told to stop. Written from the promises, not from the core.
import type { Lease } from "../../src/core/job/job.ts";
import { LEASE_MS, WORKER_LEASE_MS } from "../../src/core/limits.ts";
import type { Decision } from "./decision.ts";

type Demand = (holds: boolean, invariant: string, say: () => string) => void;

/** How long a lease holds without news. */
export function periodMs({ workerKeyId }: Lease): number {
  return workerKeyId === null ? LEASE_MS : WORKER_LEASE_MS;
}

/** Checks a decision that was carried out. */
export function checkWorkers({ before, event, context, result }: Decision, demand: Demand): void {
  if (result.reply !== "done") return;
  const after = result.job;
  const { lease } = before;
  const isEnd = lease !== null && after.lease === null;
  const remembered = after.formerWorkers.find(({ holderId }) => holderId === lease?.holderId);
  const stops = result.effects.filter((effect) => effect.kind === "stop_worker");
  if (!isEnd || lease.workerKeyId === null) {
    demand(stops.length === 0, "F5", () => `${event.kind} stops a worker that has nothing`);
    const kept = JSON.stringify(after.formerWorkers) === JSON.stringify(before.formerWorkers);
    demand(kept, "F5", () => `${event.kind} changed who had the job`);
    return;
  }
  const neverHad = event.kind === "lost" && event.delivered === false;
  if (neverHad) {
    const kept = JSON.stringify(after.formerWorkers) === JSON.stringify(before.formerWorkers);
    demand(kept, "F5", () => "a worker that never had the job is remembered for it");
  } else demand(remembered?.untilMs === context.nowMs, "F5", () => `after ${event.kind} nobody knows who had the job`);
  const isTakenAway = event.kind === "cancel" || event.kind === "time";
  demand(stops.length === (isTakenAway ? 1 : 0), "S9", () => `${event.kind} sent ${stops.length} stops`);
}
