// Prices in whole nano-dollars: which rate applies, one rounding up a line, no digit lost.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findRate, priceAttempt, priceRequest, type Rate } from "../../../src/core/job/pricing.ts";

const flex = { kind: "flex", nanodollarsPerSecond: 160_000, slots: 1 } as const;

describe("the price of an attempt", () => {
  it.each([
    [0, 0, 0],
    [1, 1, 160_000],
    [1_000, 1, 160_000],
    [1_001, 2, 320_000],
    [3_600_000, 3_600, 576_000_000],
  ])("charges %i ms as %i s, %i n$", (executionMs, seconds, amountNanodollars) => {
    expect(priceAttempt({ ...flex, executionMs })).toEqual({ seconds, amountNanodollars });
  });

  it("divides by the slots and rounds the line up once, to the nano-dollar", () => {
    expect(priceAttempt({ ...flex, executionMs: 2_000, slots: 3 }).amountNanodollars).toBe(106_667);
  });

  it("adds nothing for a worker that is held active", () => {
    expect(priceAttempt({ ...flex, kind: "active", executionMs: 5_000 })).toEqual({ seconds: 5, amountNanodollars: 0 });
  });

  it("refuses an amount that is not a safe integer", () => {
    const attempt = { ...flex, executionMs: 604_800_000, nanodollarsPerSecond: Number.MAX_SAFE_INTEGER };
    expect(() => priceAttempt(attempt)).toThrow("safe integer");
  });

  it("equals exact integer arithmetic for every attempt within the limits", () => {
    const cases = [fc.integer({ min: 0, max: 604_800_000 }), fc.integer({ min: 0, max: 10_000_000 })] as const;
    fc.assert(
      fc.property(...cases, fc.integer({ min: 1, max: 1_000 }), (executionMs, nanodollarsPerSecond, slots) => {
        const seconds = (BigInt(executionMs) + 999n) / 1_000n;
        const exact = (seconds * BigInt(nanodollarsPerSecond) + BigInt(slots) - 1n) / BigInt(slots);
        const { amountNanodollars } = priceAttempt({ executionMs, kind: "flex", nanodollarsPerSecond, slots });
        expect(BigInt(amountNanodollars)).toBe(exact);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("the price of a load-balanced request", () => {
  it.each([
    [0, 100, 1, 16_000],
    [1, 100, 1, 16_000],
    [100, 100, 1, 16_000],
    [101, 200, 1, 32_000],
    [1_000, 1_000, 1, 160_000],
    [1_001, 1_100, 2, 176_000],
  ])("charges %i ms as %i ms, shown as %i s, %i n$", (durationMs, billedMs, seconds, amountNanodollars) => {
    expect(priceRequest({ ...flex, durationMs })).toEqual({ billedMs, seconds, amountNanodollars });
  });

  it("adds nothing for a worker that is held active", () => {
    const active = { ...flex, kind: "active", durationMs: 250 } as const;
    expect(priceRequest(active)).toEqual({ billedMs: 300, seconds: 1, amountNanodollars: 0 });
  });

  it("refuses an amount that is not a safe integer", () => {
    const request = { ...flex, durationMs: 86_400_000, nanodollarsPerSecond: Number.MAX_SAFE_INTEGER };
    expect(() => priceRequest(request)).toThrow("safe integer");
  });

  it("equals exact integer arithmetic, rounded up once", () => {
    const cases = [fc.integer({ min: 1, max: 86_400_000 }), fc.integer({ min: 0, max: 10_000_000 })] as const;
    fc.assert(
      fc.property(...cases, fc.integer({ min: 1, max: 1_000 }), (durationMs, nanodollarsPerSecond, slots) => {
        const steps = (BigInt(durationMs) + 99n) / 100n;
        const divisor = BigInt(slots) * 10n;
        const exact = (steps * BigInt(nanodollarsPerSecond) + divisor - 1n) / divisor;
        const { amountNanodollars } = priceRequest({ durationMs, kind: "flex", nanodollarsPerSecond, slots });
        expect(BigInt(amountNanodollars)).toBe(exact);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("the rate of a tier", () => {
  const rate = (effectiveFromMs: number, nanodollarsPerSecond: number, kind: Rate["kind"] = "flex"): Rate => {
    return { tier: "A4000", kind, nanodollarsPerSecond, effectiveFromMs };
  };
  const rates = [rate(2_000, 20), rate(1_000, 10), rate(3_000, 30), rate(0, 99, "active")];

  it("is the newest one that is in force, whatever the order of the rows", () => {
    expect([1_000, 1_999, 2_000, 5_000].map((atMs) => findRate(rates, "A4000", "flex", atMs))).toEqual([
      10, 10, 20, 30,
    ]);
  });

  it("is unknown before the first row, for another tier and for no rows", () => {
    expect(findRate(rates, "A4000", "flex", 999)).toBeUndefined();
    expect(findRate(rates, "H100 PRO", "flex", 5_000)).toBeUndefined();
    expect(findRate([], "A4000", "flex", 5_000)).toBeUndefined();
  });

  it("does not mix flex and active", () => {
    expect(findRate(rates, "A4000", "active", 5_000)).toBe(99);
  });
});
