// RunPod's catalogue as its management API shows it, and the questions that may be asked of it (its OpenAPI document 2.0.0).
import * as z from "zod";
import { cudaVersionSchema } from "./fleet.ts";

const availabilitySchema = z.enum(["NONE", "LOW", "MEDIUM", "HIGH"]);
export type Availability = z.infer<typeof availabilitySchema>;

const dataCenterAvailability = z.object({ id: z.string(), name: z.string(), availability: availabilitySchema });
const stock = {
  availability: availabilitySchema.optional(),
  dataCenters: z.array(dataCenterAvailability).optional(),
};

export const gpuTypeSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    pool: z.string().nullable(),
    manufacturer: z.enum(["NVIDIA", "AMD", "UNKNOWN"]),
    memory: z.int().meta({ description: "GB" }),
    secure: z.boolean().meta({ description: "Always false: there are no pods here" }),
    community: z.boolean().meta({ description: "Always false: there are no pods here" }),
    price: z.object({
      secure: z.number().meta({ description: "Always 0: there are no pods here" }),
      community: z.number().meta({ description: "Always 0: there are no pods here" }),
      serverless: z
        .number()
        .optional()
        .meta({ description: "USD per GPU-hour; absent where no tier has a price for it" }),
    }),
    maxCount: z.object({ secure: z.int(), community: z.int() }),
    ...stock,
  })
  .meta({ id: "GpuType" });
export type ShownGpuType = z.infer<typeof gpuTypeSchema>;

export const cpuTypeSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    group: z.string(),
    vcpu: z.object({ min: z.int(), max: z.int() }),
    ramGbPerVcpu: z.number(),
    price: z
      .object({ securePerVcpu: z.number(), serverlessPerVcpu: z.number() })
      .meta({ description: "Always 0: no tier has a price for a CPU, so work is billed by the tier of its worker" }),
    ...stock,
  })
  .meta({ id: "CpuType" });

export const dataCenterSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    region: z.literal("UNKNOWN"),
    globalNetwork: z.boolean(),
    networkVolumeTypes: z.array(z.string()),
    compliance: z.array(z.string()),
    gpuAvailability: z.array(dataCenterAvailability).optional(),
    cpuAvailability: z.array(dataCenterAvailability).optional(),
  })
  .meta({ id: "DataCenter" });

/** Values that stand in one parameter, with commas between them. */
function listOf<Item extends z.ZodType<unknown, string>>(item: Item, description: string) {
  return z
    .string()
    .min(1)
    .max(1_000)
    .transform((text) => text.split(","))
    .pipe(z.array(item))
    .optional()
    .meta({ description: `${description}, separated by commas` });
}

const AVAILABILITY = listOf(z.enum(["AVAILABILITY"]), "Needs `product` beside it");

export const gpuQuerySchema = z.strictObject({
  include: AVAILABILITY,
  product: listOf(z.enum(["POD", "CLUSTER", "SERVERLESS"]), "For what availability is asked"),
  count: z.coerce.number().int().min(1).max(1_000).optional(),
  cloud: z.enum(["SECURE", "COMMUNITY"]).optional(),
  countryCodes: listOf(z.string().regex(/^[A-Z]{2}$/, "must be two capital letters"), "Countries"),
  cudaVersions: listOf(cudaVersionSchema, "Versions of CUDA"),
  minCudaVersion: z
    .string()
    .regex(/^\d{1,4}(?:\.\d{1,4})?$/, "must be major or major.minor, such as 12.8")
    .optional(),
});
export type GpuQuery = z.infer<typeof gpuQuerySchema>;

export const cpuQuerySchema = z.strictObject({
  include: AVAILABILITY,
  product: listOf(z.enum(["POD", "SERVERLESS"]), "For what availability is asked"),
  vcpuCount: z.coerce
    .number()
    .int()
    .min(2)
    .max(1_024)
    .refine((count) => (count & (count - 1)) === 0, "must be a power of two")
    .optional(),
});
export type CpuQuery = z.infer<typeof cpuQuerySchema>;

const dataCenterInclude = listOf(z.enum(["GPU_AVAILABILITY", "CPU_AVAILABILITY"]), "What else is shown");
const REGIONS = [
  "NORTH_AMERICA",
  "SOUTH_AMERICA",
  "EUROPE",
  "ASIA",
  "MIDDLE_EAST",
  "AFRICA",
  "OCEANIA",
  "ANTARCTICA",
  "UNKNOWN",
] as const;
const COMPLIANCE = [
  "GDPR",
  "ISO_IEC_27001",
  "ISO_14001",
  "PCI_DSS",
  "HITRUST",
  "SOC_1_TYPE_2",
  "SOC_2_TYPE_2",
  "SOC_3_TYPE_2",
  "ITAR",
  "FISMA_HIGH",
  "HIPAA",
  "RENEWABLE",
] as const;

export const dataCenterQuerySchema = z.strictObject({ include: dataCenterInclude });
export const dataCentersQuerySchema = z.strictObject({
  include: dataCenterInclude,
  regions: listOf(z.enum(REGIONS), "Any of these regions"),
  networkVolumeTypes: listOf(z.enum(["STANDARD", "HIGH_PERFORMANCE"]), "All of these kinds of volumes"),
  compliance: listOf(z.enum(COMPLIANCE), "All of these certifications"),
  globalNetwork: z.enum(["true", "false"]).optional(),
});
export type DataCentersQuery = z.infer<typeof dataCentersQuerySchema>;
