// RunPod's GPU pools and the types in them, as its Python package 2.0.0rc2 lists them (runpod/apps/gpu.py), and the tier by which work on
// each is billed here. L40 and L40S stand in RunPod's text of ADA_48_PRO, and not in its list.

export interface GpuPool {
  readonly id: string;
  /** The id of the tier in gpu_tiers; null: no tier has a price for it, so an endpoint may name it and is billed by its workers' tiers. */
  readonly tier: string | null;
  readonly memoryGb: number;
  /** GPU type ids. */
  readonly types: readonly string[];
}

export const GPU_POOLS: readonly GpuPool[] = [
  {
    id: "AMPERE_16",
    tier: "a4000",
    memoryGb: 16,
    types: ["NVIDIA RTX A4000", "NVIDIA RTX A4500", "NVIDIA RTX 4000 Ada Generation", "NVIDIA RTX 2000 Ada Generation"],
  },
  { id: "AMPERE_24", tier: "l4", memoryGb: 24, types: ["NVIDIA RTX A5000", "NVIDIA L4", "NVIDIA GeForce RTX 3090"] },
  { id: "ADA_24", tier: "4090-pro", memoryGb: 24, types: ["NVIDIA GeForce RTX 4090"] },
  { id: "ADA_32_PRO", tier: null, memoryGb: 32, types: ["NVIDIA GeForce RTX 5090"] },
  {
    id: "ADA_48_PRO",
    tier: "l40s",
    memoryGb: 48,
    types: ["NVIDIA RTX 6000 Ada Generation", "NVIDIA L40", "NVIDIA L40S"],
  },
  { id: "AMPERE_48", tier: "a6000", memoryGb: 48, types: ["NVIDIA A40", "NVIDIA RTX A6000"] },
  { id: "AMPERE_80", tier: "a100", memoryGb: 80, types: ["NVIDIA A100 80GB PCIe", "NVIDIA A100-SXM4-80GB"] },
  {
    id: "ADA_80_PRO",
    tier: "h100-pro",
    memoryGb: 80,
    types: ["NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe", "NVIDIA H100 NVL"],
  },
  {
    id: "BLACKWELL_96",
    tier: null,
    memoryGb: 96,
    types: [
      "NVIDIA RTX PRO 6000 Blackwell Server Edition",
      "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
      "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
    ],
  },
  { id: "HOPPER_141", tier: "h200-pro", memoryGb: 141, types: ["NVIDIA H200"] },
  { id: "BLACKWELL_180", tier: "b200", memoryGb: 180, types: ["NVIDIA B200"] },
];

/** The pool of an id; null: there is none. */
export function findPool(id: string): GpuPool | null {
  return GPU_POOLS.find((pool) => pool.id === id) ?? null;
}
