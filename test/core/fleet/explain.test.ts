// What is told to those who wait for a worker of a fleet.
import { describe, expect, it } from "vitest";
import { explainFleet } from "../../../src/core/fleet/explain.ts";
import {
  beginFleet,
  type FleetState,
  noteCrash,
  noteRefusal,
  putInstance,
} from "../../../src/core/fleet/fleet-state.ts";
import { type Candidate, enterPhase, type Instance, wantInstance } from "../../../src/core/fleet/instance.ts";
import type { UsualStart } from "../../../src/core/fleet/timings.ts";

const L4: Candidate = { providerId: "p", gpuTypeId: "L4", priceNanodollarsPerHour: 1e9, tier: "l4", canStop: false };
const WANTED = wantInstance("i", "flex", 1, 1_000);

const fleetOf = (instance: Instance): FleetState => beginFleet([instance]);

const told = (
  state: FleetState,
  candidates: readonly Candidate[] = [L4],
  ceiling: number | null = null,
  usualStart: (isResumed: boolean) => UsualStart | null = () => null,
  nowMs = 31_000,
) => explainFleet(state, { nowMs, candidates, ceilingNanodollarsPerHour: ceiling, isOwner: true, usualStart });
const toldOthers = (state: FleetState) =>
  explainFleet(state, {
    nowMs: 31_000,
    candidates: [L4],
    ceilingNanodollarsPerHour: 5e8,
    isOwner: false,
    usualStart: () => null,
  });

describe("who waits for a worker of somebody else's endpoint", () => {
  it("is told the reason, without what providers and workers have said, and without what it may cost", () => {
    const refusal = { kind: "unpaid", detail: "the balance of owner@acme.example is $0.03" } as const;
    const refused = toldOthers(noteRefusal(fleetOf(WANTED), "p", L4, refusal, 30_000, 0));
    const poor = { reason: "NO_CAPACITY", detail: "No machine is to be had at the moment.", sinceMs: 1_000 };
    expect([refused, toldOthers(fleetOf(WANTED))]).toEqual([poor, poor]);
    let state = noteCrash(fleetOf(WANTED), "no file /srv/acme", 30_000, 0);
    expect(toldOthers(state)?.detail).toMatch(/^A worker failed its start; the next one starts in \d+ s\.$/);
    for (let crash = 0; crash < 2; crash += 1) state = noteCrash(state, "no file /srv/acme", 30_000, 0);
    expect(toldOthers(state)?.detail).toMatch(
      /^The last 3 workers failed their start; the next one starts in \d+ s\.$/,
    );
  });
});

describe("who waits for a worker", () => {
  it("is told what is starting, and since when", () => {
    const starting = enterPhase(WANTED, "starting", 1_000, { candidate: L4, startedAtMs: 1_000 });
    expect(told(fleetOf(starting))).toEqual({
      reason: "STARTING",
      detail: "A machine (L4) is there, and its worker loads, since 30 s.",
      sinceMs: 1_000,
    });
  });

  it("is told how long such a start usually takes, or what the last one took where few are known", () => {
    const starting = enterPhase(WANTED, "starting", 1_000, { candidate: L4, startedAtMs: 1_000 });
    const known = (isResumed: boolean): UsualStart =>
      isResumed ? { ms: 3_000, isMedian: false } : { ms: 42_000, isMedian: true };
    const detailOf = (instance: Instance) => told(fleetOf(instance), [L4], null, known)?.detail;
    expect(detailOf(starting)).toMatch(/, since 30 s; usually it takes 42 s\.$/);
    expect(detailOf({ ...starting, isResumed: true })).toMatch(/, since 30 s; the last one took 3 s\.$/);
  });

  it("is told why no machine is to be had, by each kind of machine", () => {
    const refusal = { kind: "no_capacity", detail: "nothing left." } as const;
    expect(told(noteRefusal(fleetOf(WANTED), "p", L4, refusal, 30_000, 0))).toMatchObject({
      reason: "NO_CAPACITY",
      detail: "No machine is to be had: L4: nothing left.",
    });
    expect(told(fleetOf(WANTED), [])?.detail).toContain("has a price");
    expect(told(fleetOf(WANTED), [L4], 5e8)?.detail).toContain("$0.5 an hour");
  });

  it("is told of a worker that failed its start, and after three in a row of a crash loop", () => {
    const once = noteCrash(fleetOf(WANTED), "out of memory.", 30_000, 0);
    expect(told(once)).toMatchObject({
      reason: "STARTING",
      detail: expect.stringContaining("out of memory; the next"),
    });
    const thrice = noteCrash(noteCrash(once, "no CUDA", 30_500, 0), "no CUDA", 31_000, 0);
    expect(told(thrice)).toMatchObject({ reason: "CRASH_LOOP", detail: expect.stringContaining("The last 3 workers") });
  });

  it("is not told of failed starts where something else is in the way, or they are long over", () => {
    let state = fleetOf(WANTED);
    for (let crash = 0; crash < 3; crash += 1) state = noteCrash(state, "no CUDA", 0, 0);
    const refusal = { kind: "no_capacity", detail: "nothing left." } as const;
    expect(told(noteRefusal(state, "p", L4, refusal, 30_000, 0))).toMatchObject({ reason: "NO_CAPACITY" });
    expect(told(putInstance(state, enterPhase(WANTED, "ready", 2_000)))).toBeNull();
    const hours = 3 * 3_600_000;
    const starting = putInstance(state, enterPhase(WANTED, "starting", hours, { startedAtMs: hours }));
    expect(told(starting, [L4], null, () => null, hours)).toMatchObject({ reason: "STARTING" });
    expect(noteCrash(starting, "no CUDA", hours, 0).crashes).toMatchObject({ inARow: 1, sinceMs: hours });
  });

  it("is told nothing of the fleet where a worker is there, or none is wanted", () => {
    expect(told(fleetOf(enterPhase(WANTED, "ready", 2_000)))).toBeNull();
    expect(told(putInstance(beginFleet([]), enterPhase(WANTED, "stopped", 2_000)))).toBeNull();
  });
});
