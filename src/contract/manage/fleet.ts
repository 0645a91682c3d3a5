// What the workers of an endpoint are started with, and how many there are: RunPod's fields and rules
// (its OpenAPI document 2.0.0, reference of `CreateEndpointRequest`), and what a fleet has beyond them (endpoint.ts).
import * as z from "zod";
import { storedScheduleSchema } from "./schedule.ts";

/** The longest text of a setting; an image reference or a command line is far shorter. */
const TEXT_MAX_CHARS = 4_096;
/** Lists of a request, such as ports or pools. */
const LIST_MAX = 100;
const ENV_VARIABLES_MAX = 500;
/** Of all names and values: Linux takes 128 KiB for one of them, and containers pass them on a command line. */
const ENV_MAX_CHARS = 65_536;

const text = z.string().min(1).max(TEXT_MAX_CHARS);
const ids = z.array(text.max(200)).max(LIST_MAX);
export const cudaVersionSchema = z.string().regex(/^\d{1,4}\.\d{1,4}$/, "must be major.minor, such as 12.8");

/** The environment of workers. Names are those that every shell and container engine takes. */
export const envSchema = z
  .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,254}$/, "must be the name of a variable"), z.string())
  .refine((env) => Object.keys(env).length <= ENV_VARIABLES_MAX, `may have at most ${ENV_VARIABLES_MAX} variables`)
  .refine(
    (env) => Object.entries(env).reduce((sum, [name, value]) => sum + name.length + value.length, 0) <= ENV_MAX_CHARS,
    `may have at most ${ENV_MAX_CHARS} characters in all`,
  )
  .meta({
    description: "Environment variables of the workers. Sealed at rest, and shown to keys with the scope manage alone",
  });
export type WorkerEnv = z.infer<typeof envSchema>;

const GIVEN =
  "Whoever may change the endpoint's image can use what this opens: an operator gives an endpoint only what is its tenant's";

/** Fields of a container that an endpoint and a template share. */
export const containerShape = {
  image: text.optional().meta({ description: "Docker image reference", examples: ["my-org/worker:1.2"] }),
  args: z
    .string()
    .max(TEXT_MAX_CHARS)
    .optional()
    .meta({ description: "Arguments passed to the container's entrypoint" }),
  disk: z.int().min(1).max(100_000).optional().meta({ description: "Container disk in GB" }),
  ports: z
    .array(z.string().regex(/^\d{1,5}\/(?:http|tcp|udp)$/, "must be port/protocol, such as 8888/http"))
    .max(LIST_MAX)
    .optional()
    .meta({ description: "Exposed ports, as port/protocol" }),
  registry: text
    .max(200)
    .nullable()
    .optional()
    .meta({
      description: `Id of a registry credential of the account that pays for the machines. ${GIVEN}`,
    }),
  env: envSchema.optional(),
};

const pools = z.array(text.max(100)).min(1).max(LIST_MAX).meta({ description: "GPU pool ids, as in the catalogue" });
const excludedTypes = z
  .array(
    z
      .string()
      .max(200)
      .regex(/^\s*[^-\s]/, "must be a GPU type id without a leading -")
      .transform((type) => type.trim()),
  )
  .max(LIST_MAX)
  .refine((types) => new Set(types).size === types.length, "may name each type once")
  .meta({ description: "GPU type ids to leave out of the pools" });
const count = z.int().min(1).max(1_000);
export const cudaVersionsSchema = z.array(cudaVersionSchema).max(LIST_MAX);

export const createGpuSchema = z.strictObject({
  pools,
  excludedTypes: excludedTypes.optional(),
  count: count.default(1).meta({ description: "GPUs of each worker" }),
  allowedCudaVersions: cudaVersionsSchema.optional(),
  minCudaVersion: cudaVersionSchema.optional(),
});

/** A member that is left out stays; `allowedCudaVersions: []` and `minCudaVersion: ""` clear. */
export const patchGpuSchema = z
  .strictObject({
    pools: pools.optional(),
    excludedTypes: excludedTypes.optional(),
    count: count.optional(),
    allowedCudaVersions: cudaVersionsSchema.optional(),
    minCudaVersion: z.union([z.literal(""), cudaVersionSchema]).optional(),
  })
  .refine((gpu) => gpu.excludedTypes === undefined || gpu.pools !== undefined, {
    path: ["excludedTypes"],
    error: "needs gpu.pools beside it: the two are one selection",
  });
export type GpuPatch = z.infer<typeof patchGpuSchema>;

export const storedGpuSchema = z.object({
  pools: z.array(z.string()),
  excludedTypes: z.array(z.string()).optional(),
  count: z.int(),
  allowedCudaVersions: z.array(z.string()),
  minCudaVersion: z.string().nullable(),
});

export const cpuSchema = z
  .array(
    z.strictObject({
      id: text.max(100),
      vcpuCount: z
        .int()
        .min(2)
        .max(1_024)
        .refine((vcpus) => (vcpus & (vcpus - 1)) === 0, "must be a power of two"),
    }),
  )
  .min(1)
  .max(LIST_MAX)
  .refine((all) => new Set(all.map((one) => `${one.id} ${one.vcpuCount}`)).size === all.length, "may name each once");

export const workersShape = {
  min: z.int().min(0).max(10_000),
  max: z.int().min(0).max(10_000),
  idleTimeout: z.int().min(1).max(3_600).meta({ description: "Seconds before an idle worker ends" }),
};

export const scalingSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("QUEUE_DELAY"), queueDelay: z.number().min(0.5).max(86_400) }),
  z.strictObject({ type: z.literal("REQUEST_COUNT"), requestCount: z.int().min(1).max(1_000_000) }),
]);

export const flashbootSchema = z.enum(["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]);
export const idListSchema = ids;
export const networkVolumesSchema = ids.meta({
  description: `Ids of network volumes of the account that pays for the machines. ${GIVEN}`,
});

/**
 * The settings as they are stored, without the environment. The defaults are those of an endpoint that was made before there were
 * any, and of one that is made under /v1: what RunPod's guide promises (FlashBoot on, idle for 5 s, scaled by a delay of 4 s).
 */
export const fleetSchema = z.object({
  image: z.string().optional(),
  args: z.string().optional(),
  disk: z.int().optional(),
  ports: z.array(z.string()).optional(),
  registry: z.string().nullable().optional(),
  gpu: storedGpuSchema.nullable().default(null),
  cpu: z
    .array(z.object({ id: z.string(), vcpuCount: z.int() }))
    .nullable()
    .default(null),
  workers: z
    .object({
      min: z.int().default(0),
      max: z.int().default(3),
      idleTimeout: z.int().optional(),
      slots: z.int().default(1),
    })
    .default({ min: 0, max: 3, slots: 1 }),
  scaling: scalingSchema.default({ type: "QUEUE_DELAY", queueDelay: 4 }),
  flashboot: flashbootSchema.default("FLASHBOOT"),
  dataCenterIds: z.array(z.string()).default([]),
  networkVolumes: z.array(z.string()).default([]),
  /** Ids of providers; null: the default ones of its tenant. */
  providers: z.array(z.string()).nullable().default(null),
  schedule: storedScheduleSchema.nullable().default(null),
  ceilingNanodollarsPerHour: z.int().nullable().default(null),
  /** Seconds. */
  initTimeout: z.int().optional(),
  /** What the sealed environment says of it, for those who cannot open it (core/manage/fleet-settings.ts). */
  initTimeoutOfEnv: z.int().nullable().default(null),
  /** Seconds. */
  workerLifetime: z.int().optional(),
});
export type Fleet = z.infer<typeof fleetSchema>;
