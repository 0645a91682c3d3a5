// Advice on GPUs and workers, as /v1 gives it.
import * as z from "zod";
import { priceShape } from "./rate.ts";

/** 7000000000, 7e9, 7B or 350M. */
const parameters = z
  .string()
  .regex(/^\d{1,15}(?:\.\d{1,6})?(?:e\d{1,2}|[MBT])?$/i, "must be a number such as 7e9, 7B or 350M")
  .transform(toNumber)
  .refine((count) => count >= 1e6 && count <= 1e14, "must be from 1 million to 100 trillion")
  .meta({ description: "Parameters of the model: 70e9, 70B or 350M", examples: ["70e9"] });
const UNITS: Readonly<Record<string, number>> = { m: 1e6, b: 1e9, t: 1e12 };

function toNumber(text: string): number {
  const unit = UNITS[text.at(-1)?.toLowerCase() ?? ""];
  return unit === undefined ? Number(text) : Number(text.slice(0, -1)) * unit;
}

const positive = z.coerce.number().positive();
const slots = z.coerce.number().int().min(1).max(4_096);

export const recommendQuerySchema = z.strictObject({
  parameters,
  bits: z.coerce
    .number()
    .min(1)
    .max(64)
    .default(16)
    .meta({ description: "Bits of a parameter in memory: 16, or 8 or 4 if it is quantised" }),
  context: z.coerce
    .number()
    .int()
    .min(1)
    .max(100_000_000)
    .optional()
    .meta({ description: "Tokens of one request and its answer; without it the cache is left out" }),
  batch: slots.default(1).meta({ description: "Requests that a worker runs at once" }),
});

const optionSchema = z
  .object({
    gpuType: z.string(),
    title: z.string(),
    vramGb: z.int(),
    gpus: z.int().meta({ description: "GPUs of one worker" }),
    flex: z.object(priceShape).nullable().meta({ description: "Of all GPUs of a worker" }),
    active: z.object(priceShape).nullable().meta({ description: "The same for an active worker" }),
  })
  .meta({ id: "GpuOption" });
export type ShownOption = z.infer<typeof optionSchema>;

export const recommendationSchema = z
  .object({
    weightsGb: z.number(),
    cacheGb: z.number(),
    totalGb: z.number(),
    recommended: optionSchema.nullable().meta({ description: "null: no GPU type is large enough" }),
    others: z.array(optionSchema).meta({ description: "All others that hold the model" }),
    reasoning: z.array(z.string()),
  })
  .meta({ id: "GpuRecommendation" });

export const activeWorkersQuerySchema = z.strictObject({
  requestsPerMinute: positive.max(1_000_000).optional().meta({ description: "Those of the last hour unless given" }),
  seconds: positive
    .max(604_800)
    .optional()
    .meta({ description: "Mean time of a request on a worker; that of the last hour unless given" }),
  slots: slots.default(1).meta({ description: "Requests that a worker runs at once" }),
});

export const activeWorkersSchema = z
  .object({
    activeWorkers: z.int(),
    busy: z.number().meta({ description: "Workers that are busy on average" }),
    requestsPerMinute: z.number(),
    seconds: z.number(),
    slots: z.int(),
    jobsInLastHour: z
      .int()
      .nullable()
      .meta({ description: "Billed attempts of the endpoint's tenant that the numbers are of; null: all were given" }),
    reasoning: z.array(z.string()),
  })
  .meta({ id: "ActiveWorkers" });
