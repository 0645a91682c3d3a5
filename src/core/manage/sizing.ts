// Which GPU a model needs, and how many workers a load needs: rules of thumb, with the reasoning in words. Numbers come in and go out;
// nothing is looked up.
import type { RateKind } from "../job/pricing.ts";

/** A model as far as its memory depends on it. */
export interface ModelSize {
  readonly parameters: number;
  /** Of one parameter, as it is held in memory: 16 without quantisation. */
  readonly bits: number;
  /** Tokens of one request, its answer included; null: the cache is left out. */
  readonly contextTokens: number | null;
  /** Requests that one worker runs at once. */
  readonly batch: number;
}

/** Gigabytes of 10^9 bytes, as the memory of GPUs is told. */
export interface MemoryNeed {
  readonly weightsGb: number;
  readonly cacheGb: number;
  readonly totalGb: number;
}

/** Engines such as vLLM take this part of a GPU's memory for weights and cache, and leave the rest to the work itself. */
const USABLE_PART = 0.9;

/** GPUs of one worker: engines split a model over these numbers. */
const GPU_COUNTS = [1, 2, 4, 8] as const;

/**
 * Bytes of the cache for one token of an 8 B model with grouped-query attention (Llama 3: 32 layers x 8 heads x 128 x 2 x 2 bytes), and
 * how it grows with the size: through the 70 B model of that family (80 layers). Models without it need up to eight times as much.
 */
const CACHE_BYTES_AT_8B = 131_072;
const CACHE_GROWTH = Math.log(80 / 32) / Math.log(70 / 8);

/** What a model takes of a GPU's memory. */
export function memoryNeed({ parameters, bits, contextTokens, batch }: ModelSize): MemoryNeed {
  const weightsGb = (parameters * bits) / 8 / 1e9;
  const cacheBytesPerToken = CACHE_BYTES_AT_8B * (parameters / 8e9) ** CACHE_GROWTH;
  const cacheGb = ((contextTokens ?? 0) * batch * cacheBytesPerToken) / 1e9;
  return { weightsGb, cacheGb, totalGb: weightsGb + cacheGb };
}

/** A tier that can be chosen; a price is in nano-dollars a second, null where it has none. */
export interface SizedTier {
  readonly id: string;
  readonly title: string;
  readonly vramGb: number;
  readonly prices: { readonly [Kind in RateKind]: number | null };
}

/** So many GPUs of a tier. */
export interface GpuOption {
  readonly tier: SizedTier;
  readonly gpus: number;
}

/**
 * All tiers that hold so much memory with the fewest of their GPUs, at most eight. First comes the least memory that is enough, and of
 * equal memory the cheaper tier.
 */
export function gpuOptions(totalGb: number, tiers: readonly SizedTier[]): GpuOption[] {
  const options = tiers.flatMap((tier) => {
    const gpus = GPU_COUNTS.find((count) => count * tier.vramGb * USABLE_PART >= totalGb);
    return gpus === undefined ? [] : [{ tier, gpus }];
  });
  const memory = ({ tier, gpus }: GpuOption) => tier.vramGb * gpus;
  const price = ({ tier, gpus }: GpuOption) => (tier.prices.flex ?? Number.POSITIVE_INFINITY) * gpus;
  // One GPU is simpler than several of the same memory in all: a split model waits for its slowest link.
  return options.sort((a, b) => a.gpus - b.gpus || memory(a) - memory(b) || price(a) - price(b));
}

/** Why this option, one sentence a step. */
export function explainGpu(model: ModelSize, need: MemoryNeed, best: GpuOption | null): string[] {
  const { parameters, bits, contextTokens, batch } = model;
  const billions = shown(parameters / 1e9);
  const steps = [
    `${billions} billion parameters of ${shown(bits)} bits are ${shown(bits / 8)} bytes each: ${shown(need.weightsGb)} GB of weights.`,
  ];
  if (contextTokens === null) steps.push("The cache of the context is left out: give context to have it added.");
  else {
    const requests = batch === 1 ? "one request" : `${batch} requests at once`;
    steps.push(
      `A context of ${contextTokens} tokens for ${requests} is about ${shown(need.cacheGb)} GB of cache, for a model with grouped-query attention.`,
    );
  }
  const percent = Math.round(USABLE_PART * 100);
  if (best === null)
    return [...steps, `No tier holds ${shown(need.totalGb)} GB in ${percent} % of the memory of eight GPUs.`];
  const { tier, gpus } = best;
  const memory = gpus === 1 ? `${tier.vramGb} GB` : `${gpus} x ${tier.vramGb} GB`;
  const least = gpus === 1 ? "the smallest GPU that is enough" : "the fewest GPUs that are enough";
  steps.push(
    `An engine uses about ${percent} % of a GPU's memory, so ${shown(need.totalGb)} GB take ${memory}: ${least} is ${tier.title}.`,
  );
  return steps;
}

/** A load on an endpoint. */
export interface Load {
  readonly requestsPerMinute: number;
  /** Of one request on a worker, on average. */
  readonly seconds: number;
  /** Requests that one worker runs at once. */
  readonly slots: number;
}

/** How many workers are busy on average (`busy`), and how many whole ones that takes. */
export function activeWorkers({ requestsPerMinute, seconds, slots }: Load): {
  readonly busy: number;
  readonly workers: number;
} {
  const busy = (requestsPerMinute * seconds) / 60 / slots;
  // Products of decimals, such as 0.1 x 600, may lie a hair above a whole number.
  return { busy, workers: Math.max(0, Math.ceil(busy - 1e-9)) };
}

/** Why so many workers, one sentence a step. */
export function explainWorkers(load: Load): string[] {
  const { busy, workers } = activeWorkers(load);
  const { requestsPerMinute, seconds, slots } = load;
  const divided = slots === 1 ? "" : ` / ${slots} at once`;
  const steps = [
    `${shown(requestsPerMinute)} requests a minute x ${shown(seconds)} s / 60${divided} = ${shown(busy)} workers that are busy on average.`,
  ];
  if (workers > 0) steps.push("That is the mean: flex workers take the peaks above it.");
  return steps;
}

/** At most three significant decimals, for reading. */
function shown(value: number): string {
  return String(Number(value.toPrecision(4)));
}
