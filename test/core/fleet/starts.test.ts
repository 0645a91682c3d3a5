// Which machines have started well by a change of their fleet, and how long that took.
import { describe, expect, it } from "vitest";
import type { FleetFacts, WorkerFacts } from "../../../src/core/fleet/fleet-facts.ts";
import { beginFleet } from "../../../src/core/fleet/fleet-state.ts";
import { enterPhase, type Instance, wantInstance } from "../../../src/core/fleet/instance.ts";
import { reconcile } from "../../../src/core/fleet/reconcile.ts";
import { newStarts } from "../../../src/core/fleet/starts.ts";

const ASKS: WorkerFacts = {
  hasAsked: true,
  hasRun: false,
  hasFailed: false,
  isSilent: false,
  running: 1,
  idleSinceMs: 0,
  goneAtMs: Number.POSITIVE_INFINITY,
  trouble: null,
};

function factsAt(nowMs: number, workers: ReadonlyMap<string, WorkerFacts>): FleetFacts {
  return {
    nowMs,
    jitter: 0,
    isOpen: true,
    wanted: 1,
    patience: { most: 1, readyMs: null },
    active: 0,
    release: 1,
    candidates: [],
    pricedTiers: new Set(),
    activeTiers: new Set(),
    ceilingNanodollarsPerHour: null,
    initTimeoutMs: 600_000,
    lifetimeMs: 86_400_000,
    stoppedKeptMs: 0,
    workers,
    allSeenAtMs: 0,
    swept: [],
    newId: () => "new",
  };
}

/** The machine is starting since 1,000 ms, and its worker asks for a job 30 s later. */
function startsOf(instance: Instance) {
  const before = beginFleet([instance]);
  const { state } = reconcile(before, factsAt(31_000, new Map([[instance.id, ASKS]])));
  return { starts: newStarts(before, state), state };
}

const STARTING = enterPhase(wantInstance("i", "flex", 1, 500), "starting", 2_000, {
  startedAtMs: 1_000,
  endsAtMs: 1e9,
});

describe("a machine whose worker asks for its first job", () => {
  it("has started, in the time since it was to be created", () => {
    expect(startsOf(STARTING).starts).toEqual([{ isResumed: false, readyAtMs: 31_000, tookMs: 30_000 }]);
  });

  it("has been resumed where it was stopped before", () => {
    const stopped = enterPhase(STARTING, "stopped", 900, { readyAtMs: 600, ref: "ref", providerId: "p" });
    const before = beginFleet([stopped]);
    const { state } = reconcile(before, { ...factsAt(1_000, new Map()), stoppedKeptMs: 3_600_000 });
    expect(newStarts(before, state)).toEqual([]);
    const [resumed] = state.instances.values();
    if (resumed === undefined) throw new Error("the machine has no record");
    expect(startsOf(resumed).starts).toEqual([{ isResumed: true, readyAtMs: 31_000, tookMs: 30_000 }]);
  });

  it("has started once, whatever becomes of it then", () => {
    const { state } = startsOf(STARTING);
    const later = reconcile(state, factsAt(40_000, new Map([["i", ASKS]]))).state;
    const draining = reconcile(state, { ...factsAt(41_000, new Map([["i", ASKS]])), wanted: 0 }).state;
    for (const next of [later, draining]) expect(newStarts(state, next)).toEqual([]);
    const [drains] = draining.instances.values();
    expect(drains?.phase).toBe("draining");
    const back = reconcile(draining, factsAt(42_000, new Map([["i", ASKS]]))).state;
    expect([...back.instances.values()].map(({ phase }) => phase)).toEqual(["ready"]);
    expect(newStarts(draining, back)).toEqual([]);
  });
});
