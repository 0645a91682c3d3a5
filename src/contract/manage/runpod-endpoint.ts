// Endpoints as RunPod's management API shows and takes them (its OpenAPI document 2.0.0).
import * as z from "zod";
import { EXECUTION_TIMEOUT_MIN_MS, POLICY_MAX_MS } from "../../core/limits.ts";
import {
  containerShape,
  cpuSchema,
  createGpuSchema,
  flashbootSchema,
  idListSchema,
  networkVolumesSchema,
  patchGpuSchema,
  scalingSchema,
  storedGpuSchema,
  workersShape,
} from "./fleet.ts";

/** RunPod's default; an endpoint that is made under /v1 gets 600 s. */
const RUNPOD_TIMEOUT_DEFAULT_MS = 300_000;
export const RUNPOD_IDLE_DEFAULT_SECONDS = 10;

export const nameSchema = z.string().min(1).max(200).meta({ description: "A name for people; it need not be unique" });
export const endpointTypeSchema = z.enum(["QUEUE", "LOAD_BALANCER"]);

/** RunPod's newer client sends 0 for no limit, which here is the longest time that a job may have. */
export const timeoutSchema = z
  .union([z.literal(0), z.int().min(EXECUTION_TIMEOUT_MIN_MS).max(POLICY_MAX_MS)], {
    error: `must be 0 or an integer from ${EXECUTION_TIMEOUT_MIN_MS} to ${POLICY_MAX_MS} (milliseconds)`,
  })
  .meta({ description: "Execution limit of a job in ms; 0: the longest there is" });

const { min, max, idleTimeout } = workersShape;
/** How many workers a request asks for; ours may say more of them. */
export const patchWorkersShape = { min: min.optional(), max: max.optional(), idleTimeout: idleTimeout.optional() };
const patchWorkersSchema = z.strictObject(patchWorkersShape);

/** What a request of either plane may say of workers. A GPU is chosen in one form by a creation and in another by a change. */
export const workersRequestShape = {
  ...containerShape,
  cpu: cpuSchema.optional(),
  dataCenterIds: idListSchema.optional(),
  networkVolumes: networkVolumesSchema.optional(),
  templateId: z.string().min(1).max(200).optional(),
  workers: patchWorkersSchema.optional(),
  scaling: scalingSchema.optional(),
  flashboot: flashbootSchema.optional(),
};

export const createRunPodEndpointSchema = z
  .strictObject({
    ...workersRequestShape,
    name: nameSchema,
    type: endpointTypeSchema,
    scaling: scalingSchema,
    gpu: createGpuSchema.optional(),
    workers: patchWorkersSchema.default({}),
    timeout: timeoutSchema.default(RUNPOD_TIMEOUT_DEFAULT_MS),
    flashboot: flashbootSchema.default("OFF"),
  })
  .refine(({ image, templateId }) => image !== undefined || templateId !== undefined, {
    path: ["image"],
    error: "is required where there is no templateId",
  })
  .meta({ id: "CreateEndpointRequest" });
export type CreateRunPodEndpoint = z.infer<typeof createRunPodEndpointSchema>;

export const patchRunPodEndpointSchema = z
  .strictObject({
    ...workersRequestShape,
    name: nameSchema.optional(),
    gpu: patchGpuSchema.optional(),
    timeout: timeoutSchema.optional(),
  })
  .meta({ id: "UpdateEndpointRequest" });
export type PatchRunPodEndpoint = z.infer<typeof patchRunPodEndpointSchema>;

const url = z.string();
const requestUrlsSchema = z.union([
  z.object({
    run: url,
    runSync: url,
    status: url,
    stream: url,
    cancel: url,
    retry: url,
    purgeQueue: url,
    health: url,
  }),
  z.object({ base: url, health: url }),
]);

export const shownWorkersSchema = z.object({ min: z.int(), max: z.int(), idleTimeout: z.int().optional() });

/** The fields of an answer; ours have some more (endpoint.ts). */
export const runPodEndpointShape = {
  id: z.string(),
  name: z.string(),
  type: endpointTypeSchema,
  requestUrls: requestUrlsSchema,
  image: z.string().optional(),
  args: z.string().optional(),
  disk: z.int().optional(),
  ports: z.array(z.string()).optional(),
  registry: z.string().nullable().optional(),
  env: z.record(z.string(), z.string()).optional(),
  gpu: storedGpuSchema.nullable(),
  cpu: z.array(z.object({ id: z.string(), vcpuCount: z.int(), memory: z.int() })).optional(),
  workers: shownWorkersSchema,
  scaling: scalingSchema,
  dataCenterIds: z.array(z.string()),
  networkVolumes: z.array(z.string()),
  timeout: z.int(),
  flashboot: flashbootSchema,
  createdAt: z.iso.datetime(),
};
export const runPodEndpointSchema = z.object(runPodEndpointShape).meta({ id: "Endpoint" });
export type RunPodEndpoint = z.infer<typeof runPodEndpointSchema>;
