// Which machines an endpoint may have of what its providers offer, and what an offer must have.
import { describe, expect, it } from "vitest";
import {
  fleetCandidates,
  type Hardware,
  offerProblem,
  typesWithoutTier,
} from "../../../src/core/manage/fleet-candidates.ts";

const L4 = "NVIDIA L4";
const A5000 = "NVIDIA RTX A5000";
const H200 = "NVIDIA H200";
const RTX5090 = "NVIDIA GeForce RTX 5090";

const offer = (gpuTypeId: string, priceNanodollarsPerHour: number, tier?: string) => {
  return { gpuTypeId, priceNanodollarsPerHour, tier };
};
const provider = (id: string, ...offers: ReturnType<typeof offer>[]) => ({ id, canStop: true, offers });
const gpu = (pools: string[], more: Partial<NonNullable<Hardware["gpu"]>> = {}): Hardware => {
  return { gpu: { pools, count: 1, ...more }, cpu: null };
};

describe("the machines that an endpoint may have", () => {
  it("are the offered ones of the types in its pools, each by the tier of its pool", () => {
    const offers = [offer(H200, 3_000), offer(A5000, 220), offer(L4, 430)];
    expect(fleetCandidates(gpu(["AMPERE_24", "HOPPER_141"]), [provider("p", ...offers)])).toEqual([
      { providerId: "p", gpuTypeId: A5000, priceNanodollarsPerHour: 220, tier: "l4", canStop: true },
      { providerId: "p", gpuTypeId: L4, priceNanodollarsPerHour: 430, tier: "l4", canStop: true },
      { providerId: "p", gpuTypeId: H200, priceNanodollarsPerHour: 3_000, tier: "h200-pro", canStop: true },
    ]);
    expect(fleetCandidates(gpu(["ADA_24"]), [provider("p", ...offers)])).toEqual([]);
  });

  it("come from each of its providers, in their order, and tell which of them can stop one", () => {
    const providers = [provider("b", offer(L4, 9)), { ...provider("a", offer(L4, 5)), canStop: false }];
    const found = fleetCandidates(gpu(["AMPERE_24"]), providers);
    expect(found.map(({ providerId, canStop }) => [providerId, canStop])).toEqual([
      ["b", true],
      ["a", false],
    ]);
    expect(fleetCandidates(gpu(["AMPERE_24"]), [])).toEqual([]);
  });

  it("leave out excluded types, and have a type of a pool that is named twice once", () => {
    const offering = [provider("p", offer(L4, 1), offer(A5000, 2))];
    const found = fleetCandidates(gpu(["AMPERE_24", "AMPERE_24"], { excludedTypes: [L4] }), offering);
    expect(found.map(({ gpuTypeId }) => gpuTypeId)).toEqual([A5000]);
  });

  it("cost the price of all of their GPUs, exactly, as far as prices and counts may go", () => {
    const [found] = fleetCandidates(gpu(["AMPERE_24"], { count: 1_000 }), [provider("p", offer(L4, 100_000_000_000))]);
    expect(found?.priceNanodollarsPerHour).toBe(100_000_000_000_000);
  });

  it("have the tier that an offer names before that of the pool, and none without either", () => {
    const offering = [provider("p", offer(L4, 1, "a100"), offer(RTX5090, 2)), provider("q", offer(RTX5090, 3, "l40s"))];
    const found = fleetCandidates(gpu(["AMPERE_24", "ADA_32_PRO"]), offering);
    expect(found.map(({ providerId, gpuTypeId, tier }) => [providerId, gpuTypeId, tier])).toEqual([
      ["p", L4, "a100"],
      ["q", RTX5090, "l40s"],
    ]);
  });

  it("are those without a GPU where the endpoint selects a CPU, and none where it selects nothing", () => {
    const offering = [provider("p", offer("CPU", 70, "a4000"), offer(L4, 430))];
    const cpu = { gpu: null, cpu: [{ id: "cpu3c", vcpuCount: 8 }] };
    expect(fleetCandidates(cpu, offering)).toEqual([
      { providerId: "p", gpuTypeId: "CPU", priceNanodollarsPerHour: 70, tier: "a4000", canStop: true },
    ]);
    expect(fleetCandidates({ gpu: null, cpu: null }, offering)).toEqual([]);
    expect(fleetCandidates(gpu(["AMPERE_24"]), [provider("p", offer("CPU", 70, "a4000"))])).toEqual([]);
  });
});

describe("the selected types without a tier", () => {
  it("are those of pools that no tier has a price for, without those that are excluded", () => {
    expect(typesWithoutTier(null)).toEqual([]);
    expect(typesWithoutTier({ pools: ["AMPERE_24"], count: 1 })).toEqual([]);
    expect(typesWithoutTier({ pools: ["AMPERE_24", "ADA_32_PRO"], count: 1 })).toEqual([RTX5090]);
    expect(typesWithoutTier({ pools: ["ADA_32_PRO"], excludedTypes: [RTX5090], count: 1 })).toEqual([]);
  });
});

describe("an offer", () => {
  it("is of a known type, and names a tier where the type's pool has none", () => {
    for (const good of [offer(L4, 1), offer(L4, 1, "a100"), offer(RTX5090, 1, "l40s"), offer("CPU", 1, "a4000")])
      expect(offerProblem(good)).toBeNull();
    const unknown = offerProblem(offer("RTX 4090", 1));
    expect(unknown).toMatchObject({ member: "gpuTypeId", message: expect.stringContaining("NVIDIA GeForce RTX 4090") });
    expect(offerProblem(offer(RTX5090, 1))).toMatchObject({
      member: "tier",
      message: expect.stringContaining(RTX5090),
    });
    expect(offerProblem(offer("CPU", 1))).toMatchObject({
      member: "tier",
      message: expect.stringContaining("no pool"),
    });
  });
});
