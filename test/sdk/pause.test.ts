import { expect, it } from "vitest";
import { pauseAfter } from "../../src/sdk/pause.ts";

const bounds = { firstMs: 500, longestMs: 10_000 };
const pauseOf = (retryAfterMs: number | null, failures = 1) =>
  pauseAfter({ status: 503, text: "", retryAfterMs }, failures, bounds);

it("is longer with each failure, up to its bound and a quarter", () => {
  expect(pauseOf(null)).toBeGreaterThanOrEqual(500);
  expect(pauseOf(null, 3)).toBeGreaterThanOrEqual(2_000);
  expect(pauseOf(null, 30)).toBeLessThanOrEqual(12_500);
});

it("is what the answer asks for where that is longer, but no hour", () => {
  expect(pauseOf(20_000)).toBe(20_000);
  expect(pauseOf(3_600_000)).toBe(60_000);
});

it.each([0, -5_000])("is no loop where the answer asks for %s ms", (retryAfterMs) => {
  expect(pauseOf(retryAfterMs)).toBeGreaterThanOrEqual(500);
});
