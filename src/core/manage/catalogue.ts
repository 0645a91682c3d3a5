// What RunPod's catalogue lists, for a deployment whose machines are its operator's own: GPU types of the pools, CPU flavors, and one place.
import { cpuMemoryGb } from "./fleet-change.ts";
import { GPU_POOLS } from "./gpu-pools.ts";

export interface GpuType {
  readonly id: string;
  /** The id without its maker, as RunPod shows it: `RTX 4090`. */
  readonly name: string;
  readonly pool: string;
  readonly memoryGb: number;
  /** The tier by which work on it is billed; null: no tier has a price for it. */
  readonly tier: string | null;
}

export const GPU_TYPES: readonly GpuType[] = GPU_POOLS.flatMap(({ id: pool, memoryGb, tier, types }) =>
  types.map((id) => ({ id, name: id.replace(/^NVIDIA (?:GeForce )?/, ""), pool, memoryGb, tier })),
);

/** The GPU type of an id. The id of a pool, which RunPod's newer client asks for as well, stands for the pool's first type. */
export function findGpuType(typeOrPool: string): GpuType | null {
  return GPU_TYPES.find(({ id }) => id === typeOrPool) ?? GPU_TYPES.find(({ pool }) => pool === typeOrPool) ?? null;
}

export interface CpuFlavor {
  readonly id: string;
  readonly name: string;
  readonly group: string;
  readonly ramGbPerVcpu: number;
}

/** The flavors that RunPod's Python package 2.0.0rc2 names (runpod/apps/gpu.py, datacenter.py). */
export const CPU_FLAVORS: readonly CpuFlavor[] = ["cpu3c", "cpu3g", "cpu5c", "cpu5g"].map((id) => ({
  id,
  name: id.endsWith("c") ? "Compute-Optimized" : "General Purpose",
  group: `Gen ${id.slice(3, 4)}`,
  ramGbPerVcpu: cpuMemoryGb({ id, vcpuCount: 1 }),
}));

/** The only place there is: wherever the operator's machines stand. */
export const DATA_CENTER = { id: "OWN", name: "Machines of your own" } as const;

/** USD per GPU-hour of a price in nano-dollars per second. */
export function dollarsPerHour(nanodollarsPerSecond: number): number {
  return (nanodollarsPerSecond * 3_600) / 1e9;
}
