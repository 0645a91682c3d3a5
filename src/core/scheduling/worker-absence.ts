// Why a pulling worker takes no jobs at this moment, for the list of workers and for those who wait for one.
import { STOP_LET_GO_AFTER_MS, WORKER_GONE_AFTER_MS } from "../limits.ts";
import type { RosterWorker } from "./worker-roster.ts";

export type Absence = "failed_start" | "unhealthy" | "restarting" | "shut_down" | "drained" | "starting" | "quiet";

/** Null: it takes jobs, or is busy with some, or has been so a moment ago. */
export function absenceOf(worker: RosterWorker, runs: boolean, nowMs: number): Absence | null {
  if (worker.sick !== null) return worker.sick.kind === "start" ? "failed_start" : "unhealthy";
  if (worker.leaving !== null) return worker.leaving.why === "restart" ? "restarting" : "shut_down";
  if (worker.draining) return "drained";
  if (runs || worker.polls.size > 0) return null;
  const quietMs = nowMs - worker.actedAtMs;
  // Its heartbeats begin before it asks for its first job.
  if (!worker.hasTaken) return quietMs > WORKER_GONE_AFTER_MS ? "quiet" : "starting";
  return quietMs > STOP_LET_GO_AFTER_MS ? "quiet" : null;
}

/** What is said of one worker and of several. */
const WORDS: Readonly<Record<Absence, readonly [string, string]>> = {
  failed_start: ["failed its start", "failed their start"],
  unhealthy: ["is unhealthy", "are unhealthy"],
  restarting: ["has asked for its restart, and for no job since", "have asked for their restart, and for no job since"],
  shut_down: ["was shut down", "were shut down"],
  drained: ["is drained", "are drained"],
  starting: ["is starting", "are starting"],
  quiet: ["does not ask for jobs", "do not ask for jobs"],
};

/** One sentence about workers that all take no jobs. */
export function tellAbsences(absences: readonly Absence[]): string {
  const groups = Map.groupBy(absences, (absence) => absence);
  const parts = [...groups].map(([absence, { length }]) => `${length} ${WORDS[absence][length === 1 ? 0 : 1]}`);
  return `No worker takes jobs at this moment: ${parts.join("; ")}.`;
}
