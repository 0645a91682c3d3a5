// Which machines an endpoint may have: the GPU types that it selects, as far as its providers offer them.
import type { Candidate } from "../fleet/instance.ts";
import { findPool, GPU_POOLS } from "./gpu-pools.ts";

/** In place of a GPU type: a machine without one. It is in no pool, so its offer names the tier. */
export const CPU_TYPE = "CPU";

/** A kind of machine that a provider has. */
export interface OfferFacts {
  readonly gpuTypeId: string;
  /** Of one GPU, or of a machine without one, nano-dollars an hour. */
  readonly priceNanodollarsPerHour: number;
  /** By which its work is billed; left out: by the tier of its type's pool. */
  readonly tier?: string | undefined;
}

export interface OfferingProvider {
  readonly id: string;
  /** Can it stop a machine and start it again? */
  readonly canStop: boolean;
  readonly offers: readonly OfferFacts[];
}

/** What an endpoint's workers run on; neither: it selects nothing, and has no machine. */
export interface Hardware {
  readonly gpu: {
    readonly pools: readonly string[];
    readonly excludedTypes?: readonly string[] | undefined;
    /** GPUs of each machine. */
    readonly count: number;
  } | null;
  readonly cpu: readonly unknown[] | null;
}

/** All machines that may be asked for, in the order of the providers, of the pools, and of the types in them. */
export function fleetCandidates(hardware: Hardware, providers: readonly OfferingProvider[]): Candidate[] {
  const types = selectedTypes(hardware);
  const count = hardware.gpu?.count ?? 1;
  return providers.flatMap(({ id, canStop, offers }) =>
    types.flatMap((type) => {
      const offer = offers.find(({ gpuTypeId }) => gpuTypeId === type);
      const tier = offer === undefined ? null : tierOf(offer);
      if (offer === undefined || tier === null) return [];
      const priceNanodollarsPerHour = offer.priceNanodollarsPerHour * count;
      return [{ providerId: id, gpuTypeId: type, priceNanodollarsPerHour, tier, canStop }];
    }),
  );
}

function selectedTypes({ gpu, cpu }: Hardware): readonly string[] {
  if (gpu === null) return cpu === null ? [] : [CPU_TYPE];
  const { pools, excludedTypes = [] } = gpu;
  const types = new Set(pools.flatMap((pool) => findPool(pool)?.types ?? []));
  return [...types].filter((type) => !excludedTypes.includes(type));
}

/** The tier by which work on an offered machine is billed: the offer's own, else that of the type's pool; null: there is none. */
function tierOf({ gpuTypeId, tier }: OfferFacts): string | null {
  return tier ?? poolOf(gpuTypeId)?.tier ?? null;
}

function poolOf(gpuTypeId: string) {
  return GPU_POOLS.find(({ types }) => types.includes(gpuTypeId));
}

/**
 * The selected GPU types whose pool has no tier: work on them has no price, so that a fleet has them only of offers that name a tier
 * themselves.
 */
export function typesWithoutTier(gpu: Hardware["gpu"]): string[] {
  return selectedTypes({ gpu, cpu: null }).filter((type) => (poolOf(type)?.tier ?? null) === null);
}

/** What is wrong with an offer, by the member; null: nothing. That its own tier exists is for the database to say. */
export function offerProblem({
  gpuTypeId,
  tier,
}: OfferFacts): { readonly member: string; readonly message: string } | null {
  const isKnown = gpuTypeId === CPU_TYPE || poolOf(gpuTypeId) !== undefined;
  if (!isKnown) {
    const types = GPU_POOLS.flatMap((pool) => pool.types).join(", ");
    return { member: "gpuTypeId", message: `there is no GPU type ${gpuTypeId}; there are ${types}, and ${CPU_TYPE}` };
  }
  if (tierOf({ gpuTypeId, priceNanodollarsPerHour: 0, tier }) !== null) return null;
  const why = gpuTypeId === CPU_TYPE ? "a machine without a GPU is in no pool" : `the pool of ${gpuTypeId} has no tier`;
  return {
    member: "tier",
    message: `is required, because ${why}: name the GPU type (/v1/gpu-types) by which its work is billed`,
  };
}
