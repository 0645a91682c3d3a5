// What the loss of a worker says of its start.
import { expect, it } from "vitest";
import { beginFleet } from "../../../src/core/fleet/fleet-state.ts";
import { enterPhase, wantInstance } from "../../../src/core/fleet/instance.ts";
import { reconcile } from "../../../src/core/fleet/reconcile.ts";

const READY_MS = 60_000;
const HOUR_MS = 3_600_000;

/** The worker, which has run nothing since the broker's start, is lost so long after it became ready. */
function loseAfter(ms: number) {
  const ready = enterPhase(wantInstance("i", "flex", 1, 0), "ready", READY_MS, {
    candidate: { providerId: "p", gpuTypeId: "A", priceNanodollarsPerHour: 1, tier: "t", canStop: false },
    providerId: "p",
    ref: "ref",
    readyAtMs: READY_MS,
    endsAtMs: 24 * HOUR_MS,
  });
  const nowMs = READY_MS + ms;
  const lost = {
    hasAsked: true,
    hasRun: false,
    hasFailed: false,
    isSilent: false,
    running: 0,
    idleSinceMs: READY_MS,
    goneAtMs: nowMs,
    trouble: null,
  };
  const { state } = reconcile(beginFleet([ready]), {
    nowMs,
    jitter: 0,
    isOpen: true,
    wanted: 0,
    patience: { most: 10, readyMs: null },
    active: 0,
    release: 1,
    candidates: [],
    pricedTiers: new Set("t"),
    activeTiers: new Set(),
    ceilingNanodollarsPerHour: null,
    initTimeoutMs: 600_000,
    lifetimeMs: 24 * HOUR_MS,
    stoppedKeptMs: 0,
    workers: new Map([["i", lost]]),
    allSeenAtMs: 0,
    swept: [],
    newId: () => "new",
  });
  return { failedStarts: state.crashes.inARow, phase: state.instances.get("i")?.phase };
}

it("a worker that is lost soon after it was ready, and has run nothing, has failed its start", () => {
  expect(loseAfter(2 * 60_000)).toEqual({ failedStarts: 1, phase: "stopping" });
});

it("one that was there for hours has not: it may have been idle", () => {
  expect(loseAfter(10 * HOUR_MS)).toEqual({ failedStarts: 0, phase: "stopping" });
});
