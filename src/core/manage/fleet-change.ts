// How the settings of an endpoint's workers change: a member that is left out stays (RunPod's rules for PATCH).

interface Gpu {
  readonly pools: string[];
  readonly excludedTypes?: string[] | undefined;
  readonly count: number;
  readonly allowedCudaVersions: string[];
  readonly minCudaVersion: string | null;
}

type GpuPatch = { readonly [Name in keyof Gpu]?: Exclude<Gpu[Name], null> | undefined };

/**
 * New pools replace the selection, so that exclusions which are not given again are gone; an empty list and an empty text clear the
 * versions of CUDA.
 */
export function patchGpu(now: Gpu | null, patch: GpuPatch): Gpu {
  const pools = patch.pools ?? now?.pools ?? [];
  const excludedTypes = patch.pools === undefined ? now?.excludedTypes : patch.excludedTypes;
  const minCudaVersion = patch.minCudaVersion === undefined ? (now?.minCudaVersion ?? null) : patch.minCudaVersion;
  return {
    pools,
    ...(excludedTypes === undefined || excludedTypes.length === 0 ? {} : { excludedTypes }),
    count: patch.count ?? now?.count ?? 1,
    allowedCudaVersions: patch.allowedCudaVersions ?? now?.allowedCudaVersions ?? [],
    minCudaVersion: minCudaVersion === "" ? null : minCudaVersion,
  };
}

/** GB of memory that a CPU flavor has for each vCPU: compute, general purpose, memory. */
const MEMORY_OF_VCPU: Readonly<Record<string, number>> = { c: 2, g: 4, m: 8 };

/** Memory in GB of a CPU configuration, by the last letter of its flavor (cpu3c, cpu5g). */
export function cpuMemoryGb({ id, vcpuCount }: { readonly id: string; readonly vcpuCount: number }): number {
  return vcpuCount * (MEMORY_OF_VCPU[id.slice(-1)] ?? 2);
}
