// Rules of thumb for GPUs and workers: the examples of the guide that RunPod's users know, and what holds beside them.
import { describe, expect, it } from "vitest";
import {
  activeWorkers,
  explainGpu,
  explainWorkers,
  gpuOptions,
  type ModelSize,
  memoryNeed,
  type SizedTier,
} from "../../../src/core/manage/sizing.ts";

const tier = (id: string, vramGb: number, flex: number | null): SizedTier => ({
  ...{ id, title: id, vramGb },
  prices: { flex, active: flex },
});
/** The nine tiers, with their prices in nano-dollars a second. */
const TIERS = [
  ...[tier("a4000", 16, 160_000), tier("4090-pro", 24, 310_000), tier("l4", 24, 190_000), tier("l40s", 48, 530_000)],
  ...[tier("a6000", 48, 340_000), tier("h100-pro", 80, 1_160_000), tier("a100", 80, 760_000)],
  ...[tier("h200-pro", 141, 1_550_000), tier("b200", 180, 2_400_000)],
];
const model = (partial: Partial<ModelSize>): ModelSize => ({
  ...{ parameters: 7e9, bits: 16, contextTokens: null, batch: 1 },
  ...partial,
});
const choose = (partial: Partial<ModelSize>) => {
  const [best] = gpuOptions(memoryNeed(model(partial)).totalGb, TIERS);
  return best === undefined ? null : `${best.gpus} x ${best.tier.id}`;
};

describe("the memory of a model", () => {
  it.each([
    [7e9, 16, 14],
    [70e9, 4, 35],
    [70e9, 16, 140],
    [13e9, 8, 13],
  ])("of %d parameters with %d bits is %d GB", (parameters, bits, gb) => {
    expect(memoryNeed(model({ parameters, bits }))).toEqual({ weightsGb: gb, cacheGb: 0, totalGb: gb });
  });

  // Bytes of a token by the published configurations: layers x key-value heads x 128 x 2 x 2.
  it.each([
    ["Llama 3.2 3B", 3.2e9, 28 * 8 * 512],
    ["Llama 3 8B", 8e9, 32 * 8 * 512],
    ["Qwen 2.5 32B", 32.5e9, 64 * 8 * 512],
    ["Llama 3 70B", 70e9, 80 * 8 * 512],
    ["Llama 3.1 405B", 405e9, 126 * 8 * 512],
  ])("has for %s a cache that is no more than a half larger or smaller than it is", (_, parameters, bytes) => {
    const { cacheGb } = memoryNeed(model({ parameters, contextTokens: 8_192, batch: 4 }));
    expect(cacheGb / ((bytes * 8_192 * 4) / 1e9)).toBeGreaterThan(0.6);
    expect(cacheGb / ((bytes * 8_192 * 4) / 1e9)).toBeLessThan(1.5);
  });
});

describe("the GPU for a model", () => {
  it.each([
    [{ parameters: 7e9 }, "1 x a4000"],
    [{ parameters: 70e9, bits: 4 }, "1 x a6000"],
    [{ parameters: 8e9 }, "1 x l4"],
    [{ parameters: 7e9, contextTokens: 8_192, batch: 4 }, "1 x l4"],
    [{ parameters: 70e9, bits: 8 }, "1 x a100"],
    [{ parameters: 70e9 }, "1 x b200"],
    [{ parameters: 180e9 }, "4 x h200-pro"],
    [{ parameters: 671e9, bits: 8 }, "8 x h200-pro"],
    [{ parameters: 2e12 }, null],
  ])("of %j is %s", (partial, wanted) => {
    expect(choose(partial)).toBe(wanted);
  });

  it("is one of a tier without a price only where no other has as little memory", () => {
    const options = gpuOptions(20, [tier("free", 24, null), tier("l4", 24, 190_000), tier("new", 32, null)]);
    expect(options.map((option) => option.tier.id)).toEqual(["l4", "free", "new"]);
  });

  it("is explained in sentences", () => {
    const size = model({ parameters: 70e9, bits: 4 });
    const need = memoryNeed(size);
    expect(explainGpu(size, need, gpuOptions(need.totalGb, TIERS)[0] ?? null)).toEqual([
      "70 billion parameters of 4 bits are 0.5 bytes each: 35 GB of weights.",
      "The cache of the context is left out: give context to have it added.",
      "An engine uses about 90 % of a GPU's memory, so 35 GB take 48 GB: the smallest GPU that is enough is a6000.",
    ]);
    const large = model({ parameters: 2e12, contextTokens: 1_000, batch: 2 });
    expect(explainGpu(large, memoryNeed(large), null).at(-1)).toMatch(/^No tier holds 40\d\d GB/);
  });
});

describe("active workers", () => {
  it.each([
    [{ requestsPerMinute: 6, seconds: 30, slots: 1 }, 3],
    [{ requestsPerMinute: 60, seconds: 1, slots: 1 }, 1],
    [{ requestsPerMinute: 61, seconds: 1, slots: 1 }, 2],
    [{ requestsPerMinute: 6, seconds: 30, slots: 4 }, 1],
    [{ requestsPerMinute: 0.1, seconds: 600, slots: 1 }, 1],
    [{ requestsPerMinute: 0, seconds: 0, slots: 1 }, 0],
  ])("for %j are %d", (load, workers) => {
    expect(activeWorkers(load).workers).toBe(workers);
  });

  it("are explained in sentences", () => {
    expect(explainWorkers({ requestsPerMinute: 6, seconds: 30, slots: 1 })[0]).toBe(
      "6 requests a minute x 30 s / 60 = 3 workers that are busy on average.",
    );
  });
});
