// Lists of an endpoint's jobs as /v1 shows them, and changes of many jobs.
import * as z from "zod";
import { FAILURE_CODES, type FailureCode } from "../../core/job/failure.ts";
import { metadataProblem } from "../../core/job/metadata.ts";
import { JOBS_LISTED_MAX } from "../../core/limits.ts";
import { paginationSchema, stepCursorSchema } from "./page.ts";

const STATUSES = ["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED"] as const;
const statusSchema = z.enum([...STATUSES, "TIMED_OUT"]);

const timeSchema = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));
const errorCodeSchema = z
  .string()
  .refine((code): code is FailureCode => FAILURE_CODES.some((known) => known === code), {
    error: `must be one of ${FAILURE_CODES.join(", ")}`,
  });
const metadataSchema = z
  .record(z.string(), z.string())
  .refine((pairs) => metadataProblem(JSON.stringify(pairs)) === null, {
    error: "must be at most 16 pairs and 1 KB, with names of 1 to 64 characters",
  });

const filterShape = {
  from: timeSchema.optional().meta({ description: "Jobs that came at this time or later, RFC 3339" }),
  to: timeSchema.optional().meta({ description: "Jobs that came before this time, RFC 3339" }),
  errorCode: errorCodeSchema.optional().meta({ description: "FAILED jobs with this code (docs/failures.md)" }),
  metadata: metadataSchema.optional().meta({ description: "Jobs that have all of these tags" }),
};

/** Filters of a list, in its query: `?status=FAILED,CANCELLED&metadata[customer]=42`. */
export const jobQueryShape = {
  ...filterShape,
  status: z
    .string()
    .transform((text) => text.split(","))
    .pipe(z.array(z.enum(STATUSES)).min(1).max(STATUSES.length))
    .optional()
    .meta({ description: `Any of these statuses, apart by commas: ${STATUSES.join(", ")}` }),
};

/** Which jobs a change is about; without a filter all that can be changed. */
export const jobChangeSchema = z
  .strictObject({
    ...filterShape,
    status: z.array(z.enum(STATUSES)).min(1).max(STATUSES.length).optional(),
    cursor: stepCursorSchema,
    limit: z
      .int()
      .min(1)
      .max(JOBS_LISTED_MAX)
      .default(JOBS_LISTED_MAX)
      .meta({ description: "Jobs that one step changes at most" }),
  })
  .meta({ id: "JobChange" });
export type JobChange = z.infer<typeof jobChangeSchema>;

export const jobSummarySchema = z
  .object({
    id: z.string(),
    status: statusSchema,
    createdAt: z.iso.datetime(),
    queuedAt: z.iso.datetime(),
    finishedAt: z.iso.datetime().nullable(),
    expiresAt: z.iso.datetime().nullable(),
    delayTime: z.int().nullable().meta({ description: "ms from the queue to the first start" }),
    executionTime: z.int().nullable().meta({ description: "ms" }),
    workerId: z.string().nullable(),
    attempts: z.int(),
    retries: z.int(),
    failure: z.object({ code: z.string(), message: z.string() }).nullable(),
    metadata: z.record(z.string(), z.string()).nullable(),
    webhook: z.object({ tries: z.int(), dead: z.boolean() }).nullable(),
  })
  .meta({ id: "JobSummary" });
export type ShownJobSummary = z.infer<typeof jobSummarySchema>;

export const jobChangesSchema = z
  .object({
    changed: z.int(),
    refused: z.int().meta({ description: "Jobs that match and that a limit keeps from being retried" }),
    refusal: z.string().nullable().meta({ description: "The first reason" }),
    scanned: z.int(),
    pagination: paginationSchema,
  })
  .meta({ id: "JobChanges" });
