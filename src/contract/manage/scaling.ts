// Why an endpoint has as many workers as it has, and the request for workers ahead of jobs, as /v1 shows and takes them.
import * as z from "zod";
import { WARM_DEFAULT_SECONDS, WARM_MAX_SECONDS } from "../../core/fleet/limits.ts";
import { SCALING_REASONS } from "../../core/fleet/scaler.ts";

export const shownDecisionSchema = z
  .object({
    number: z.int().meta({ description: "Counts the decisions of the endpoint" }),
    at: z.int().meta({ description: "Milliseconds since 1970" }),
    from: z.int().meta({ description: "Workers that were wanted before" }),
    to: z.int().meta({ description: "Workers that are wanted since" }),
    reason: z.enum(SCALING_REASONS),
    inputs: z.record(z.string(), z.number()).meta({
      description:
        "What it was made of: jobs that wait (waiting), those of them that wait too long (overdue), jobs on the fleet's workers (running), free slots of others (spareSlots), the bounds (min, max), and machines (ready, starting)",
    }),
  })
  .meta({ id: "ScalingDecision" });

export const prewarmSchema = z
  .strictObject({
    workers: z.int().min(0).max(10_000).meta({ description: "So many are to be there; 0 ends an earlier request" }),
    seconds: z
      .int()
      .min(1)
      .max(WARM_MAX_SECONDS)
      .default(WARM_DEFAULT_SECONDS)
      .meta({ description: "For so long, whatever the jobs need" }),
  })
  .meta({ id: "Prewarm" });
export type Prewarm = z.infer<typeof prewarmSchema>;

export const prewarmedSchema = z
  .object({
    wanted: z.int().meta({ description: "Workers that are wanted now: at most workers.max" }),
    until: z.int().meta({ description: "Milliseconds since 1970" }),
  })
  .meta({ id: "Prewarmed" });
