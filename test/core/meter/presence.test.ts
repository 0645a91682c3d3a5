// How long a worker that pulls is held active: by what the broker has recorded of its calls.
import { describe, expect, it } from "vitest";
import { WORKER_GONE_AFTER_MS } from "../../../src/core/limits.ts";
import { METER_RETRY_MS, METER_SLICE_MAX_MS, SEEN_KEPT_EVERY_MS } from "../../../src/core/meter/limits.ts";
import { heldUntilMs, lostAtMs } from "../../../src/core/meter/presence.ts";

const NEVER = Number.POSITIVE_INFINITY;
const SEEN_MS = 1_000_000;
const heard = { lastSeenAtMs: SEEN_MS, isHeard: true };
const unheard = { lastSeenAtMs: SEEN_MS, isHeard: false };

describe("a worker that has called since the start of the object", () => {
  it("is held while it is silent for no longer than a worker may be, and else until its last call", () => {
    expect(heldUntilMs(heard, NEVER, SEEN_MS + WORKER_GONE_AFTER_MS)).toBeNull();
    expect(heldUntilMs(heard, NEVER, SEEN_MS + WORKER_GONE_AFTER_MS + 1)).toBe(SEEN_MS);
    expect(lostAtMs(heard)).toBe(SEEN_MS + WORKER_GONE_AFTER_MS + 1);
  });

  it("is held until its key ends, whenever that is noticed, unless it was lost before", () => {
    const endMs = SEEN_MS + 20_000;
    expect(heldUntilMs(heard, endMs, endMs - 1)).toBeNull();
    for (const nowMs of [endMs, endMs + 86_400_000]) expect(heldUntilMs(heard, endMs, nowMs)).toBe(endMs);
    const lateMs = SEEN_MS + WORKER_GONE_AFTER_MS + 2;
    expect(heldUntilMs(heard, lateMs, lateMs)).toBe(SEEN_MS);
    expect(heldUntilMs(heard, lateMs, lateMs + 86_400_000)).toBe(SEEN_MS);
  });

  it("goes on when the clock is set back", () => {
    expect(heldUntilMs(heard, NEVER, SEEN_MS - 86_400_000)).toBeNull();
  });
});

describe("a worker that has not called since then", () => {
  it("may have called until a minute after what is written, and is else held until what is written", () => {
    const lostMs = SEEN_MS + SEEN_KEPT_EVERY_MS + WORKER_GONE_AFTER_MS + 1;
    expect(lostAtMs(unheard)).toBe(lostMs);
    expect(heldUntilMs(unheard, NEVER, lostMs - 1)).toBeNull();
    expect(heldUntilMs(unheard, NEVER, lostMs)).toBe(SEEN_MS);
  });

  it("is not held beyond what is written when its key ends", () => {
    expect(heldUntilMs(unheard, SEEN_MS + 20_000, SEEN_MS + 20_000)).toBe(SEEN_MS);
    expect(heldUntilMs(unheard, SEEN_MS - 5, SEEN_MS + 20_000)).toBe(SEEN_MS - 5);
  });
});

describe("the limits of the metering", () => {
  it("cut whole seconds, and write calls less often than a worker makes them", () => {
    expect(METER_SLICE_MAX_MS % 1_000).toBe(0);
    expect(SEEN_KEPT_EVERY_MS).toBeGreaterThan(25_000);
    expect(METER_RETRY_MS).toBeLessThan(METER_SLICE_MAX_MS);
  });
});
