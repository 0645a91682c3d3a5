// Process groups and sessions: sends signals to one, checks whether it lives, and distinguishes two processes of one number.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** Sends a signal to every process of a group; does nothing when the group is gone. */
export function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (codeOf(error) !== "ESRCH") throw error;
  }
}

/** True while a process of the group runs. One that has ended and waits to be reaped by its parent does not count. */
export function isGroupAlive(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch (error) {
    // A process that this user may not signal was not started by this user.
    if (["ESRCH", "EPERM"].includes(codeOf(error))) return false;
    throw error;
  }
  return process.platform !== "linux" || running(GROUP_FIELD, group).length > 0;
}

/**
 * Sends SIGKILL to every process of a session, also to those that have a group of their own in it, such as what `timeout` runs.
 * Elsewhere than on Linux to those of the leader's group alone. Returns whether there was one.
 */
export function killSession(leader: number): boolean {
  const wasAlive = isGroupAlive(leader);
  tryKill(-leader);
  if (process.platform !== "linux") return wasAlive;
  const others = running(SESSION_FIELD, leader);
  for (const pid of others) tryKill(pid);
  return wasAlive || others.length > 0;
}

/** What is gone by now, or has become another user's, stays as it is. */
function tryKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!["ESRCH", "EPERM"].includes(codeOf(error))) throw error;
  }
}

/** The processes whose field in /proc has this number. One that has ended and waits to be reaped is left out. */
function running(field: number, number: number): number[] {
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  return pids.flatMap((pid) => {
    const stat = readStat(pid);
    const [state = "X"] = stat;
    return Number(stat[field]) === number && state !== "Z" && state !== "X" ? [Number(pid)] : [];
  });
}

/** The fields from the state on, as `state parent group session …`; empty when there is no such process. */
function readStat(pid: string): string[] {
  try {
    // The line is `pid (name) state …`; the name may contain spaces and brackets, so the cut is at the last bracket.
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  } catch {
    return [];
  }
}

/** The process that a process belongs to; null: no such process, or not known. */
export function parentOf(pid: number): number | null {
  try {
    const parent =
      process.platform === "linux"
        ? readStat(String(pid))[PARENT_FIELD]
        : execFileSync("ps", ["-o", "ppid=", "-p", String(pid)], { encoding: "utf8" });
    return parent === undefined ? null : Number(parent);
  } catch {
    return null;
  }
}

/** When a process began, as text that no other process of the same number has; null: no such process, or not known. */
export function startOf(pid: number): string | null {
  try {
    if (process.platform === "linux") {
      const ticks = readStat(String(pid))[START_FIELD];
      // Ticks count from the start of the machine, so the id of that start is added.
      return ticks === undefined ? null : `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}/${ticks}`;
    }
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim() || null;
  } catch {
    return null;
  }
}

/** Did a process with that `startOf` end with an earlier run of the machine? Always false elsewhere than on Linux. */
export function isBeforeBoot(since: string | null): boolean {
  const now = startOf(process.pid);
  if (process.platform !== "linux" || since === null || now === null) return false;
  return since.split("/")[0] !== now.split("/")[0];
}

/** The 4th, 5th and 6th field of /proc/PID/stat, counted from the third. */
const PARENT_FIELD = 1;
const GROUP_FIELD = 2;
const SESSION_FIELD = 3;
/** The 22nd field of /proc/PID/stat, counted from the third. */
const START_FIELD = 19;

/** The error code of a failed system call: `ESRCH` (there is no such group), `EPERM`, or another one. */
function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
