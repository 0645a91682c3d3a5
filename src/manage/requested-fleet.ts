// The settings of workers that a request asks for, as they are stored: for RunPod's plane and for ours alike.
import type { Fleet, GpuPatch } from "../contract/manage/fleet.ts";
import { POLICY_MAX_MS } from "../core/limits.ts";
import { patchGpu } from "../core/manage/fleet-change.ts";

type Optional<T> = { readonly [Name in keyof T]?: T[Name] | undefined };

/** What a template gives to an endpoint. */
export interface TemplateFields {
  readonly image: string;
  readonly args: string;
  readonly disk: number;
  readonly ports: readonly string[];
  readonly registry: string | null;
  readonly allowedCudaVersions: readonly string[];
}

/** The fields of a request that are settings of workers. */
export interface RequestedFleet extends Optional<Omit<Fleet, "gpu" | "cpu" | "workers" | "initTimeoutOfEnv">> {
  readonly gpu?: GpuPatch | undefined;
  readonly cpu?: NonNullable<Fleet["cpu"]> | undefined;
  readonly workers?: Optional<Fleet["workers"]> | undefined;
}

/** What the settings become by a request: a field that is left out stays. */
export function patchFleet(now: Fleet, fields: RequestedFleet): Fleet {
  const { gpu, workers, cpu } = fields;
  const idleTimeout = workers?.idleTimeout ?? now.workers.idleTimeout;
  return {
    image: fields.image ?? now.image,
    args: fields.args ?? now.args,
    disk: fields.disk ?? now.disk,
    ports: fields.ports ?? now.ports,
    registry: fields.registry === undefined ? now.registry : fields.registry,
    gpu: gpu === undefined ? now.gpu : patchGpu(now.gpu, gpu),
    cpu: cpu ?? now.cpu,
    workers: {
      min: workers?.min ?? now.workers.min,
      max: workers?.max ?? now.workers.max,
      ...(idleTimeout === undefined ? {} : { idleTimeout }),
      slots: workers?.slots ?? now.workers.slots,
    },
    scaling: fields.scaling ?? now.scaling,
    flashboot: fields.flashboot ?? now.flashboot,
    dataCenterIds: fields.dataCenterIds ?? now.dataCenterIds,
    networkVolumes: fields.networkVolumes ?? now.networkVolumes,
    providers: fields.providers === undefined ? now.providers : fields.providers,
    schedule: fields.schedule === undefined ? now.schedule : fields.schedule,
    ceilingNanodollarsPerHour:
      fields.ceilingNanodollarsPerHour === undefined ? now.ceilingNanodollarsPerHour : fields.ceilingNanodollarsPerHour,
    initTimeout: fields.initTimeout ?? now.initTimeout,
    initTimeoutOfEnv: now.initTimeoutOfEnv,
    workerLifetime: fields.workerLifetime ?? now.workerLifetime,
  };
}

/**
 * The fields of a request with those of a template beneath them: what the request names itself wins. The template's CUDA versions
 * stand in for those of the request, and take the place of a least version that the endpoint has had for another image.
 */
export function overTemplate(
  template: TemplateFields | null,
  fields: RequestedFleet,
  gpuNow: Fleet["gpu"],
): RequestedFleet {
  if (template === null) return fields;
  const { image, args, disk, ports, registry, allowedCudaVersions } = template;
  const { gpu } = fields;
  const namesCuda = gpu?.allowedCudaVersions !== undefined || gpu?.minCudaVersion !== undefined;
  const takesCuda = allowedCudaVersions.length > 0 && !namesCuda && (gpu !== undefined || gpuNow !== null);
  const cuda = { allowedCudaVersions: [...allowedCudaVersions], minCudaVersion: "" };
  return {
    ...fields,
    image: fields.image ?? image,
    args: fields.args ?? args,
    disk: fields.disk ?? disk,
    ports: fields.ports ?? [...ports],
    registry: fields.registry === undefined ? registry : fields.registry,
    gpu: takesCuda ? { ...gpu, ...cuda } : gpu,
  };
}

/** The execution limit that a request asks for: 0 is the longest that a job may have. */
export function toTimeoutMs(timeout: number): number {
  return timeout === 0 ? POLICY_MAX_MS : timeout;
}
