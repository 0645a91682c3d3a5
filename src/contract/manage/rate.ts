// GPU types and their prices, as /v1 shows and takes them. Money is exact: whole nano-dollars, and decimal texts beside them.
import * as z from "zod";
import { RATE_KINDS } from "../../core/job/pricing.ts";
import { NANODOLLARS_PER_SECOND_MAX } from "../../core/manage/limits.ts";
import { dollarsSchema } from "./dollars.ts";
import { givenTimeSchema } from "./time.ts";

const kind = z.enum(RATE_KINDS);
const nanodollars = z.int().min(0).max(NANODOLLARS_PER_SECOND_MAX);

export const createRateSchema = z
  .strictObject({
    tier: z.string().min(1).max(100).meta({ description: "Id of a GPU type" }),
    kind,
    nanodollarsPerSecond: nanodollars.optional(),
    dollarsPerSecond: dollarsSchema(NANODOLLARS_PER_SECOND_MAX)
      .optional()
      .meta({ description: "The same as text", examples: ["0.00016"] }),
    effectiveFrom: givenTimeSchema.optional().meta({ description: "At least 10 min ahead; 11 min ahead unless given" }),
  })
  .refine(
    ({ nanodollarsPerSecond, dollarsPerSecond }) =>
      (nanodollarsPerSecond === undefined) !== (dollarsPerSecond === undefined),
    {
      path: ["nanodollarsPerSecond"],
      error: "or dollarsPerSecond is required, and not both",
    },
  )
  .meta({ id: "NewRate" });
export type CreateRate = z.infer<typeof createRateSchema>;

/** A price, exactly. */
export const priceShape = {
  nanodollarsPerSecond: z.int(),
  dollarsPerSecond: z.string().meta({ description: "Exact, with nine decimals" }),
  dollarsPerHour: z.string().meta({ description: "Exact, with nine decimals" }),
};
const rateShape = { tier: z.string(), kind, ...priceShape, effectiveFrom: z.iso.datetime() };
export const rateSchema = z.object(rateShape).meta({ id: "Rate" });
export type ShownRate = z.infer<typeof rateSchema>;
export const createdRateSchema = z
  .object({
    ...rateShape,
    applied: z.boolean().meta({
      description: "Every broker has it already; false: those of its tier get it before it begins",
    }),
  })
  .meta({ id: "CreatedRate" });

export const gpuTypeSchema = z
  .object({
    id: z.string(),
    title: z.string(),
    vramGb: z.int(),
    runpodPools: z
      .array(z.object({ id: z.string(), types: z.array(z.string()) }))
      .meta({ description: "RunPod's pools whose work is billed by this type, with their GPU type ids" }),
    flex: z.object(priceShape).nullable(),
    active: z.object(priceShape).nullable(),
    announced: z.array(rateSchema).meta({ description: "Prices that begin later, the next one first" }),
  })
  .meta({ id: "PricedGpuType" });
export type ShownGpuType = z.infer<typeof gpuTypeSchema>;
