// What a provider's list changes: whose machine a name is.
import { describe, expect, it } from "vitest";
import { beginFleet, type FleetState } from "../../../src/core/fleet/fleet-state.ts";
import type { Listed } from "../../../src/core/fleet/provider.ts";
import { reconcile } from "../../../src/core/fleet/reconcile.ts";
import { answered, factsAt, HOUR, readyMachine, shown, workersOf } from "../../support/fleet-core.ts";

/** The records after this provider was asked for a list. */
function afterList(state: FleetState, providerId: string, instances: readonly Listed[]): FleetState {
  const plan = reconcile(state, factsAt(HOUR, { swept: [providerId], workers: workersOf(["abc", { running: 1 }]) }));
  const call = plan.calls.find((one) => one.operation === "list" && one.providerId === providerId);
  if (call === undefined) throw new Error("no list was asked for");
  return answered(plan.state, call, { kind: "listed", instances }, HOUR + 100);
}

const told = ({ instances }: FleetState) =>
  [...instances.values()].map(({ id, phase, providerId }) => `${id} ${phase} ${providerId}`);

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
});
