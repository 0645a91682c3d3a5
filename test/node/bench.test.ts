// The parts of the bench that decide without measuring: what a figure of several rounds is, when a bound is missed, and what a process
// has cost.
import { describe, expect, it } from "vitest";
import { complaintOf, medianOf, roundsLine } from "../bench/findings.ts";
import { type Round, ratiosOf, together } from "../bench/part.ts";
import { childrenOf, cpuSecondsOf, parseStat, readProcesses } from "../bench/processes.ts";

function round(waybill: readonly number[], floor: readonly number[]): Round<number> {
  return { waybill, floor, direct: [0] };
}

describe("a figure of several rounds", () => {
  it("is the middle one, so that one disturbed round does not move it", () => {
    expect(medianOf([1.7, 9.5, 1.6, 1.8, 1.75])).toBe(1.75);
    expect(medianOf([1.7, 0.1, 1.6, 1.8, 1.75])).toBe(1.7);
  });

  it("is the lower of the two middle ones when time allowed an even number of rounds", () => {
    expect(medianOf([4, 1, 3, 2])).toBe(2);
  });

  it("is no number without a round", () => {
    expect(medianOf([])).toBeNaN();
  });

  it("is shown with the figures of all rounds", () => {
    expect(roundsLine("load_ratio", [0.5, 0.4, 0.456])).toBe(
      "  load_ratio of each round: 0.50  0.40  0.46; median 0.46",
    );
  });
});

describe("the ratios of rounds", () => {
  const rounds = [round([3, 4, 100], [2, 2, 1]), round([6, 5], [4, 5])];

  it("are those of each round's own medians", () => {
    expect(ratiosOf(rounds, (figure) => figure)).toEqual([2, 5 / 4]);
  });

  it("stand beside the figures of all calls together", () => {
    expect(together(rounds)).toEqual({ waybill: [3, 4, 100, 6, 5], floor: [2, 2, 1, 4, 5], direct: [0, 0] });
  });
});

describe("a bound", () => {
  it("is kept by a figure that equals it, from above and from below", () => {
    expect(complaintOf({ key: "sync_overhead_ratio", figure: 2, atMost: 2 })).toBeNull();
    expect(complaintOf({ key: "load_ratio", figure: 0.45, atLeast: 0.45 })).toBeNull();
  });

  it("that a figure misses is named with the figure and the key", () => {
    expect(complaintOf({ key: "sync_overhead_ratio", figure: 2.01, atMost: 2 })).toBe(
      "sync_overhead_ratio is 2.010, and must be at most 2.",
    );
    expect(complaintOf({ key: "load_ratio", figure: 0.449, atLeast: 0.45 })).toBe(
      "load_ratio is 0.449, and must be at least 0.45.",
    );
  });

  it("is missed by a figure that could not be measured", () => {
    expect(complaintOf({ key: "load_ratio", figure: Number.NaN, atLeast: 0.45 })).toContain("load_ratio is NaN");
    expect(complaintOf({ key: "first_token_ratio", figure: Number.NaN, atMost: 1.75 })).not.toBeNull();
  });

  it("is not there for a figure that is only shown", () => {
    expect(complaintOf({ key: "calls_per_second", figure: Number.NaN })).toBeNull();
  });
});

/** A line of /proc/PID/stat. The times are in hundredths of a second: user, kernel, and both of ended children. */
function statLine(name: string, parentPid: number, times: readonly number[]): string {
  return `4711 (${name}) S ${parentPid} 4711 4711 0 -1 4194560 9021 0 12 0 ${times.join(" ")} 20 0 23 0 812345 2147483648\n`;
}

describe("a line of /proc/PID/stat", () => {
  it("gives the name, the parent, and the processor time with that of ended children", () => {
    const line = statLine("workerd", 42, [150, 50, 7, 3]);
    expect(parseStat(line)).toEqual({ name: "workerd", parentPid: 42, cpuSeconds: 2.1 });
  });

  it("may have brackets and spaces in the name", () => {
    const stat = parseStat(statLine("a (b) c) S 9", 42, [100, 0, 0, 0]));
    expect(stat).toEqual({ name: "a (b) c) S 9", parentPid: 42, cpuSeconds: 1 });
  });

  it.each(["", "4711", "4711 (workerd) S 42", "4711 (workerd) S x 1 1 0 -1 0 0 0 0 0 a b c d"])(
    "is refused when it is none: %s",
    (line) => {
      expect(() => parseStat(line)).toThrow("no line of /proc/PID/stat");
    },
  );
});

describe("processes", () => {
  const processes = new Map([
    [1, { name: "node", parentPid: 0, cpuSeconds: 100 }],
    [10, { name: "workerd", parentPid: 1, cpuSeconds: 2 }],
    [11, { name: "esbuild", parentPid: 1, cpuSeconds: 50 }],
    [20, { name: "workerd", parentPid: 10, cpuSeconds: 0.5 }],
    [21, { name: "sh", parentPid: 20, cpuSeconds: 0.25 }],
    [30, { name: "workerd", parentPid: 2, cpuSeconds: 9 }],
  ]);

  it("cost what they and all that they have started have cost, each once", () => {
    expect(cpuSecondsOf([10], processes)).toBe(2.75);
    expect(cpuSecondsOf([10, 20], processes)).toBe(2.75);
    expect(cpuSecondsOf([30, 11], processes)).toBe(59);
  });

  it("that have ended cost nothing more", () => {
    expect(cpuSecondsOf([99], processes)).toBe(0);
  });

  it("are found by their parent and their name", () => {
    expect(childrenOf(1, "workerd", processes)).toEqual([10]);
  });

  it("are read from this machine, this one with its parent and its time", () => {
    const here = readProcesses();
    if (here === null) return;
    expect(here.get(process.pid)?.parentPid).toBe(process.ppid);
    const before = process.cpuUsage();
    const spent = cpuSecondsOf([process.pid], here);
    expect(spent).toBeGreaterThan((before.user + before.system) / 1_000_000 / 2);
  });
});
