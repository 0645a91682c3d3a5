// Machines that may not go on having jobs, and those of an endpoint that is closed.
import { describe, expect, it } from "vitest";
import type { FleetFacts } from "../../../src/core/fleet/fleet-facts.ts";
import { beginFleet, type FleetState } from "../../../src/core/fleet/fleet-state.ts";
import { enterPhase, type Instance, wantInstance } from "../../../src/core/fleet/instance.ts";
import { reconcile } from "../../../src/core/fleet/reconcile.ts";
import { isMeant } from "../../../src/core/fleet/staying.ts";
import {
  answered,
  CANDIDATE,
  factsAt,
  HOUR,
  readyMachine,
  runFleet,
  shown,
  workersOf,
} from "../../support/fleet-core.ts";

const told = (state: FleetState) => [...state.instances.values()].map(({ id, phase }) => `${id} ${phase}`);

/** What is planned for these records at a moment. */
function planned(instances: readonly Instance[], partial: Partial<FleetFacts>) {
  const { state, calls } = reconcile(beginFleet(instances), factsAt(HOUR, partial));
  return { state, told: told(state), asked: calls.map(({ operation }) => operation).filter((one) => one !== "list") };
}

describe("a closed endpoint", () => {
  const draining = enterPhase(readyMachine("a"), "draining", 0);
  const BUSY = workersOf(["a", { running: 1 }]);

  it("has a machine that runs a job go on", () => {
    expect(planned([draining], { isOpen: false, workers: BUSY }).told).toEqual(["a ready"]);
  });

  it("keeps none that runs nothing, though another one runs a job", () => {
    const workers = workersOf(["a", { running: 1 }], ["b", { running: 0 }]);
    expect(planned([draining, readyMachine("b")], { isOpen: false, workers }).told).toEqual(["a ready", "b stopping"]);
  });

  it("has none made for a job whose machine is about to go", () => {
    const stopping = enterPhase(readyMachine("a"), "stopping", HOUR - 1, { goal: "gone" });
    expect(planned([stopping], { isOpen: false, workers: BUSY })).toMatchObject({
      told: ["a stopping"],
      asked: ["end"],
    });
  });

  it("has no stopped one started", () => {
    const stopped = enterPhase(readyMachine("a"), "stopped", HOUR - 1);
    expect(planned([stopped], { isOpen: false, stoppedKeptMs: HOUR }).told).toEqual(["a stopped"]);
  });

  it("does not ask for those any more that it has not asked for yet", () => {
    const unasked = wantInstance("a", "flex", 1, HOUR - 1);
    const unstarted = enterPhase(readyMachine("b"), "starting", HOUR - 1, { goal: "running", startedAtMs: HOUR - 1 });
    const closed = planned([unasked, unstarted], { isOpen: false, wanted: 2 });
    expect(closed).toMatchObject({ told: ["b stopping"], asked: ["end"] });
  });
});

describe("a machine whose worker its owner has drained", () => {
  const drained = readyMachine("a", { isDrained: true });
  const keeps = { stoppedKeptMs: HOUR };

  it("is ended at once where it runs nothing, and not stopped, and another one takes its place", () => {
    const { state, asked } = planned([drained], { ...keeps, workers: workersOf(["a", {}]) });
    expect(state.instances.get("a")).toMatchObject({
      phase: "stopping",
      goal: "gone",
      lastError: "Its owner has drained its worker.",
    });
    expect(asked).toEqual(["end", "create"]);
  });

  it("runs its job to the end first, and gets no other one", () => {
    const workers = workersOf(["a", { running: 1 }]);
    const { state } = planned([drained], { ...keeps, workers, wanted: 0 });
    expect(told(state)).toEqual(["a draining"]);
    const needed = planned([...state.instances.values()], { ...keeps, workers, wanted: 1 });
    expect(needed.told[0]).toBe("a draining");
    expect(needed.asked).toEqual(["create"]);
    const over = planned([...state.instances.values()], {
      ...keeps,
      workers: workersOf(["a", {}]),
      wanted: 0,
    });
    expect(over.state.instances.get("a")).toMatchObject({ phase: "stopping", goal: "gone" });
  });

  it("goes on where its owner takes that back while it runs a job, and no other one was asked for yet", () => {
    const workers = workersOf(["a", { running: 1 }]);
    const waiting = planned([enterPhase(drained, "draining", 0)], { workers, candidates: [] });
    expect(waiting.told).toEqual(["a draining", expect.stringContaining("wanted")]);
    const resumed = [...waiting.state.instances.values()].map((one) => ({ ...one, isDrained: false }));
    const back = planned(resumed, { workers, candidates: [] });
    expect(back.told).toEqual(["a ready"]);
    expect(back.state.instances.get("a")?.lastError).toBeNull();
  });

  it.each(["creating", "starting"] as const)("is ended while it is %s, too, and has failed no start", (phase) => {
    const loading = { ...drained, phase, readyAtMs: null, startedAtMs: HOUR - 1_000 };
    const { state, asked } = planned([loading], { workers: workersOf(["a", { hasAsked: false }]) });
    expect(state.instances.get("a")).toMatchObject({ phase: "stopping", goal: "gone" });
    expect(asked).toEqual(["end", "create"]);
    expect(state.crashes.inARow).toBe(0);
  });
});

describe("a machine that ends as it was meant to, with a reason that is no error", () => {
  const idle = readyMachine("a");
  it.each<[why: string, instance: Instance, partial: Partial<FleetFacts>]>([
    ["its owner has drained its worker", { ...idle, isDrained: true }, {}],
    ["its tier has lost its price", idle, { pricedTiers: new Set() }],
    ["its life is near its end", { ...idle, endsAtMs: HOUR + 1 }, {}],
    ["its life is over under its job", { ...idle, endsAtMs: HOUR }, { workers: workersOf(["a", { running: 1 }]) }],
    ["it is over the ceiling", idle, { ceilingNanodollarsPerHour: 1 }],
  ])("ends so where %s", (_, instance, partial) => {
    const { state } = planned([instance], { workers: workersOf(["a", {}]), ...partial });
    const ended = state.instances.get("a");
    expect(ended).toMatchObject({ phase: "stopping", goal: "gone", lastError: expect.any(String) });
    expect(isMeant(ended?.lastError ?? "")).toBe(true);
  });

  it("does not where its provider does not have it any more", () => {
    expect(isMeant("Its provider does not have it any more.")).toBe(false);
  });
});

describe("a machine at the end of its life whose worker has not called since the broker's start", () => {
  const nowMs = 24 * HOUR - 5 * 60_000;
  const unseen = { nowMs, allSeenAtMs: nowMs + 60_000 };

  it("gets no job by its first call, and no moment that is past is named as the next one", () => {
    const { state, nextAtMs } = reconcile(beginFleet([readyMachine("a")]), factsAt(nowMs, unseen));
    expect(state.instances.get("a")?.phase).toBe("draining");
    expect(nextAtMs).toBeGreaterThan(nowMs);
  });
});

describe("a stopped machine whose provider starts none at the moment", () => {
  const stopped = enterPhase(readyMachine("a"), "stopped", HOUR - 1);
  const OTHER = { ...CANDIDATE, providerId: "p2", priceNanodollarsPerHour: 2e9 };
  const facts = { stoppedKeptMs: HOUR, candidates: [CANDIDATE, OTHER] };
  const unpaid = { kind: "unpaid", detail: "no money" } as const;

  it("leaves its place to one of another provider, and has failed no start", () => {
    const first = reconcile(beginFleet([stopped]), factsAt(HOUR, facts));
    const [start] = first.calls;
    expect(start).toMatchObject({ operation: "start", providerId: "p1" });
    if (start === undefined) return;
    const refused = answered(first.state, start, unpaid, HOUR + 100);
    const second = reconcile(refused, factsAt(HOUR + 200, facts));
    expect(second.calls).toContainEqual(expect.objectContaining({ operation: "create", providerId: "p2" }));
    expect(second.state.instances.get("a")?.phase).toBe("stopped");
    expect(second.state.crashes.inARow).toBe(0);
  });

  it("is started as soon as its provider starts some again, before another one is made", () => {
    const { state, calls } = runFleet(
      ({ operation }) =>
        operation === "list" ? { kind: "listed", instances: [{ ...shown("a"), status: "stopped" }] } : unpaid,
      12,
      { stoppedKeptMs: HOUR },
      beginFleet([{ ...stopped, sinceMs: 999_000 }]),
    );
    expect(calls.map(({ operation }) => operation).filter((one) => one !== "list")).toEqual([
      "start",
      "start",
      "start",
    ]);
    expect(state.crashes.inARow).toBe(0);
    expect(state.instances.get("a")?.phase).toBe("stopped");
  });
});
