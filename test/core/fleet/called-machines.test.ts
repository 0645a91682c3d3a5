// What lists change in a fleet whose workers are called, and call nobody: where they are called, and which of them are gone.
import { describe, expect, it } from "vitest";
import { beginFleet, type FleetState, putProvider } from "../../../src/core/fleet/fleet-state.ts";
import { type Instance, wantInstance } from "../../../src/core/fleet/instance.ts";
import { LIST_LAG_MS } from "../../../src/core/fleet/limits.ts";
import type { Listed } from "../../../src/core/fleet/provider.ts";
import { takeList } from "../../../src/core/fleet/take-list.ts";

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
