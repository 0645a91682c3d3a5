// Machines that are always there are billed for as long as they are held, and those that come for a job are not.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FleetSettings } from "../../../src/contract/fleet.ts";
import type { Rate } from "../../../src/core/job/pricing.ts";
import { ACTIVE_RATE, activeRate, makeActive, passMs } from "../../support/active.ts";
import { submission } from "../../support/broker.ts";
import { fleet, type HeldProvider, holdProvider } from "../../support/held-provider.ts";

/** No alarm rings by itself before this. */
const NOW_MS = Date.UTC(2050, 0, 1);
const FLEX: Rate = { tier: "a4000", kind: "flex", nanodollarsPerSecond: 160_000, effectiveFromMs: 0 };

let provider: HeldProvider;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(NOW_MS);
  provider = holdProvider();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function makeFleet(partial: Partial<FleetSettings>, rates: readonly Rate[] = [FLEX, activeRate()]) {
  const active = await makeActive({ upstreams: [], rates: [...rates], fleet: fleet(partial) });
  return { ...active, setFleet: (change: Partial<FleetSettings>) => active.change({ fleet: fleet(change) }) };
}

async function newestMachine(creates: number): Promise<string> {
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(creates));
  return provider.called("create").at(-1)?.machine?.instanceId ?? "";
}

describe("a machine that is always there", () => {
  it("is billed from its worker's first call for a job until it is to end", async () => {
    const active = await makeFleet({ min: 1 });
    const id = await newestMachine(1);
    passMs(7_000);
    // Waiting for something moves the clock a little, too.
    const readyMs = Date.now();
    await active.ask(id, id);
    passMs(10_000);
    await active.ping(id, id);
    passMs(2_400);
    await active.ping(id, id);
    await active.setFleet({ min: 0 });
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    expect(await active.holds()).toEqual([]);
    expect(await active.lines()).toMatchObject([
      { jobId: `active-${id}`, startedAt: readyMs, finishedAt: readyMs + 12_400, seconds: 13, rate: ACTIVE_RATE },
    ]);
  });

  it("is a flex one where its tier has no price for being held, so that its jobs are billed", async () => {
    const active = await makeFleet({ min: 1 }, [FLEX]);
    const id = await newestMachine(1);
    expect(provider.called("create")).toMatchObject([{ machine: { rateKind: "flex" } }]);
    await active.ask(id, id);
    expect(await active.holds()).toEqual([]);
  });
});

describe("a machine that has come for a job", () => {
  it("is not billed for being held", async () => {
    const active = await makeFleet({});
    const jobId = submission({ tenantId: active.tenantId });
    await active.broker().submit(jobId);
    const id = await newestMachine(1);
    expect(provider.called("create")).toMatchObject([{ machine: { rateKind: "flex" } }]);
    await active.ping(id, id);
    expect(await active.holds()).toEqual([]);
  });
});

describe("a kind of machine whose work has no price", () => {
  it("is not created, and whoever waits is told why", async () => {
    const active = await makeFleet({}, []);
    const call = submission({ tenantId: active.tenantId });
    await active.broker().submit(call);
    const read = await active.broker().read({ tenantId: active.tenantId, jobId: call.jobId, ttlMs: null });
    expect(read).toMatchObject({
      value: { queue: { reason: "NO_CAPACITY", detail: expect.stringContaining("has a price") } },
    });
    expect(provider.called("create")).toEqual([]);
  });
});
