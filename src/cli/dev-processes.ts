// Process groups: signals to all of one, whether anything of one is left, and which of two processes with one number it is.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** Sends a signal to every process of a group; nothing happens when it is gone. */
export function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (codeOf(error) !== "ESRCH") throw error;
  }
}

/** True while a process of the group runs. One that ended and waits only to be reaped by its parent does not count. */
export function isGroupAlive(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch (error) {
    // What this user may not signal is not what this user started.
    if (["ESRCH", "EPERM"].includes(codeOf(error))) return false;
    throw error;
  }
  return process.platform !== "linux" || groupStates(group).some((state) => state !== "Z" && state !== "X");
}

/** The state letters of the processes of a group, from /proc. */
function groupStates(group: number): string[] {
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  return pids.flatMap((pid) => {
    const [state, , processGroup] = readStat(pid);
    return state !== undefined && Number(processGroup) === group ? [state] : [];
  });
}

/** Fields from the state on, as `state parent group …`; none when there is no such process. */
function readStat(pid: string): string[] {
  try {
    // `pid (name) state …`; the name may hold spaces and brackets, so we count from its end.
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  } catch {
    return [];
  }
}

/** When a process began, as text that another process of the same number does not have; null: there is none, or none can tell. */
export function startOf(pid: number): string | null {
  try {
    if (process.platform === "linux") {
      const ticks = readStat(String(pid))[START_FIELD];
      // Ticks count from the start of the machine.
      return ticks === undefined ? null : `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}/${ticks}`;
    }
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim() || null;
  } catch {
    return null;
  }
}

/** Whether a process with that `startOf` ended with an earlier run of the machine; elsewhere than on Linux false: not told. */
export function isBeforeBoot(since: string | null): boolean {
  const now = startOf(process.pid);
  if (process.platform !== "linux" || since === null || now === null) return false;
  return since.split("/")[0] !== now.split("/")[0];
}

/** The 22nd field of /proc/PID/stat, counted from the third. */
const START_FIELD = 19;

/** What the system says of a failed call: `ESRCH`, there is no such group, `EPERM`, or another word. */
function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
