// Why no pulling worker takes jobs, for those who wait for one, and whether there is one to wait for.
import { type Absence, absenceOf, tellAbsences } from "../../core/scheduling/worker-absence.ts";
import type { BrokerState } from "../state.ts";

/** A worker's process that restarts calls again within this, most of it taken by its model. */
const WORKER_AWAITED_MS = 5 * 60_000;
/** Workers that a broker's start has cut off call again after a pause of a few seconds. */
const WORKERS_CALL_WITHIN_MS = 20_000;

/** Null: an upstream is there, a worker takes jobs or is only busy, or there is no worker: the pool has the reason. */
export function explainAbsence({ endpoint, pullSlots }: BrokerState, nowMs: number): string | null {
  if (endpoint.settings?.upstreams.some(({ id }) => endpoint.pool.has(id)) === true) return null;
  const absences: Absence[] = [];
  for (const worker of pullSlots.listed()) {
    const absence = absenceOf(worker, pullSlots.runs(worker.holderId), nowMs);
    if (absence === null) return null;
    absences.push(absence);
  }
  return absences.length === 0 ? null : tellAbsences(absences);
}

/**
 * Can a job be run without a change of the endpoint? False: it has no upstream, and no worker has called for so long that
 * none is starting again. After a start of the object its workers are given the time of two polls to call.
 */
export function mayServe({ endpoint, roster }: BrokerState, nowMs: number): boolean {
  const { upstreams = [], workerKeys = [], fleet = null } = endpoint.settings ?? {};
  // A fleet starts a worker when there is a job for it.
  if (upstreams.length > 0 || (fleet !== null && fleet.max > 0)) return true;
  if (workerKeys.length === 0) return false;
  const isKnown = nowMs - roster.lastCallAtMs < WORKER_AWAITED_MS;
  return isKnown || nowMs - endpoint.startedAtMs < WORKERS_CALL_WITHIN_MS;
}
