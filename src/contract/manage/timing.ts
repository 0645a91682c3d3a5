// How long an endpoint's jobs wait and run and its machines start, as /v1 shows it.
import * as z from "zod";
import { TIMES_KEPT } from "../../core/limits.ts";

const percentiles = z.object({ p50: z.int(), p90: z.int(), p99: z.int() }).nullable().meta({
  id: "Percentiles",
  description: "Milliseconds that 50, 90 and 99 of 100 do not exceed; null: there are none",
});

const jobTimingSchema = z
  .object({
    jobs: z.int().meta({ description: `Those that the figures are of, ${TIMES_KEPT} at most` }),
    since: z.int().nullable().meta({ description: "When the oldest of them finished, milliseconds since 1970" }),
    waitMs: percentiles.meta({ description: "From when a job was queued to the start of its last attempt" }),
    executionMs: percentiles.meta({ description: "On a worker, in the last attempt" }),
  })
  .meta({ id: "JobTiming" });

const startTimingSchema = z
  .object({
    count: z.int().meta({ description: `Starts that the figures are of, ${TIMES_KEPT} at most` }),
    since: z.int().nullable().meta({ description: "When the oldest of them was done, milliseconds since 1970" }),
    startMs: percentiles.meta({
      description: "From when a machine was to be created or started to the first time that its worker asked for a job",
    }),
  })
  .meta({ id: "StartTiming" });

export const timingSchema = z
  .object({
    warm: jobTimingSchema.meta({ description: "Of jobs for which a worker was there" }),
    cold: jobTimingSchema.meta({
      description:
        "Of jobs that have waited for a start: the machine that ran them became ready after they were queued",
    }),
    starts: z.object({
      created: startTimingSchema.meta({ description: "Of machines that were created" }),
      resumed: startTimingSchema.meta({ description: "Of machines that were stopped, and started again (FlashBoot)" }),
    }),
  })
  .meta({ id: "Timing" });
