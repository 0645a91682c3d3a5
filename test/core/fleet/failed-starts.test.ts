// Starts that fail while other workers of the fleet are well.
import { describe, expect, it } from "vitest";
import { beginFleet } from "../../../src/core/fleet/fleet-state.ts";
import { CRASH_LOOP_FROM } from "../../../src/core/fleet/limits.ts";
import { reconcile } from "../../../src/core/fleet/reconcile.ts";
import { answered, factsAt, HOUR, readyMachine, runFleet, shown, workersOf } from "../../support/fleet-core.ts";

/** Ten minutes of a fleet that is to have two workers, of which `old` is well, and each other one reports that it cannot start. */
function tenMinutes(isWellFromMs = Number.POSITIVE_INFINITY) {
  let state = beginFleet([readyMachine("old")]);
  const creates: number[] = [];
  let most = 0;
  for (let nowMs = HOUR; nowMs < HOUR + 600_000; nowMs += 1_000) {
    const isWell = nowMs >= HOUR + isWellFromMs;
    const others = [...state.instances.values()].filter(({ id, phase }) => {
      return id !== "old" && (phase === "starting" || phase === "ready");
    });
    const failing = { hasRun: false, hasFailed: true, trouble: "no module" };
    const workers = workersOf(["old", { running: 1 }], ...others.map(({ id }) => [id, isWell ? {} : failing] as const));
    const plan = reconcile(state, factsAt(nowMs, { wanted: 2, workers }));
    state = plan.state;
    most = Math.max(most, state.crashes.inARow);
    for (const call of plan.calls) {
      if (call.operation === "create") creates.push(nowMs - HOUR);
      if (call.operation === "list") {
        const instances = ["old", ...others.map(({ id }) => id)].map(shown);
        state = answered(state, call, { kind: "listed", instances }, nowMs + 100);
      } else if (call.operation === "end") state = answered(state, call, { kind: "gone" }, nowMs + 100);
      else state = answered(state, call, { kind: "done", instance: shown(call.instanceId) }, nowMs + 100);
    }
  }
  return { creates, most, inARow: state.crashes.inARow };
}

describe("workers that fail their start while an older one has run jobs", () => {
  it("are followed by others after longer and longer pauses, and are a crash loop", () => {
    const { creates, most } = tenMinutes();
    // After 5, 10, 20, 40, 80, 160 and 320 s.
    expect(creates.length).toBeLessThan(10);
    expect(most).toBeGreaterThan(CRASH_LOOP_FROM);
  });

  it("are forgotten once one has begun well after them", () => {
    const { most, inARow } = tenMinutes(60_000);
    expect(most).toBeGreaterThanOrEqual(CRASH_LOOP_FROM);
    expect(inARow).toBe(0);
  });
});

it("starts that take an hour, as long as one may, and fail are a crash loop, too", () => {
  const machines = new Set<string>();
  const { state } = runFleet(
    (call) => {
      if (call.operation === "list") return { kind: "listed", instances: [...machines].map(shown) };
      if (call.operation === "create") machines.add(call.instanceId);
      else machines.delete(call.instanceId);
      return { kind: "done", instance: null };
    },
    4 * 60,
    { initTimeoutMs: HOUR },
  );
  expect(state.crashes.inARow).toBe(CRASH_LOOP_FROM);
});
