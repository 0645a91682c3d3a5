// The parts of the bench that decide without measuring: what a figure of several rounds is, and when a bound is missed.
import { describe, expect, it } from "vitest";
import { complaintOf, medianOf, roundsLine } from "../bench/findings.ts";
import { type Round, ratiosOf, together } from "../bench/part.ts";

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
