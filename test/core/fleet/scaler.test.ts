// How many workers are wanted: ten thousand random traces keep the bounds, do not swing, and end at zero; and each rule in plain cases.
import { describe, expect, it } from "vitest";
import type { Load, ScalingRule } from "../../../src/core/fleet/demand.ts";
import {
  beginScaling,
  patienceOf,
  type ScalerState,
  type ScalingBounds,
  scale,
} from "../../../src/core/fleet/scaler.ts";
import { seededRandom } from "../../sim/random.ts";

const IDLE_MS = 5_000;
const BOUNDS: ScalingBounds = { min: 0, max: 10, idleTimeoutMs: IDLE_MS };
const BY_COUNT: ScalingRule = { type: "REQUEST_COUNT", requests: 1 };
const BY_DELAY: ScalingRule = { type: "QUEUE_DELAY", delayMs: 4_000 };
const NOTHING: Load = { waiting: 0, overdue: 0, running: 0, spareSlots: 0, slots: 1 };

function load(given: Partial<Load>): Load {
  return { ...NOTHING, ...given };
}

/** What is wanted after each of these loads, one a second. */
function wantedBy(loads: readonly Load[], rule = BY_COUNT, bounds = BOUNDS): number[] {
  let state: ScalerState = beginScaling(0, 0);
  return loads.map((one, second) => {
    state = scale(state, { rule, bounds, isOpen: true, load: one }, second * 1_000).state;
    return state.wanted;
  });
}

describe("ten thousand random traces", () => {
  const TRACES = 10_000;
  /** What did not hold: an assertion for each of a million looks would take longer than the looks. */
  const broken: string[] = [];

  function hold(promise: string, holds: boolean, seed: number): void {
    if (!holds) broken.push(`seed ${seed}: ${promise}`);
  }

  it("keep the bounds, swing at most once an idle timeout under constant load, and end at zero", () => {
    for (let seed = 1; seed <= TRACES; seed += 1) {
      const random = seededRandom(seed);
      const bounds = drawBounds(random);
      const rule: ScalingRule = random.chance(0.5)
        ? { type: "REQUEST_COUNT", requests: random.integer(1, 4) }
        : { type: "QUEUE_DELAY", delayMs: random.integer(500, 20_000) };
      runTrace(random, rule, bounds, seed);
    }
    expect(broken).toEqual([]);
  });

  function drawBounds(random: ReturnType<typeof seededRandom>): ScalingBounds {
    const max = random.integer(0, 20);
    return { min: random.integer(0, max), max, idleTimeoutMs: random.integer(1, 60) * 1_000 };
  }

  function runTrace(
    random: ReturnType<typeof seededRandom>,
    rule: ScalingRule,
    bounds: ScalingBounds,
    seed: number,
  ): void {
    const facts = (given: Load) => ({ rule, bounds, isOpen: true, load: given });
    let nowMs = 1_000_000;
    let state = beginScaling(random.integer(0, bounds.max), nowMs);
    for (let step = 0; step < 40; step += 1) {
      nowMs += random.integer(1, 5_000);
      const given = load({
        waiting: random.integer(0, 30),
        overdue: random.integer(0, 10),
        running: random.integer(0, 20),
      });
      state = scale(state, facts(given), nowMs).state;
      hold("at least the minimum", state.wanted >= bounds.min, seed);
      hold("at most the maximum", state.wanted <= bounds.max, seed);
    }
    // A constant load swings a little, as jobs begin and end.
    const level = random.integer(0, 10);
    const turns: number[] = [];
    let before = { wanted: state.wanted, direction: 0 };
    for (let step = 0; step < 60; step += 1) {
      nowMs += random.integer(1, 1_000);
      const running = level + random.integer(0, 2);
      state = scale(
        state,
        facts(load({ running, waiting: random.integer(0, 2), overdue: random.integer(0, 1) })),
        nowMs,
      ).state;
      const direction = Math.sign(state.wanted - before.wanted);
      if (direction !== 0 && before.direction !== 0 && direction !== before.direction) turns.push(nowMs);
      before = { wanted: state.wanted, direction: direction === 0 ? before.direction : direction };
    }
    const close = turns.filter((atMs, at) => at > 1 && atMs - (turns[at - 2] ?? 0) < bounds.idleTimeoutMs);
    hold("one change of direction an idle timeout", close.length === 0, seed);
    expectZero(state, facts(NOTHING), nowMs, bounds, seed);
  }

  /** Looked at when the scaler asks for it, and never else. */
  function expectZero(
    begun: ScalerState,
    facts: Parameters<typeof scale>[1],
    lastJobMs: number,
    bounds: ScalingBounds,
    seed: number,
  ): void {
    let scaled = scale(begun, facts, lastJobMs);
    let atMs = lastJobMs;
    for (let looks = 0; Number.isFinite(scaled.nextAtMs); looks += 1) {
      if (looks > 50) throw new Error("it is looked at without end");
      atMs = scaled.nextAtMs;
      scaled = scale(scaled.state, facts, atMs);
    }
    hold("the minimum in the end", scaled.state.wanted === bounds.min, seed);
    hold("the end within the idle timeout", atMs - lastJobMs <= bounds.idleTimeoutMs, seed);
  }
});

describe("a fleet that scales by the number of requests", () => {
  it("has a worker for each so many jobs that wait or run, between its bounds", () => {
    const rule: ScalingRule = { type: "REQUEST_COUNT", requests: 4 };
    expect(wantedBy([load({ waiting: 1 }), load({ waiting: 4, running: 1 }), load({ waiting: 100 })], rule)).toEqual([
      1, 2, 10,
    ]);
    expect(wantedBy([NOTHING], rule, { ...BOUNDS, min: 2 })).toEqual([2]);
  });

  it("counts no job for which another worker has a free slot", () => {
    expect(wantedBy([load({ waiting: 3, spareSlots: 2 })])).toEqual([1]);
    expect(wantedBy([load({ waiting: 3, spareSlots: 5 })])).toEqual([0]);
  });
});

describe("a fleet that scales by the delay of its queue", () => {
  it("adds a worker for each job that has waited too long, and none for others", () => {
    expect(wantedBy([load({ waiting: 5 }), load({ waiting: 5, overdue: 2 })], BY_DELAY)).toEqual([0, 2]);
  });

  it("counts the slots of its workers", () => {
    expect(wantedBy([load({ overdue: 5, running: 4, slots: 4 })], BY_DELAY)).toEqual([3]);
  });
});

describe("a worker", () => {
  it("is kept for the idle timeout after the last moment at which it was needed", () => {
    const seconds = [load({ running: 2 }), load({ running: 1 }), ...Array.from({ length: 8 }, () => NOTHING)];
    expect(wantedBy(seconds)).toEqual([2, 2, 2, 2, 2, 2, 1, 0, 0, 0]);
  });

  it("that was there at the start of the broker is kept for an idle timeout", () => {
    const facts = { rule: BY_COUNT, bounds: BOUNDS, isOpen: true, load: NOTHING };
    const first = scale(beginScaling(3, 0), facts, 0);
    expect(first).toMatchObject({ state: { wanted: 3 }, reason: null, nextAtMs: IDLE_MS });
    expect(scale(first.state, facts, IDLE_MS)).toMatchObject({ state: { wanted: 0 }, reason: "IDLE_TIMEOUT" });
  });

  it("that only the least there was to be had kept ends with that at once", () => {
    const facts = { rule: BY_COUNT, bounds: { ...BOUNDS, min: 2 }, isOpen: true, load: NOTHING };
    const held = scale(beginScaling(0, 0), facts, 0);
    expect(held).toMatchObject({ state: { wanted: 2 }, reason: "BOUNDS" });
    expect(scale(held.state, { ...facts, bounds: BOUNDS }, 1)).toMatchObject({
      state: { wanted: 0 },
      reason: "BOUNDS",
    });
  });

  it("that starts is kept for jobs that come, and not for a least that has fallen, or at a closed endpoint", () => {
    const facts = { rule: BY_COUNT, bounds: BOUNDS, isOpen: true, load: load({ waiting: 1 }) };
    const asked = scale(beginScaling(0, 0), facts, 0).state;
    const empty = { ...facts, load: NOTHING };
    const idle = scale(scale(asked, empty, 0).state, empty, IDLE_MS).state;
    expect(idle.wanted).toBe(0);
    expect(patienceOf(idle, empty)).toEqual({ most: 10, readyMs: IDLE_MS });
    expect(patienceOf(idle, { ...empty, isOpen: false }).most).toBe(0);
    const held = scale(beginScaling(0, 0), { ...empty, bounds: { ...BOUNDS, min: 2 } }, 0).state;
    expect(patienceOf(scale(held, empty, 1).state, empty).readyMs).toBeNull();
  });

  it("of an endpoint that is closed is not kept, unless it runs a job", () => {
    const facts = {
      rule: BY_COUNT,
      bounds: { ...BOUNDS, min: 2 },
      isOpen: false,
      load: load({ running: 1, waiting: 9 }),
    };
    expect(scale(beginScaling(5, 0), facts, 0)).toMatchObject({ state: { wanted: 1 }, reason: "CLOSED" });
  });

  it("is not kept for longer because the clock was set back", () => {
    const facts = { rule: BY_COUNT, bounds: BOUNDS, isOpen: true, load: NOTHING };
    const late = scale(beginScaling(3, 1_000_000), facts, 1_000_000);
    const back = scale(late.state, facts, 500_000);
    expect(back.nextAtMs).toBe(500_000 + IDLE_MS);
  });
});
