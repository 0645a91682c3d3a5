// What clients of jobs and workers get and send, for the OpenAPI document. The edge splices these bodies out of raw bytes and does
// not check them by these schemas; test/http/openapi/answers.test.ts does.
import * as z from "zod";
import { jobRequestSchema } from "./job-request.ts";
import { jobStatusSchema, queueSchema } from "./manage/job.ts";

/** The body of /run and /runsync. */
export const submitSchema = z
  .looseObject({
    input: z.unknown().meta({ description: "What the handler gets: any JSON" }),
    ...jobRequestSchema.shape,
  })
  .meta({ id: "JobRequest", description: "Fields that are not listed reach the worker as they come" });

export const acceptedSchema = z.object({ id: z.string(), status: jobStatusSchema }).meta({ id: "AcceptedJob" });

export const jobSchema = z
  .object({
    delayTime: z.int().optional().meta({ description: "Milliseconds in the queue" }),
    error: z.string().optional(),
    executionTime: z.int().optional().meta({ description: "Milliseconds on a worker" }),
    id: z.string(),
    output: z.unknown().optional().meta({ description: "What the handler returned: any JSON" }),
    queue: queueSchema.optional(),
    retries: z.int().optional(),
    status: jobStatusSchema,
    workerId: z.string().optional(),
  })
  .meta({ id: "Job" });

export const jobListSchema = z.object({ requests: z.array(jobSchema) });

export const streamPageSchema = z
  .object({
    id: z.string(),
    status: jobStatusSchema,
    error: z.string().optional(),
    stream: z.array(z.object({ output: z.unknown() })),
  })
  .meta({ id: "StreamPage" });

export const purgedSchema = z.object({ removed: z.int(), status: z.literal("completed") });

export const healthSchema = z
  .object({
    jobs: z.object({
      completed: z.int(),
      failed: z.int(),
      inProgress: z.int(),
      inQueue: z.int(),
      retried: z.int(),
    }),
    workers: z.object({
      idle: z.int(),
      initializing: z.int(),
      ready: z.int(),
      running: z.int(),
      throttled: z.int(),
      unhealthy: z.int(),
    }),
  })
  .meta({ id: "Health" });

export const takenJobSchema = z
  .looseObject({ id: z.string(), input: z.unknown() })
  .meta({ id: "TakenJob", description: "With every other field that the client sent" });

/** What a worker posts of a job: a result, an error, progress, or a chunk of its stream. */
export const workerReportSchema = z
  .looseObject({
    output: z.unknown().optional(),
    error: z.unknown().optional(),
    status: z.string().optional().meta({ description: "IN_PROGRESS: the output is progress" }),
    stopPod: z.boolean().optional().meta({ description: "The worker restarts after this job" }),
  })
  .meta({ id: "WorkerReport" });

export const receivedSchema = z.object({
  accepted: z
    .boolean()
    .meta({ description: "false: the worker does not hold the job any more, and nothing has changed" }),
});
