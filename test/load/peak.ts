// The peak of memory of workerd itself, as Linux counts it: what its processes of one group have resided in at most.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

export interface PeakMeter {
  /** By how much the largest growth of one of the processes has passed what it held at the start, in bytes. */
  grownBytes(): number;
}

/** Starts to measure the workerd processes of a group. */
export function startPeakMeter(groupId: number): PeakMeter {
  const started = workerdsOf(groupId).map((pid) => {
    // Linux's word for: forget the peak so far.
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
    return { pid, heldBytes: readStatus(pid, "VmRSS") };
  });
  if (started.length === 0) throw new Error("no workerd runs in this group");
  return {
    grownBytes: () => Math.max(...started.map(({ pid, heldBytes }) => readStatus(pid, "VmHWM") - heldBytes)),
  };
}

function workerdsOf(groupId: number): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      // The name stands in brackets and may hold spaces; the group is the third field after it.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return stat.includes("(workerd)") && Number(fields[2]) === groupId;
    } catch {
      return false;
    }
  });
}

function readStatus(pid: number, field: "VmRSS" | "VmHWM"): number {
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  if (kibibytes === undefined) throw new Error(`no ${field} of ${pid}`);
  return Number(kibibytes) * 1024;
}
