import { describe, expect, it } from "vitest";
import { RateWindows } from "../../../src/core/access/rate-windows.ts";
import { MANAGE_WINDOWS } from "../../../src/core/manage/limits.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

function takeMany(windows: RateWindows, calls: number, nowMs: number) {
  let taken = windows.take(MANAGE_WINDOWS, nowMs);
  for (let at = 1; at < calls; at += 1) taken = windows.take(MANAGE_WINDOWS, nowMs);
  return taken;
}

describe("the calls of one key", () => {
  it("are counted down in each window, whose rest is back when the next one begins", () => {
    const windows = new RateWindows();
    expect(windows.take(MANAGE_WINDOWS, DAY_MS).header).toBe(
      '"minute";r=2999;t=60, "hour";r=59999;t=3600, "day";r=499999;t=86400',
    );
    expect(windows.take(MANAGE_WINDOWS, DAY_MS + 59_999).header).toMatch(
      /^"minute";r=2998;t=1, "hour";r=59998;t=3541, /,
    );
    expect(windows.take(MANAGE_WINDOWS, DAY_MS + 60_000).header).toMatch(
      /^"minute";r=2999;t=60, "hour";r=59997;t=3540, /,
    );
  });

  it("are refused once a window is full, until the longest of those that are", () => {
    const windows = new RateWindows();
    expect(takeMany(windows, 3_000, DAY_MS).full).toBeNull();
    expect(windows.take(MANAGE_WINDOWS, DAY_MS + 48_000).full).toEqual({ window: "minute", retryAfterSeconds: 12 });
    for (let minute = 1; minute < 20; minute += 1) takeMany(windows, 3_000, DAY_MS + minute * 60_000);
    expect(windows.take(MANAGE_WINDOWS, DAY_MS + 20 * 60_000).full).toEqual({
      window: "hour",
      retryAfterSeconds: 2_400,
    });
    expect(windows.take(MANAGE_WINDOWS, DAY_MS + HOUR_MS).full).toBeNull();
  });
});
