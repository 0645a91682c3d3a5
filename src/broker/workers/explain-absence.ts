// Why no pulling worker takes jobs, for those who wait for one.
import { type Absence, absenceOf, tellAbsences } from "../../core/scheduling/worker-absence.ts";
import type { BrokerState } from "../state.ts";

/** Null: an upstream is there, a worker takes jobs or is only busy, or there is no worker: the pool has the reason. */
export function explainAbsence({ endpoint, roster, pullSlots }: BrokerState, nowMs: number): string | null {
  if (endpoint.settings?.upstreams.some(({ id }) => endpoint.pool.has(id)) === true) return null;
  const absences: Absence[] = [];
  for (const worker of roster.all()) {
    const absence = absenceOf(worker, pullSlots.runs(worker.holderId), nowMs);
    if (absence === null) return null;
    absences.push(absence);
  }
  return absences.length === 0 ? null : tellAbsences(absences);
}
