// Stopped machines that are to start again, at providers that refuse that or do not tell whether they have done it.
import { describe, expect, it } from "vitest";
import { beginFleet, type FleetState, putProvider } from "../../../src/core/fleet/fleet-state.ts";
import { costOf, enterPhase } from "../../../src/core/fleet/instance.ts";
import { type FleetCall, reconcile } from "../../../src/core/fleet/reconcile.ts";
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

const OTHER = { ...CANDIDATE, providerId: "p2" };
const UNCLEAR = { kind: "unclear", detail: "HTTP 502" } as const;
const stopped = enterPhase(readyMachine("s", { endsAtMs: 48 * HOUR }), "stopped", HOUR - 60_000, {
  stoppedAtMs: HOUR - 60_000,
});
/** Both providers, and money for one machine. */
const facts = (nowMs: number) =>
  factsAt(nowMs, { stoppedKeptMs: HOUR, ceilingNanodollarsPerHour: 1e9, candidates: [CANDIDATE, OTHER] });

function startOf(calls: readonly FleetCall[]): FleetCall {
  const start = calls.find(({ operation }) => operation === "start");
  if (start === undefined) throw new Error("no start was asked for");
  return start;
}

/** Its start was asked for at the time HOUR, and half a minute later nobody knows what became of it. */
function unclearStart(): FleetState {
  const { state, calls } = reconcile(beginFleet([stopped]), facts(HOUR));
  return answered(state, startOf(calls), UNCLEAR, HOUR + 30_000);
}

describe("a stopped machine whose start has no clear answer", () => {
  it("counts among what may cost, also when a second start is refused", () => {
    const again = reconcile(unclearStart(), facts(HOUR + 34_000));
    const refused = answered(
      again.state,
      startOf(again.calls),
      { kind: "wait", detail: "429", retryAfterMs: 60_000 },
      HOUR + 34_100,
    );
    expect(costOf(refused.instances.values())).toBe(1e9);
    const { calls } = reconcile(refused, facts(HOUR + 34_200));
    expect(calls.filter(({ operation }) => operation === "create")).toEqual([]);
  });

  it.each([
    [29_000, "starting"],
    [30_000, "stopped"],
  ])("and a list that was asked for %i ms later and shows it stopped: it is %s", (afterMs, phase) => {
    const atMs = HOUR + 30_000 + afterMs;
    const state = putProvider(unclearStart(), "p1", { lists: 1, listing: { no: 1, atMs } });
    const instances = [{ ...shown("s"), status: "stopped" } as const];
    const call = { operation: "list", providerId: "p1", no: 1 } as const;
    const after = answered(state, call, { kind: "listed", instances }, atMs + 100);
    expect(after.instances.get("s")?.phase).toBe(phase);
  });

  it("keeps no job waiting where its provider does not tell what it has either", () => {
    const creates: string[] = [];
    const { state, calls } = runFleet(
      (call) => {
        if (call.providerId === "p1") return UNCLEAR;
        if (call.operation === "create") creates.push(call.instanceId);
        if (call.operation === "list") return { kind: "listed", instances: creates.map(shown) };
        return { kind: "done", instance: null };
      },
      2,
      { candidates: [CANDIDATE, OTHER], stoppedKeptMs: HOUR },
      beginFleet([{ ...stopped, sinceMs: 999_000, stoppedAtMs: 999_000 }]),
    );
    const first = calls.find(({ operation }) => operation === "create");
    expect(first?.atMs).toBeLessThan(1_000_000 + 30_000);
    expect(state.crashes.inARow).toBe(0);
  });
});

it("a stopped machine whose start is refused again and again is kept no longer than any other one", () => {
  let state = beginFleet([stopped]);
  const made = new Set<string>();
  let endedAtMs = Number.POSITIVE_INFINITY;
  let starts = 0;
  // Work comes for a minute in each half hour, and the other provider has a machine for it each time.
  for (let nowMs = HOUR; nowMs < 4 * HOUR && endedAtMs === Number.POSITIVE_INFINITY; nowMs += 5_000) {
    const wanted = nowMs % (HOUR / 2) < 60_000 ? 1 : 0;
    const workers = workersOf(...[...made].map((id) => [id, {}] as const));
    const candidates = [{ ...OTHER, canStop: false }];
    const plan = reconcile(state, factsAt(nowMs, { wanted, workers, stoppedKeptMs: HOUR, candidates }));
    state = plan.state;
    for (const call of plan.calls) {
      const isOwn = call.providerId === "p1";
      if (call.operation === "list") {
        const instances = isOwn ? [{ ...shown("s"), status: "stopped" } as const] : [...made].map(shown);
        state = answered(state, call, { kind: "listed", instances }, nowMs + 100);
        continue;
      }
      if (call.operation === "create") made.add(call.instanceId);
      if (call.operation === "end") made.delete(call.instanceId);
      if (call.operation === "end" && isOwn) endedAtMs = nowMs;
      if (call.operation === "start") starts += 1;
      const answer = isOwn
        ? ({ kind: "denied", detail: "suspended" } as const)
        : ({ kind: "done", instance: null } as const);
      state = answered(state, call, answer, nowMs + 100);
    }
  }
  expect(starts).toBeGreaterThan(1);
  expect(endedAtMs).toBeLessThanOrEqual(2 * HOUR);
});

it("of two stopped machines the one that stopped last is started first, though the start of the other one was refused since", () => {
  const older = enterPhase(readyMachine("older"), "stopped", HOUR - 1_000, { stoppedAtMs: HOUR - 120_000 });
  const { calls } = reconcile(beginFleet([older, stopped]), facts(HOUR));
  expect(startOf(calls)).toMatchObject({ instanceId: "s" });
});
