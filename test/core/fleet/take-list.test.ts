// What a provider's list changes: whose machine a name is.
import { describe, expect, it } from "vitest";
import { beginFleet, type FleetState, putInstances } from "../../../src/core/fleet/fleet-state.ts";
import { enterPhase, isLive } from "../../../src/core/fleet/instance.ts";
import { INSTANCES_MAX, STRAYS_MAX } from "../../../src/core/fleet/limits.ts";
import type { Listed } from "../../../src/core/fleet/provider.ts";
import { reconcile } from "../../../src/core/fleet/reconcile.ts";
import { answered, factsAt, HOUR, readyMachine, runFleet, shown, workersOf } from "../../support/fleet-core.ts";

/** The records after this provider was asked for a list. */
function afterList(state: FleetState, providerId: string, instances: readonly Listed[]): FleetState {
  // Workers that have not called yet may be there.
  const known = { workers: workersOf(["abc", { running: 1 }]), allSeenAtMs: 2 * HOUR };
  const wanted = [...state.instances.values()].filter(isLive).length;
  const plan = reconcile(state, factsAt(HOUR, { wanted, swept: [providerId], ...known }));
  const call = plan.calls.find((one) => one.operation === "list" && one.providerId === providerId);
  if (call === undefined) throw new Error("no list was asked for");
  return answered(plan.state, call, { kind: "listed", instances }, HOUR + 100);
}

const told = ({ instances }: FleetState) =>
  [...instances.values()].map(({ id, phase, providerId }) => `${id} ${phase} ${providerId}`);

describe("a stopped machine whose start was asked for, and has no clear answer", () => {
  const stopped = enterPhase(readyMachine("abc"), "stopped", 900_000);
  /** Three minutes in which lists show it so; null: not at all. */
  const afterLists = (status: Listed["status"] | null) =>
    runFleet(
      ({ operation }) =>
        operation === "list"
          ? { kind: "listed", instances: status === null ? [] : [{ ...shown("abc"), status }] }
          : { kind: "unclear", detail: "It does not answer." },
      3,
      { stoppedKeptMs: HOUR, candidates: [] },
      beginFleet([stopped]),
    );

  it.each(["stopped", "failed"] as const)(
    "is kept while lists show it as %s, as its earlier run has left it",
    (status) => {
      const { state, called } = afterLists(status);
      expect(called("list").length).toBeGreaterThan(3);
      expect(called("end")).toEqual([]);
      expect(called("start").length).toBeGreaterThan(1);
      expect(state.crashes.inARow).toBe(0);
    },
  );

  it.each(["ended", null] as const)("has failed no start where it is gone before it was started: %s", (status) => {
    const { state } = afterLists(status);
    expect(state.instances.get("abc")?.phase).not.toBe("starting");
    expect(state.crashes.inARow).toBe(0);
  });
});

describe("a list of a provider", () => {
  it("gives a record to a machine that none owns, by which it is ended", () => {
    expect(told(afterList(beginFleet([readyMachine("abc")]), "p2", [shown("def")]))).toEqual([
      "abc ready p1",
      "def stopping p2",
    ]);
  });

  it("leaves the machine of another provider of the same account alone, whose record knows it", () => {
    expect(told(afterList(beginFleet([readyMachine("abc")]), "p2", [shown("abc")]))).toEqual(["abc ready p1"]);
  });

  it("of ten thousand machines that nobody has asked for has some of them ended at a time, and room is left for others", () => {
    const strays = Array.from({ length: 10_000 }, (_, at) => shown(`o${at}`));
    let state = afterList(beginFleet([readyMachine("abc")]), "p1", [shown("abc"), ...strays]);
    expect(state.instances.size).toBe(1 + STRAYS_MAX);
    // Those that are gone make place for the next ones.
    const [first] = state.instances.keys();
    const ended = [...state.instances.keys()].filter((id) => id !== first).slice(0, 10);
    state = putInstances(state, new Map(ended.map((id) => [id, null])));
    const left = strays.filter(({ name }) => !ended.some((id) => name === `wb-ep-${id}`));
    expect(afterList(state, "p1", [shown("abc"), ...left]).instances.size).toBe(1 + STRAYS_MAX);
  });

  it("that shows what is known already changes no record, so that no row is written", () => {
    const machines = Array.from({ length: INSTANCES_MAX }, (_, at) => readyMachine(`m${at}`));
    const before = beginFleet(machines);
    const listed = machines.map(({ id }) => shown(id));
    expect(afterList(before, "p1", listed).instances).toBe(before.instances);
  });
});
