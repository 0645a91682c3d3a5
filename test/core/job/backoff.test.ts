// The pause between tries: doubled, capped, spread by jitter.
import { describe, expect, it } from "vitest";
import { backoffMs } from "../../../src/core/job/backoff.ts";

describe("the backoff", () => {
  it("starts at the base and doubles with each failure up to the cap", () => {
    const pauses = [1, 2, 3, 4, 5, 6, 7, 8].map((failures) => backoffMs(failures, 1_000, 60_000, 0));
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });

  it("adds up to a quarter of jitter and never takes any away", () => {
    expect(backoffMs(1, 1_000, 60_000, 0.5)).toBe(1_125);
    expect(backoffMs(1, 1_000, 60_000, 0.999_999)).toBe(1_250);
    expect(backoffMs(9, 1_000, 60_000, 0.999_999)).toBe(75_000);
  });

  it("is a finite whole number for no failure and for absurdly many", () => {
    for (const failures of [-1, 0, 1_000_000]) {
      const pauseMs = backoffMs(failures, 1_000, 60_000, 0.3);
      expect(Number.isSafeInteger(pauseMs)).toBe(true);
      expect(pauseMs).toBeGreaterThanOrEqual(1_000);
    }
  });
});
