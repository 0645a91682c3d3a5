// The rules by which the settings of an endpoint's workers fit each other (RunPod's OpenAPI document 2.0.0). Each field by itself was
// checked before.
import { initTimeoutSeconds } from "./fleet-settings.ts";
import { findPool, GPU_POOLS } from "./gpu-pools.ts";

/** The settings as they would be stored. */
export interface FleetFacts {
  readonly kind: "queue" | "load_balancer";
  readonly scaling: { readonly type: "QUEUE_DELAY" | "REQUEST_COUNT" };
  readonly workers: { readonly min: number; readonly max: number; readonly idleTimeout?: number | undefined };
  readonly gpu: {
    readonly pools: readonly string[];
    readonly excludedTypes?: readonly string[] | undefined;
    readonly allowedCudaVersions: readonly string[];
    readonly minCudaVersion: string | null;
  } | null;
  readonly cpu: readonly unknown[] | null;
  /** Seconds, as the two that follow; left out: the default, which is longer than any start may take. */
  readonly workerLifetime?: number | undefined;
  readonly initTimeout?: number | undefined;
  readonly initTimeoutOfEnv?: number | null | undefined;
}

export interface SettingProblem {
  readonly field: string;
  readonly message: string;
}

/** The first rule that is broken; null: none is. `needsHardware`: RunPod wants a GPU or a CPU of each endpoint. */
export function fleetProblem(fleet: FleetFacts, needsHardware: boolean): SettingProblem | null {
  const { kind, scaling, workers, gpu, cpu } = fleet;
  if (gpu !== null && cpu !== null) return problem("gpu", "gpu and cpu exclude each other");
  if (needsHardware && gpu === null && cpu === null) return problem("gpu", "one of gpu and cpu is required");
  if (kind === "load_balancer" && scaling.type !== "REQUEST_COUNT") {
    return problem("scaling.type", "must be REQUEST_COUNT where requests are load-balanced");
  }
  if (workers.min > workers.max) return problem("workers.min", "must not be over workers.max");
  if (isIdleTimeoutUnused(fleet) && workers.idleTimeout !== undefined) {
    return problem("workers.idleTimeout", "has no meaning for an endpoint of type QUEUE that scales by REQUEST_COUNT");
  }
  const initTimeout = initTimeoutSeconds(fleet);
  if (fleet.workerLifetime !== undefined && fleet.workerLifetime <= initTimeout) {
    const message = `must be longer than a worker may take to start: ${initTimeout} s (initTimeout, or RUNPOD_INIT_TIMEOUT in env)`;
    return problem("workerLifetime", message);
  }
  return gpu === null ? null : gpuProblem(gpu);
}

/** RunPod refuses the idle timeout in requests and leaves it out of answers for this combination. */
export function isIdleTimeoutUnused({ kind, scaling }: Pick<FleetFacts, "kind" | "scaling">): boolean {
  return kind === "queue" && scaling.type === "REQUEST_COUNT";
}

function gpuProblem(gpu: NonNullable<FleetFacts["gpu"]>): SettingProblem | null {
  const { pools, excludedTypes = [], allowedCudaVersions, minCudaVersion } = gpu;
  if (pools.length === 0) return problem("gpu.pools", "is required where a GPU is chosen for the first time");
  const unknownPool = pools.find((id) => findPool(id) === null);
  if (unknownPool !== undefined) {
    const known = GPU_POOLS.map(({ id }) => id).join(", ");
    return problem("gpu.pools", `there is no pool ${unknownPool}; there are ${known}`);
  }
  const types = pools.flatMap((id) => findPool(id)?.types ?? []);
  const unknownType = excludedTypes.find((type) => !types.includes(type));
  if (unknownType !== undefined) {
    return problem("gpu.excludedTypes", `${unknownType} is not in these pools; they have ${types.join(", ")}`);
  }
  if (types.every((type) => excludedTypes.includes(type))) {
    return problem("gpu.excludedTypes", "leaves no GPU type");
  }
  if (allowedCudaVersions.length > 0 && minCudaVersion !== null) {
    return problem("gpu.minCudaVersion", "allowedCudaVersions and minCudaVersion exclude each other");
  }
  return null;
}

function problem(field: string, message: string): SettingProblem {
  return { field, message };
}
