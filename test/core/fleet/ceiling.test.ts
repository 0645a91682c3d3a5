// What becomes of machines that cost more, all together, than their endpoint may.
import { describe, expect, it } from "vitest";
import { explainFleet } from "../../../src/core/fleet/explain.ts";
import { beginFleet } from "../../../src/core/fleet/fleet-state.ts";
import { enterPhase } from "../../../src/core/fleet/instance.ts";
import type { Listed } from "../../../src/core/fleet/provider.ts";
import { type FleetCall, reconcile } from "../../../src/core/fleet/reconcile.ts";
import { CANDIDATE, factsAt, HOUR, readyMachine, runFleet, shown, workersOf } from "../../support/fleet-core.ts";

const CEILING = 1.5e9;
const OTHER = { ...CANDIDATE, gpuTypeId: "B", priceNanodollarsPerHour: 1.2e9 };

/** A provider that says $1 for a machine of the first kind, and takes $2; there is nothing wrong with the first of another kind. */
function dearProvider(dear = Number.POSITIVE_INFINITY) {
  const machines = new Map<string, Listed>();
  let made = 0;
  return (call: FleetCall) => {
    if (call.operation === "list") return { kind: "listed", instances: [...machines.values()] } as const;
    if (call.operation === "end") {
      machines.delete(call.instanceId);
      return { kind: "done", instance: null } as const;
    }
    made += 1;
    const machine = { ...shown(call.instanceId), priceNanodollarsPerHour: made <= dear ? 2e9 : 1.2e9 };
    machines.set(call.instanceId, machine);
    return { kind: "done", instance: machine } as const;
  };
}

describe("a kind of machine that is dearer than was said, and than the endpoint may cost", () => {
  it("is asked for again only after five minutes, and whoever waits is told why", () => {
    const { state, called } = runFleet(dearProvider(), 60, { ceilingNanodollarsPerHour: CEILING });
    expect(called("create").length).toBeLessThanOrEqual(12);
    const told = explainFleet(state, {
      nowMs: 1_000_000 + 3_600_000,
      candidates: [CANDIDATE],
      ceilingNanodollarsPerHour: CEILING,
      isOwner: true,
      usualStart: () => null,
    });
    expect(told).toMatchObject({
      reason: "NO_CAPACITY",
      detail:
        "No machine is to be had: A: One has cost $2 an hour instead of $1, and all machines together would have cost more than the endpoint may.",
    });
  });

  it("leaves its place to another kind that fits", () => {
    const partial = { ceilingNanodollarsPerHour: CEILING, candidates: [CANDIDATE, OTHER], initTimeoutMs: 3_600_000 };
    const { state, called } = runFleet(dearProvider(1), 10, partial);
    expect(called("create")).toHaveLength(2);
    expect([...state.instances.values()]).toMatchObject([{ phase: "starting", candidate: OTHER }]);
  });
});

describe("a machine that runs a job when the ceiling falls below its price", () => {
  const LOW = { ceilingNanodollarsPerHour: 1, workers: workersOf(["a", { running: 1 }]) };

  it("drains, and its record does not change any more until the job is done", () => {
    const first = reconcile(beginFleet([readyMachine("a")]), factsAt(HOUR, LOW)).state;
    expect(first.instances.get("a")).toMatchObject({ phase: "draining" });
    let state = first;
    for (let seconds = 1; seconds <= 60; seconds += 1)
      state = reconcile(state, factsAt(HOUR + seconds * 1_000, LOW)).state;
    expect(state.instances.get("a")).toBe(first.instances.get("a"));
  });

  it("goes on when the ceiling rises, and the record of the one in its place, which was not asked for, goes", () => {
    let state = beginFleet([readyMachine("a")]);
    for (let seconds = 0; seconds < 10; seconds += 1)
      state = reconcile(state, factsAt(HOUR + seconds * 1_000, LOW)).state;
    expect(state.instances.size).toBe(2);
    state = reconcile(state, factsAt(HOUR + 11_000, { ...LOW, ceilingNanodollarsPerHour: null })).state;
    expect([...state.instances.values()].map(({ id, phase }) => `${id} ${phase}`)).toEqual(["a ready"]);
  });

  it("goes on where the ceiling has room for it again, but for no other one beside it", () => {
    const draining = ["a", "b"].map((id) => enterPhase(readyMachine(id), "draining", 0));
    const workers = workersOf(["a", { running: 1 }], ["b", { running: 1 }]);
    const { state } = reconcile(
      beginFleet(draining),
      factsAt(HOUR, { wanted: 2, workers, ceilingNanodollarsPerHour: CEILING }),
    );
    expect(["a", "b"].map((id) => state.instances.get(id)?.phase)).toEqual(["ready", "draining"]);
  });
});
