// Why a pulling worker takes no jobs at this moment: shown in the list of workers and to clients of waiting jobs.
import { STOP_LET_GO_AFTER_MS, WORKER_GONE_AFTER_MS } from "../limits.ts";
import type { Leaving, RosterWorker } from "./worker-roster.ts";

export type Absence =
  | "failed_start"
  | "unhealthy"
  | "restarting"
  | "shut_down"
  | "ending"
  | "drained"
  | "starting"
  | "quiet";

const ABSENCE_OF_LEAVING = { restart: "restarting", shutdown: "shut_down", end: "ending" } as const satisfies Readonly<
  Record<Leaving["why"], Absence>
>;

/** Null: the worker takes jobs, or is busy with some, or did so a moment ago. `runs`: it holds jobs. */
export function absenceOf(worker: RosterWorker, runs: boolean, nowMs: number): Absence | null {
  if (worker.sick !== null) return worker.sick.kind === "start" ? "failed_start" : "unhealthy";
  if (worker.leaving !== null) return ABSENCE_OF_LEAVING[worker.leaving.why];
  if (worker.draining) return "drained";
  if (runs || worker.polls.size > 0) return null;
  const quietMs = nowMs - worker.actedAtMs;
  // A worker's heartbeats begin before it asks for its first job.
  if (!worker.hasTaken) return quietMs > WORKER_GONE_AFTER_MS ? "quiet" : "starting";
  return quietMs > STOP_LET_GO_AFTER_MS ? "quiet" : null;
}

/** The end of a sentence about one worker, and about several. */
const WORDS: Readonly<Record<Absence, readonly [string, string]>> = {
  failed_start: ["failed its start", "failed their start"],
  unhealthy: ["is unhealthy", "are unhealthy"],
  restarting: ["has asked for its restart, and for no job since", "have asked for their restart, and for no job since"],
  shut_down: ["was shut down", "were shut down"],
  ending: [
    "was told to end, and has not asked for a job since",
    "were told to end, and have not asked for a job since",
  ],
  drained: ["is drained", "are drained"],
  starting: ["is starting", "are starting"],
  quiet: ["does not ask for jobs", "do not ask for jobs"],
};

/** One sentence about workers none of which takes jobs. */
export function tellAbsences(absences: readonly Absence[]): string {
  const groups = Map.groupBy(absences, (absence) => absence);
  const parts = [...groups].map(([absence, { length }]) => `${length} ${WORDS[absence][length === 1 ? 0 : 1]}`);
  return `No worker takes jobs at this moment: ${parts.join("; ")}.`;
}
