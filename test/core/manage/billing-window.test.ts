import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BUCKET_SIZES, billingWindow, shiftBuckets, startOfBucket } from "../../../src/core/manage/billing-window.ts";

const at = (text: string): number => Date.parse(text);
const NOW = at("2026-11-29T02:30:00Z");

describe("the window of a bill", () => {
  it("is the last 30 days, in whole buckets, where nothing is asked for", () => {
    expect(billingWindow({ size: "day" }, NOW)).toEqual({
      startMs: at("2026-10-30T00:00:00Z"),
      endMs: at("2026-11-30T00:00:00Z"),
    });
  });

  it("is widened to whole buckets, and left as it is where it ends with one", () => {
    const asked = { startMs: at("2026-05-17T10:00:00Z"), endMs: at("2026-06-01T00:00:00Z") };
    expect(billingWindow({ ...asked, size: "month" }, NOW)).toEqual({
      startMs: at("2026-05-01T00:00:00Z"),
      endMs: at("2026-06-01T00:00:00Z"),
    });
  });

  it("has so many buckets up to the present one", () => {
    const cases = [
      ["hour", 2, "2026-11-29T01:00:00Z", "2026-11-29T03:00:00Z"],
      ["day", 1, "2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z"],
      // 2026-11-29 is a Sunday.
      ["week", 2, "2026-11-16T00:00:00Z", "2026-11-30T00:00:00Z"],
      ["month", 12, "2025-12-01T00:00:00Z", "2026-12-01T00:00:00Z"],
      ["year", 3, "2024-01-01T00:00:00Z", "2027-01-01T00:00:00Z"],
    ] as const;
    for (const [size, lastN, start, end] of cases) {
      expect(billingWindow({ lastN, size }, NOW), size).toEqual({ startMs: at(start), endMs: at(end) });
    }
  });

  it("puts each time into exactly one bucket, which ends where the next one begins", () => {
    const times = fc.integer({ min: 0, max: at("2200-01-01T00:00:00Z") });
    fc.assert(
      fc.property(times, fc.constantFrom(...BUCKET_SIZES), (ms, size) => {
        const start = startOfBucket(ms, size);
        const next = shiftBuckets(start, size, 1);
        expect(start <= ms && ms < next).toBe(true);
        expect(startOfBucket(next, size)).toBe(next);
        expect(startOfBucket(next - 1, size)).toBe(start);
      }),
    );
  });
});
