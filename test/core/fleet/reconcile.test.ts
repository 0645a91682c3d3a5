// What the reconciler makes of records by time, and which machines it gives up.
import { describe, expect, it } from "vitest";
import type { FleetFacts } from "../../../src/core/fleet/fleet-facts.ts";
import { beginFleet } from "../../../src/core/fleet/fleet-state.ts";
import { enterPhase, type Instance } from "../../../src/core/fleet/instance.ts";
import { reconcile } from "../../../src/core/fleet/reconcile.ts";
import { answered, factsAt, HOUR, readyMachine, workersOf } from "../../support/fleet-core.ts";

/** What is planned for these records at a moment. */
function planned(instances: readonly Instance[], nowMs: number, partial: Partial<FleetFacts> = {}) {
  const plan = reconcile(beginFleet(instances), factsAt(nowMs, partial));
  const told = [...plan.state.instances.values()].map(({ id, phase, rateKind }) => `${id} ${phase} ${rateKind}`);
  return { ...plan, told };
}

describe("a machine at its hard end", () => {
  const BUSY = workersOf(["abc", { running: 1 }]);

  it("is ended while its worker still runs something, and is looked at in time for that", () => {
    let nowMs = 0;
    let state = beginFleet([readyMachine("abc")]);
    const phases = new Map<string, number>();
    for (let looks = 0; looks < 5_000 && nowMs <= 24 * HOUR; looks += 1) {
      const plan = reconcile(state, factsAt(nowMs, { wanted: 0, candidates: [], workers: BUSY }));
      state = plan.state;
      for (const call of plan.calls) {
        if (call.operation === "list") state = answered(state, call, { kind: "unclear", detail: "no" }, nowMs + 1);
      }
      const phase = state.instances.get("abc")?.phase ?? "none";
      phases.set(phase, phases.get(phase) ?? nowMs);
      nowMs = Math.max(plan.nextAtMs, nowMs + 1);
    }
    expect([...phases]).toEqual([
      ["draining", 0],
      ["stopping", 24 * HOUR],
    ]);
  });

  it("names it as the next moment where nothing else is due", () => {
    const draining = enterPhase(readyMachine("abc"), "draining", 24 * HOUR - 30_000);
    const { nextAtMs, told } = planned([draining], 24 * HOUR - 20_000, { wanted: 0, workers: BUSY });
    expect(told).toEqual(["abc draining flex"]);
    expect(nextAtMs).toBeLessThanOrEqual(24 * HOUR);
  });

  it("has failed its start if it is still starting", () => {
    const starting = readyMachine("abc", { phase: "starting", readyAtMs: null, startedAtMs: 24 * HOUR - 60_000 });
    const { told, state } = planned([starting], 24 * HOUR);
    expect(told[0]).toBe("abc stopping flex");
    expect(state.crashes.inARow).toBe(1);
  });

  it("is not started again, or kept stopped, shortly before", () => {
    const stopped = enterPhase(readyMachine("abc"), "stopped", 24 * HOUR - 20 * 60_000);
    const { told } = planned([stopped], 24 * HOUR - 20 * 60_000, { stoppedKeptMs: HOUR });
    expect(told[0]).toBe("abc stopping flex");
  });
});

describe("a machine that is to end while its create is under way", () => {
  it("stays so when the create is answered", () => {
    const call = { operation: "create", no: 1, atMs: 1_000 } as const;
    const ready = readyMachine("abc", { call, calls: 1, answeredAtMs: null });
    const { state } = planned([ready], 24 * HOUR, { wanted: 0, workers: workersOf(["abc", {}]) });
    const late = beginFleet([...state.instances.values()].map((one) => ({ ...one, call })));
    const made = { ...call, providerId: "p1", instanceId: "abc" };
    const after = answered(late, made, { kind: "done", instance: null }, 24 * HOUR + 1);
    expect(after.instances.get("abc")?.phase).toBe("stopping");
  });
});

describe("the active machine of a fleet that is to have one", () => {
  const act = readyMachine("act", { rateKind: "active" });
  const flx = readyMachine("flx");
  const WORKERS = workersOf(["act", { idleSinceMs: 1_000 }], ["flx", { idleSinceMs: 2_000 }]);

  it("stays when one is to end, though it has been idle for longer", () => {
    const { told } = planned([act, flx], HOUR, { active: 1, workers: WORKERS });
    expect(told).toEqual(["act ready active", "flx stopping flex"]);
  });

  it("stays while it is starting, too", () => {
    const starting = readyMachine("act", { rateKind: "active", phase: "starting", startedAtMs: HOUR - 1_000 });
    const { told } = planned([starting, flx], HOUR, { active: 1, workers: workersOf(["flx", {}]) });
    expect(told).toEqual(["act starting active", "flx stopping flex"]);
  });

  it("is the first to end where none is to be active, and runs its job before that", () => {
    const later = workersOf(["act", { idleSinceMs: 2_000 }], ["flx", { idleSinceMs: 1_000 }]);
    expect(planned([flx, act], HOUR, { active: 0, workers: later }).told).toEqual([
      "flx ready flex",
      "act stopping active",
    ]);
    const busy = workersOf(["act", { running: 1 }], ["flx", {}]);
    expect(planned([flx, act], HOUR, { active: 0, workers: busy }).told).toEqual([
      "flx stopping flex",
      "act ready active",
    ]);
  });
});

describe("a machine that was stopped", () => {
  it.each([
    [0, ["t"], "flex"],
    [1, ["t"], "active"],
    [1, [], "flex"],
  ])("is started again as what is needed then: with %i active, of the tiers %j, as %s", (active, tiers, kind) => {
    const stopped = enterPhase(readyMachine("abc", { rateKind: active === 0 ? "active" : "flex" }), "stopped", 1_000);
    const facts = { active, activeTiers: new Set(tiers), stoppedKeptMs: HOUR };
    expect(planned([stopped], 2_000, facts).told).toEqual([`abc starting ${kind}`]);
  });

  it("has no other machine end in its place while its start is under way, if one less is wanted", () => {
    const call = { operation: "start", no: 1, atMs: 9_000 } as const;
    const starting = readyMachine("old", { phase: "starting", goal: "running", startedAtMs: 9_000, call, calls: 1 });
    const { told } = planned([starting, readyMachine("abc")], 10_000, { workers: workersOf(["abc", {}]) });
    expect(told).toEqual(["old starting flex", "abc ready flex"]);
  });
});

describe("a machine whose job is gone before its worker is there", () => {
  const IDLE_MS = 5_000;
  const PATIENT = { wanted: 0, patience: { most: 3, readyMs: IDLE_MS } };
  const starting = readyMachine("abc", { phase: "starting", readyAtMs: null, startedAtMs: HOUR });

  it("is kept while it starts, and for an idle timeout from then on", () => {
    const { told } = planned([starting], HOUR + 180_000, PATIENT);
    expect(told).toEqual(["abc starting flex"]);
    const workers = workersOf(["abc", { hasRun: false, idleSinceMs: HOUR + 200_000 }]);
    const ready = planned([starting], HOUR + 200_000, { ...PATIENT, workers });
    expect(ready.told).toEqual(["abc ready flex"]);
    expect(ready.nextAtMs).toBe(HOUR + 200_000 + IDLE_MS);
    const over = reconcile(ready.state, factsAt(ready.nextAtMs, { ...PATIENT, workers }));
    expect(over.state.instances.get("abc")?.phase).toBe("stopping");
  });

  it("is one of those that are wanted for the next one, so that none is created beside it", () => {
    expect(planned([starting], HOUR + 1_000, { ...PATIENT, wanted: 1 }).told).toEqual(["abc starting flex"]);
  });

  it("has no other one end in its place, and keeps none beyond what is wanted", () => {
    const workers = workersOf(["one", {}], ["two", {}]);
    const all = [starting, readyMachine("one"), readyMachine("two")];
    expect(planned(all, 2 * HOUR - 1, { ...PATIENT, wanted: 1, workers, initTimeoutMs: 2 * HOUR }).told).toEqual([
      "abc starting flex",
      "one stopping flex",
      "two ready flex",
    ]);
  });

  it.each([
    ["the endpoint is closed", { most: 0, readyMs: IDLE_MS }],
    ["the least that there is to be has fallen", { most: 3, readyMs: null }],
  ])("is ended all the same where %s", (_, patience) => {
    expect(planned([starting], HOUR + 1_000, { wanted: 0, patience }).told).toEqual(["abc stopping flex"]);
  });

  it("is ended when its start takes too long, and no other one is made for nobody", () => {
    expect(planned([starting], HOUR + 600_000, PATIENT).told).toEqual(["abc stopping flex"]);
  });
});
