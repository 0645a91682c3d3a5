// The time of what is held active, cut into lines of the bill: no second is missing, none is billed twice, whenever it is metered.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Rate } from "../../../src/core/job/pricing.ts";
import {
  type ActiveHold,
  closeHold,
  cutSlices,
  type Slice,
  skipUnpriced,
  sliceEndMs,
} from "../../../src/core/meter/hold.ts";
import { METER_SLICE_MAX_MS } from "../../../src/core/meter/limits.ts";

const START_MS = Date.UTC(2050, 0, 1) + 123;
const HOUR_MS = 3_600_000;

function rate(effectiveFromMs: number, nanodollarsPerSecond: number, tier = "a4000"): Rate {
  return { tier, kind: "active", nanodollarsPerSecond, effectiveFromMs };
}

function holdFrom(fromMs: number): ActiveHold {
  return { id: "h1", holderId: "u1", keyId: null, tier: "a4000", fromMs, meteredUntilMs: fromMs, slices: 0 };
}

/** As [start, end, seconds, rate], times in seconds after the beginning of the hold. */
function shown(slices: readonly Slice[], fromMs = START_MS): number[][] {
  const after = (ms: number) => (ms - fromMs) / 1_000;
  return slices.map(({ startedAtMs, finishedAtMs, seconds, nanodollarsPerSecond }) => [
    after(startedAtMs),
    after(finishedAtMs),
    seconds,
    nanodollarsPerSecond,
  ]);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

describe("a hold", () => {
  const always = [rate(0, 110_000)];

  it("is billed by the hour, and at its end by what is left, rounded up to a second", () => {
    const { hold, slices } = cutSlices(holdFrom(START_MS), always, START_MS + 2 * HOUR_MS + 999);
    expect(shown(slices)).toEqual([
      [0, 3_600, 3_600, 110_000],
      [3_600, 7_200, 3_600, 110_000],
    ]);
    const closed = closeHold(hold, always, START_MS + 2 * HOUR_MS + 1_001);
    expect(shown(closed.slices)).toEqual([[7_200, 7_201.001, 2, 110_000]]);
    expect(closed.slices[0]).toMatchObject({ seq: 3, amountNanodollars: 220_000 });
  });

  it("changes its price with the first whole second that begins at the price's time or later", () => {
    const rates = [rate(0, 100), rate(START_MS + 10_500, 300)];
    const { slices } = closeHold(holdFrom(START_MS), rates, START_MS + 20_000);
    expect(shown(slices)).toEqual([
      [0, 11, 11, 100],
      [11, 20, 9, 300],
    ]);
  });

  it("begins with the first price of its tier, to the millisecond", () => {
    const rates = [rate(START_MS + 10_500, 300)];
    expect(sliceEndMs(holdFrom(START_MS), rates)).toBe(Number.POSITIVE_INFINITY);
    const begun = skipUnpriced(holdFrom(START_MS), rates, Number.POSITIVE_INFINITY);
    expect(sliceEndMs(begun, rates)).toBe(START_MS + 10_500 + METER_SLICE_MAX_MS);
    const { slices } = closeHold(holdFrom(START_MS), rates, START_MS + 12_600);
    expect(shown(slices)).toEqual([[10.5, 12.6, 3, 300]]);
  });

  it("costs nothing while its tier has no price, and other tiers and kinds have theirs", () => {
    const flex = { ...rate(0, 160_000), kind: "flex" } as const;
    for (const rates of [[], [rate(0, 5, "b200"), flex]]) {
      expect(closeHold(holdFrom(START_MS), rates, START_MS + HOUR_MS).slices).toEqual([]);
    }
  });

  it("has no slice when it ends as it begins, or before what is billed: a clock may jump back", () => {
    expect(closeHold(holdFrom(START_MS), always, START_MS).slices).toEqual([]);
    const { hold } = cutSlices(holdFrom(START_MS), always, START_MS + HOUR_MS);
    for (const ms of [START_MS + HOUR_MS - 1, START_MS - HOUR_MS]) {
      expect(cutSlices(hold, always, ms)).toEqual({ hold, slices: [] });
      expect(closeHold(hold, always, ms).slices).toEqual([]);
    }
    expect(shown(closeHold(hold, always, START_MS + HOUR_MS + 1).slices)).toEqual([[3_600, 3_600.001, 1, 110_000]]);
  });
});

/** When a hold of up to two days is metered, and the prices of its tier, which may begin after it, and at any millisecond. */
const life = fc.record({
  fromMs: fc.integer({ min: START_MS, max: START_MS + HOUR_MS }),
  heldMs: fc.integer({ min: 0, max: 48 * HOUR_MS }),
  looks: fc.array(fc.double({ min: -0.1, max: 1, noNaN: true }), { maxLength: 12 }),
  prices: fc.array(
    fc.record({
      afterMs: fc.integer({ min: -HOUR_MS, max: 50 * HOUR_MS }),
      each: fc.integer({ min: 0, max: 10_000_000_000 }),
    }),
    { maxLength: 5 },
  ),
});

describe("any hold, whenever it is looked at,", () => {
  const meter = ({ fromMs, heldMs, looks, prices }: Parameters<Parameters<typeof life.map>[0]>[0]) => {
    const rates = prices.map(({ afterMs, each }) => rate(fromMs + afterMs, each));
    const slices: Slice[] = [];
    let hold = holdFrom(fromMs);
    // A look may come from a clock that was set back.
    for (const part of looks) {
      const metered = cutSlices(hold, rates, fromMs + Math.floor(part * heldMs));
      hold = metered.hold;
      slices.push(...metered.slices);
    }
    const endMs = fromMs + heldMs;
    slices.push(...closeHold(hold, rates, endMs).slices);
    const pricedMs = Math.max(fromMs, Math.min(...rates.map(({ effectiveFromMs }) => effectiveFromMs)));
    return { rates, slices, endMs, pricedMs, once: closeHold(holdFrom(fromMs), rates, endMs).slices };
  };

  it("is billed as if it were looked at once, at its end", () => {
    fc.assert(
      fc.property(life, (one) => {
        const { slices, once } = meter(one);
        expect(slices).toEqual(once);
      }),
      { numRuns: 1_000 },
    );
  });

  it("has slices without gap or overlap, of an hour at most, that add up to its seconds, rounded up once", () => {
    fc.assert(
      fc.property(life, (one) => {
        const { slices, endMs, pricedMs } = meter(one);
        expect(sum(slices.map(({ seconds }) => seconds))).toBe(Math.ceil(Math.max(endMs - pricedMs, 0) / 1_000));
        expect(slices.map(({ seq }) => seq)).toEqual(slices.map((_, at) => at + 1));
        expect(slices.map(({ startedAtMs }) => startedAtMs)).toEqual(
          slices.map((_, at) => slices[at - 1]?.finishedAtMs ?? pricedMs),
        );
        if (slices.length > 0) expect(slices.at(-1)?.finishedAtMs).toBe(endMs);
        for (const { startedAtMs, finishedAtMs, seconds } of slices) {
          expect(seconds).toBe(Math.ceil((finishedAtMs - startedAtMs) / 1_000));
          expect(finishedAtMs - startedAtMs).toBeGreaterThan(0);
          expect(finishedAtMs - startedAtMs).toBeLessThanOrEqual(METER_SLICE_MAX_MS);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("costs for each of its seconds what holds when the second begins, and with one price what the whole would cost", () => {
    fc.assert(
      fc.property(life, (one) => {
        const { slices, rates, endMs, pricedMs } = meter({ ...one, heldMs: Math.ceil(one.heldMs / 48) });
        // Of two prices for one time, which D1 refuses, the first counts.
        const inOrder = rates.toSorted((a, b) => a.effectiveFromMs - b.effectiveFromMs);
        let exact = 0n;
        for (let atMs = pricedMs; atMs < endMs; atMs += 1_000) {
          const begun = inOrder.filter(({ effectiveFromMs }) => effectiveFromMs <= atMs);
          const newest = begun.find(({ effectiveFromMs }) => effectiveFromMs === begun.at(-1)?.effectiveFromMs);
          exact += BigInt(newest?.nanodollarsPerSecond ?? 0);
        }
        expect(slices.reduce((total, { amountNanodollars }) => total + BigInt(amountNanodollars), 0n)).toBe(exact);
        if (rates.length === 1) {
          const whole =
            BigInt(Math.ceil(Math.max(endMs - pricedMs, 0) / 1_000)) * BigInt(rates[0]?.nanodollarsPerSecond ?? 0);
          expect(exact).toBe(whole);
        }
      }),
      { numRuns: 200 },
    );
  });
});
