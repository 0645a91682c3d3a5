// What lists change in a fleet whose workers are called, and call nobody: where they are called, and which of them are gone.
import { describe, expect, it } from "vitest";
import { listDueAtMs } from "../../../src/core/fleet/due.ts";
import { beginFleet, type FleetState, putProvider } from "../../../src/core/fleet/fleet-state.ts";
import { enterPhase, type Instance, wantInstance } from "../../../src/core/fleet/instance.ts";
import { LIST_LAG_MS, LIST_STARTING_MS, LIST_UNSHOWN_MS } from "../../../src/core/fleet/limits.ts";
import type { Listed, ProviderAnswer } from "../../../src/core/fleet/provider.ts";
import { reconcile } from "../../../src/core/fleet/reconcile.ts";
import { takeList } from "../../../src/core/fleet/take-list.ts";
import { answered, factsAt, HOUR, readyMachine, shown } from "../../support/fleet-core.ts";

const NOW_MS = 3_600_000;
const FORMER = "http://former.test";

function machine(partial: Partial<Instance>): Instance {
  const record = { ...wantInstance("abc", "flex", 1, 0), providerId: "p1", ref: "r1", answeredAtMs: 0, endsAtMs: 1e9 };
  return { ...record, ...partial };
}

/** The machine after a list that was asked for at `atMs` and shows this of it; null: nothing. */
function listedAt(atMs: number, before: Instance, shown: Partial<Listed> | null, unreachable: readonly string[] = []) {
  const asking: FleetState = putProvider(beginFleet([before]), "p1", { listing: { no: 1, atMs } });
  const asked = { providerId: "p1", no: 1, endpointId: "ep", unproven: new Set<string>() };
  const listed: Listed = {
    name: "wb-ep-abc",
    ref: "r1",
    status: "running",
    priceNanodollarsPerHour: null,
    url: FORMER,
    detail: null,
    ...shown,
  };
  const answer = { kind: "listed", instances: shown === null ? [] : [listed] } as const;
  const moment = { nowMs: atMs + 100, jitter: 0 };
  return takeList(asking, { ...asked, unreachable: new Set(unreachable) }, answer, moment).instances.get("abc");
}

describe("a ready machine that a list lacks", () => {
  const ready = machine({ phase: "ready", readyAtMs: NOW_MS - LIST_LAG_MS });

  it("is to end when its worker did not answer", () => {
    expect(listedAt(NOW_MS, ready, null, ["abc"])).toMatchObject({ phase: "stopping", goal: "gone" });
  });

  it("stays when its worker answered, or the list may be older than its readiness", () => {
    expect(listedAt(NOW_MS, ready, null)?.phase).toBe("ready");
    expect(listedAt(NOW_MS - 1, ready, null, ["abc"])?.phase).toBe("ready");
  });
});

describe("a machine that was started again", () => {
  const started = { startedAtMs: NOW_MS - 60_000, sinceMs: NOW_MS - 60_000, isResumed: true, url: null };
  const starting = machine({ ...started, phase: "starting", answeredAtMs: NOW_MS });

  it("is called where a list shows it that was asked for after its start", () => {
    expect(listedAt(NOW_MS, starting, {})?.url).toBe(FORMER);
  });

  it("is not called where a list shows it as it was before", () => {
    expect(listedAt(NOW_MS - 1, starting, {})?.url).toBe(null);
    expect(listedAt(NOW_MS, starting, { status: "stopped" })?.url).toBe(null);
    expect(listedAt(NOW_MS, { ...starting, answeredAtMs: null }, {})?.url).toBe(null);
  });

  it("goes on being called where it is when a list shows it as it was before", () => {
    const ready = machine({
      ...started,
      phase: "ready",
      answeredAtMs: NOW_MS,
      readyAtMs: NOW_MS,
      url: "http://new.test",
    });
    expect(listedAt(NOW_MS, ready, { status: "stopped" })?.url).toBe("http://new.test");
  });
});

describe("a machine whose answered start did not show it", () => {
  const START_MS = NOW_MS - 20_000;
  const started = machine({
    phase: "starting",
    isResumed: true,
    startedAtMs: START_MS,
    answeredAtMs: NOW_MS,
    url: null,
  });

  /** When the next list is due after one that was asked for so long after the answer; null: there was none since the start. */
  function dueAfter(afterMs: number | null, instance = started, areCalled = true): number {
    const listedAtMs = afterMs === null ? 0 : NOW_MS + afterMs;
    const state = putProvider(beginFleet([instance]), "p1", { listedAtMs });
    return listDueAtMs(state, "p1", { workers: new Map(), areCalled }) - NOW_MS;
  }

  it("is looked for at once, and then after twice as long each time", () => {
    expect(dueAfter(null)).toBe(LIST_UNSHOWN_MS);
    expect(dueAfter(-2_000)).toBe(LIST_UNSHOWN_MS);
    expect(dueAfter(LIST_UNSHOWN_MS)).toBe(2 * LIST_UNSHOWN_MS);
    expect(dueAfter(4_000)).toBe(8_000);
    expect(dueAfter(60_000)).toBe(60_000 + LIST_STARTING_MS);
  });

  it("is looked for again five seconds after the answer to a list, which is the pause that follows each, and every ten seconds at last", () => {
    const before = beginFleet([enterPhase(readyMachine("s"), "stopped", NOW_MS - 1_000)]);
    let state = putProvider(before, "p1", { listedAtMs: NOW_MS - 1_000 });
    let answeredAtMs = 0;
    const listsMs: number[] = [];
    for (let nowMs = NOW_MS; nowMs < NOW_MS + 30_000; nowMs += 100) {
      const plan = reconcile(state, factsAt(nowMs, { areCalled: true, stoppedKeptMs: HOUR }));
      state = plan.state;
      for (const call of plan.calls) {
        const isList = call.operation === "list";
        if (isList) listsMs.push(nowMs - answeredAtMs);
        else answeredAtMs = nowMs;
        const answer: ProviderAnswer = isList
          ? { kind: "listed", instances: [shown("s")] }
          : { kind: "done", instance: null };
        state = answered(state, call, answer, nowMs);
      }
    }
    expect(listsMs).toEqual([500, 5_500, 11_000, 21_000]);
  });

  it.each([
    ["whose address is known", { ...started, url: FORMER }, true],
    ["whose start has no answer yet", { ...started, answeredAtMs: null }, true],
    ["whose worker calls by itself", started, false],
  ])("%s is looked for no sooner than any other machine that starts", (_, instance, isCalled) => {
    expect(dueAfter(null, instance, isCalled)).toBe(START_MS + LIST_STARTING_MS - NOW_MS);
  });
});
