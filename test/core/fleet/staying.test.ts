// Machines that may not go on having jobs, and those of an endpoint that is closed.
import { describe, expect, it } from "vitest";
import type { FleetFacts } from "../../../src/core/fleet/fleet-facts.ts";
import { beginFleet, type FleetState } from "../../../src/core/fleet/fleet-state.ts";
import { enterPhase, type Instance, wantInstance } from "../../../src/core/fleet/instance.ts";
import { reconcile } from "../../../src/core/fleet/reconcile.ts";
import { factsAt, HOUR, readyMachine, workersOf } from "../../support/fleet-core.ts";

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
  const drained = new Set(["a"]);
  const keeps = { stoppedKeptMs: HOUR };

  it("is ended at once where it runs nothing, and not stopped, and another one takes its place", () => {
    const { state, asked } = planned([readyMachine("a")], { ...keeps, drained, workers: workersOf(["a", {}]) });
    expect(state.instances.get("a")).toMatchObject({
      phase: "stopping",
      goal: "gone",
      lastError: "Its owner has drained its worker.",
    });
    expect(asked).toEqual(["end", "create"]);
  });

  it("runs its job to the end first, and gets no other one", () => {
    const workers = workersOf(["a", { running: 1 }]);
    const { state } = planned([readyMachine("a")], { ...keeps, drained, workers, wanted: 0 });
    expect(told(state)).toEqual(["a draining"]);
    const needed = planned([...state.instances.values()], { ...keeps, drained, workers, wanted: 1 });
    expect(needed.told[0]).toBe("a draining");
    expect(needed.asked).toEqual(["create"]);
    const over = planned([...state.instances.values()], {
      ...keeps,
      drained,
      workers: workersOf(["a", {}]),
      wanted: 0,
    });
    expect(over.state.instances.get("a")).toMatchObject({ phase: "stopping", goal: "gone" });
  });

  it("goes on where its owner takes that back while it runs a job", () => {
    const draining = enterPhase(readyMachine("a"), "draining", 0);
    expect(planned([draining], { workers: workersOf(["a", { running: 1 }]) }).told).toEqual(["a ready"]);
  });
});
