// Templates: presets of what workers are started with, as RunPod's management API shows and takes them (its OpenAPI document 2.0.0).
import * as z from "zod";
import { containerShape, cudaVersionsSchema } from "./fleet.ts";
import { nameSchema } from "./runpod-endpoint.ts";

/** Gigabytes of a new template's container disk: what RunPod's Python package asks for unless it is told another size. */
const DISK_DEFAULT_GB = 10;
/** RunPod's least size of a persistent mount. */
const MOUNT_MIN_GB = 10;

const mountsSchema = z
  .strictObject({
    persistent: z
      .strictObject({ size: z.int().min(MOUNT_MIN_GB).max(100_000), path: z.string().min(1).max(1_000) })
      .optional(),
  })
  .meta({ description: "Kept and given back: endpoints have no mounts" });
const categorySchema = z.enum(["CPU", "NVIDIA", "AMD"]).meta({ description: "For display alone" });
const switches = {
  serverless: z.boolean().meta({ description: "For endpoints; a template of pods (false) cannot be given to one" }),
  public: z
    .boolean()
    .meta({ description: "Every tenant may read it, its environment included, and give it to endpoints" }),
  startSsh: z.boolean().meta({ description: "Kept and given back" }),
  startJupyter: z.boolean().meta({ description: "Kept and given back" }),
};

export const createTemplateSchema = z
  .strictObject({
    ...containerShape,
    name: nameSchema,
    image: containerShape.image.unwrap(),
    disk: containerShape.disk.unwrap().default(DISK_DEFAULT_GB),
    mounts: mountsSchema.default({}),
    category: categorySchema.default("NVIDIA"),
    serverless: switches.serverless.default(false),
    public: switches.public.default(false),
    startSsh: switches.startSsh.default(true),
    startJupyter: switches.startJupyter.default(true),
    allowedCudaVersions: cudaVersionsSchema.default([]),
  })
  .meta({ id: "CreateTemplateRequest" });
export type CreateTemplate = z.infer<typeof createTemplateSchema>;

export const patchTemplateSchema = z
  .strictObject({
    ...containerShape,
    name: nameSchema.optional(),
    mounts: mountsSchema.optional(),
    category: categorySchema.optional(),
    serverless: switches.serverless.optional(),
    public: switches.public.optional(),
    startSsh: switches.startSsh.optional(),
    startJupyter: switches.startJupyter.optional(),
    allowedCudaVersions: cudaVersionsSchema.optional(),
  })
  .meta({ id: "UpdateTemplateRequest" });
export type PatchTemplate = z.infer<typeof patchTemplateSchema>;

const settingsShape = {
  image: z.string(),
  args: z.string(),
  disk: z.int(),
  ports: z.array(z.string()),
  registry: z.string().nullable(),
  mounts: z.object({ persistent: z.object({ size: z.int(), path: z.string() }).optional() }),
  category: categorySchema,
  ...switches,
  allowedCudaVersions: z.array(z.string()),
};

/** A template as it is stored. Its environment is sealed apart. */
export const managedTemplateSchema = z.object({
  id: z.string(),
  tenantId: z.string(),
  name: z.string(),
  settings: z.object(settingsShape),
  sealedEnv: z.string().nullable(),
  version: z.int(),
  createdAtMs: z.int(),
});
export type ManagedTemplate = z.infer<typeof managedTemplateSchema>;
export type TemplateSettings = ManagedTemplate["settings"];

export const templateSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    ...settingsShape,
    env: z.record(z.string(), z.string()).optional(),
  })
  .meta({ id: "Template" });
export type ShownTemplate = z.infer<typeof templateSchema>;
