// Process groups: signals to all of one, and whether anything of one is left.
import { readdirSync, readFileSync } from "node:fs";

/** Sends a signal to every process of a group; nothing happens when it is gone. */
export function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (!isGoneError(error)) throw error;
  }
}

/** True while a process of the group runs. One that ended and waits only to be reaped by its parent does not count. */
export function isGroupAlive(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch (error) {
    if (isGoneError(error)) return false;
    throw error;
  }
  return process.platform !== "linux" || groupStates(group).some((state) => state !== "Z" && state !== "X");
}

/** The state letters of the processes of a group, from /proc. */
function groupStates(group: number): string[] {
  const states: string[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    // `pid (name) state parent group …`; the name may hold spaces and brackets, so we count from its end.
    const fields = readStat(entry).split(") ").at(-1)?.split(" ") ?? [];
    const [state, , processGroup] = fields;
    if (state !== undefined && Number(processGroup) === group) states.push(state);
  }
  return states;
}

function readStat(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return "";
  }
}

function isGoneError(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ESRCH";
}
