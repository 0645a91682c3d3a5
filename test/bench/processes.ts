// What processes cost: their processor time, and that of the processes which they have started, from /proc.
import { readdirSync, readFileSync } from "node:fs";

/** The kernel counts processor time for /proc in hundredths of a second on every machine that Node runs on. */
const TICKS_PER_SECOND = 100;

/** A line of /proc/PID/stat, as far as the bench needs it. */
export interface ProcessStat {
  readonly name: string;
  readonly parentPid: number;
  /** In user and kernel mode, the process's ended children included that it has waited for, seconds. */
  readonly cpuSeconds: number;
}

/** Reads `pid (name) state parent …`. The name may have spaces and brackets, so that the cut is at the last bracket. */
export function parseStat(line: string): ProcessStat {
  const nameFrom = line.indexOf("(") + 1;
  const nameTo = line.lastIndexOf(")");
  const fields = line.slice(nameTo + 2).split(" ");
  const [parentPid, ...ticks] = [1, 11, 12, 13, 14].map((at) => Number(fields[at] ?? Number.NaN));
  const cpuSeconds = ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND;
  if (nameFrom === 0 || nameTo < nameFrom || parentPid === undefined || !Number.isFinite(parentPid + cpuSeconds)) {
    throw new Error(`this is no line of /proc/PID/stat: ${line.slice(0, 100)}`);
  }
  return { name: line.slice(nameFrom, nameTo), parentPid, cpuSeconds };
}

/** The processes of this machine by pid; null: it has no /proc, as outside of Linux. */
export function readProcesses(): ReadonlyMap<number, ProcessStat> | null {
  try {
    const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
    return new Map(pids.flatMap((pid) => readProcess(pid)));
  } catch {
    return null;
  }
}

/** Empty when the process has ended meanwhile. */
function readProcess(pid: string): [number, ProcessStat][] {
  let line: string;
  try {
    line = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return [];
  }
  return [[Number(pid), parseStat(line)]];
}

/** The children of a process that have this name. */
export function childrenOf(pid: number, name: string, processes: ReadonlyMap<number, ProcessStat>): number[] {
  return [...processes].filter(([, each]) => each.parentPid === pid && each.name === name).map(([child]) => child);
}

/** Processor time of these processes and of all that they have started, seconds. */
export function cpuSecondsOf(pids: readonly number[], processes: ReadonlyMap<number, ProcessStat>): number {
  const counted = new Set(pids);
  // A Set that grows while it is walked is walked to its new end.
  for (const parent of counted) {
    for (const [pid, { parentPid }] of processes) if (parentPid === parent) counted.add(pid);
  }
  return [...counted].reduce((sum, pid) => sum + (processes.get(pid)?.cpuSeconds ?? 0), 0);
}
