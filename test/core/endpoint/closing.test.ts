// The closing of a deleted endpoint: whatever happens in whatever order, nothing is erased that is still needed, and in the end
// all is erased.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ClosingFacts,
  type ClosingStep,
  type EmptyingProgress,
  nextClosingStep,
} from "../../../src/core/endpoint/closing.ts";
import { CLOSED_KEPT_MS, SETTINGS_LAST_GOOD_MS, SETTINGS_PUSH_MAX_MS } from "../../../src/core/endpoint/limits.ts";

const DELETED_MS = 1_000_000;
const EMPTY_FROM_MS = DELETED_MS + CLOSED_KEPT_MS;
const NOTHING_LEFT: ClosingFacts = {
  deletedAtMs: DELETED_MS,
  unended: 0,
  holdsUpstreams: false,
  mayRunRequests: false,
  owed: 0,
  progress: "begun",
};

function stepAt(nowMs: number, facts: Partial<ClosingFacts> = {}): ClosingStep {
  return nextClosingStep({ ...NOTHING_LEFT, ...facts }, nowMs);
}

describe("the next step of a closing", () => {
  it("is none for an endpoint that is not deleted, whatever it has", () => {
    const facts = { deletedAtMs: null, unended: 7, holdsUpstreams: true, owed: 3 };
    expect(stepAt(EMPTY_FROM_MS, facts)).toEqual({ kind: "wait", untilMs: Number.POSITIVE_INFINITY });
  });

  it("ends the jobs first, and forgets their upstreams only then", () => {
    expect(stepAt(DELETED_MS, { unended: 1, holdsUpstreams: true, owed: 9 })).toEqual({ kind: "cancel" });
    expect(stepAt(DELETED_MS, { holdsUpstreams: true, owed: 9 })).toEqual({ kind: "forget_upstreams" });
  });

  it("waits for what is owed, however long", () => {
    const later = stepAt(EMPTY_FROM_MS * 9, { owed: 1 });
    expect(later).toEqual({ kind: "wait", untilMs: Number.POSITIVE_INFINITY });
  });

  it("waits until no edge can push older settings, and for requests that run even then", () => {
    expect(stepAt(DELETED_MS)).toEqual({ kind: "wait", untilMs: EMPTY_FROM_MS });
    expect(stepAt(EMPTY_FROM_MS - 1, { mayRunRequests: true })).toEqual({ kind: "wait", untilMs: EMPTY_FROM_MS });
    const { kind, ...rest } = stepAt(EMPTY_FROM_MS, { mayRunRequests: true });
    expect(kind).toBe("wait");
    expect(rest).toMatchObject({ untilMs: expect.any(Number) });
  });

  it("drops the objects, notes it in D1, and erases last", () => {
    const steps = (["begun", "objects_gone", "noted"] as const).map((progress) => stepAt(EMPTY_FROM_MS, { progress }));
    expect(steps.map(({ kind }) => kind)).toEqual(["drop_objects", "note", "erase"]);
  });
});

it("the settings of a closed endpoint outlive those that any edge can still push", () => {
  expect(SETTINGS_LAST_GOOD_MS + SETTINGS_PUSH_MAX_MS).toBeLessThan(CLOSED_KEPT_MS);
});

/** What the rows, R2 and D1 have. A crash loses `progress` and nothing else. */
class World {
  nowMs = DELETED_MS;
  unended: number;
  owed = 0;
  requests: number;
  holdsUpstreams = true;
  objects: number;
  isNoted = false;
  isErased = false;
  progress: EmptyingProgress = "begun";

  constructor(jobs: number, requests: number) {
    this.unended = jobs;
    this.requests = requests;
    this.objects = jobs;
  }

  step(): ClosingStep {
    const { unended, holdsUpstreams, owed, progress } = this;
    const facts = { unended, holdsUpstreams, owed, progress, mayRunRequests: this.requests > 0 };
    return nextClosingStep({ ...facts, deletedAtMs: DELETED_MS }, this.nowMs);
  }

  /** `fails`: R2 or D1 does not answer. */
  take(fails: boolean): void {
    if (this.isErased) return;
    const step = this.step();
    switch (step.kind) {
      case "cancel":
        this.unended -= 1;
        this.owed += 2;
        break;
      case "forget_upstreams":
        expect(this.unended).toBe(0);
        this.holdsUpstreams = false;
        break;
      case "drop_objects":
        if (fails) break;
        expect(this.owed).toBe(0);
        this.objects = Math.max(this.objects - 3, 0);
        if (this.objects === 0) this.progress = "objects_gone";
        break;
      case "note":
        if (fails) break;
        this.isNoted = true;
        this.progress = "noted";
        break;
      case "erase":
        expect([this.unended, this.owed, this.requests, this.objects]).toEqual([0, 0, 0, 0]);
        expect(this.isNoted).toBe(true);
        expect(this.nowMs).toBeGreaterThanOrEqual(EMPTY_FROM_MS);
        this.isErased = true;
        break;
      case "wait":
        // Where time brings the next look, it must be a time to come: else the alarm would ring for ever.
        expect(step.untilMs).toBeGreaterThan(this.nowMs);
        this.progress = "begun";
    }
  }

  settle(): void {
    if (!this.isErased) this.owed = Math.max(this.owed - 1, 0);
  }

  endRequest(): void {
    if (this.requests === 0) return;
    this.requests -= 1;
    this.owed += 1;
  }
}

const eventArb = fc.oneof(
  { weight: 4, arbitrary: fc.constant((world: World) => world.take(false)) },
  { weight: 1, arbitrary: fc.constant((world: World) => world.take(true)) },
  { weight: 2, arbitrary: fc.constant((world: World) => world.settle()) },
  { weight: 1, arbitrary: fc.constant((world: World) => world.endRequest()) },
  // The object is lost.
  {
    weight: 1,
    arbitrary: fc.constant((world: World) => {
      world.progress = "begun";
    }),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: CLOSED_KEPT_MS }).map((ms) => (world: World) => {
      world.nowMs += ms;
    }),
  },
);

describe("a closing, by random events", () => {
  it("never erases what is needed, and erases all once the world is well again", () => {
    fc.assert(
      fc.property(fc.nat(12), fc.nat(3), fc.array(eventArb, { maxLength: 120 }), (jobs, requests, events) => {
        const world = new World(jobs, requests);
        for (const event of events) event(world);
        for (let left = 100; left > 0 && !world.isErased; left -= 1) {
          world.take(false);
          world.settle();
          world.endRequest();
          if (world.step().kind === "wait") world.nowMs += CLOSED_KEPT_MS;
        }
        expect(world.isErased).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
