// A job, its bill and its attempts as /v1 shows them. Times are milliseconds since 1970, as in RunPod's answers about jobs.
import * as z from "zod";
import { RATE_KINDS } from "../../core/job/pricing.ts";

const time = z.int().meta({ description: "Milliseconds since 1970" });
const dollars = z.string().meta({ description: "Exact, with nine decimals", examples: ["0.000320000"] });

export const jobStatusSchema = z
  .enum(["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"])
  .meta({ id: "JobStatusName", description: "RunPod's states of a job" });

export const queueSchema = z
  .object({
    position: z.int(),
    reason: z.enum([
      "NO_WORKERS",
      "ALL_BUSY",
      "STARTING",
      "NO_CAPACITY",
      "RETRY_WAIT",
      "TENANT_LIMIT",
      "PAUSED",
      "BUDGET",
      "UPSTREAM_PAUSED",
      "UPSTREAM_UNHEALTHY",
      "CRASH_LOOP",
    ]),
    detail: z.string(),
    since: time,
  })
  .meta({ id: "QueuePlace", description: "Why a job waits, and since when" });

/** One line of the bill, as its tenant sees it. */
const shownLineSchema = z
  .object({
    jobId: z.string().meta({
      description:
        "Of a load-balanced request lb- and its id; of time that an active upstream or worker is held active- and its id",
    }),
    endpointId: z.string(),
    attempt: z.int().meta({ description: "Of an active upstream or worker the number of its slice, an hour at most" }),
    billedMs: z.int().optional(),
    seconds: z.int().optional().meta({ description: "Absent for a load-balanced request, which is billed by 100 ms" }),
    tier: z.string(),
    rateKind: z.enum(RATE_KINDS),
    slots: z.int(),
    nanodollarsPerSecond: z.int(),
    amountNanodollars: z.int(),
    amountDollars: dollars,
    startedAt: time,
    finishedAt: time,
    tokens: z
      .object({ prompt: z.int(), completion: z.int(), estimated: z.boolean() })
      .optional()
      .meta({ description: "Of a job of an OpenAI route. estimated: counted by what was sent" }),
  })
  .meta({ id: "UsageLine" });

/** Lines of the bill and their sum. */
export const billShape = {
  lines: z.array(shownLineSchema),
  totalNanodollars: z.int(),
  totalDollars: dollars,
};

const attemptSchema = z
  .object({
    number: z.int(),
    workerId: z.string(),
    startedAt: time,
    endedAt: time.optional(),
    code: z
      .string()
      .optional()
      .meta({ description: "Why it failed; absent of one that runs or has completed the job" }),
    message: z.string().optional(),
    billed: z.boolean().optional(),
  })
  .meta({ id: "Attempt" });

/** One job in full. */
export const shownJobSchema = z
  .object({
    id: z.string(),
    endpointId: z.string(),
    status: jobStatusSchema,
    createdAt: time,
    queuedAt: time,
    ttlAt: time,
    metadata: z.record(z.string(), z.string()).optional().meta({ description: "The tags that its client gave it" }),
    finishedAt: time.optional(),
    expiresAt: time.optional().meta({ description: "When the result is deleted" }),
    delayTime: z.int().optional().meta({ description: "Milliseconds in the queue" }),
    executionTime: z.int().optional().meta({ description: "Milliseconds on a worker" }),
    workerId: z.string().optional(),
    retries: z.int(),
    error: z.string().optional(),
    failure: z
      .object({
        code: z.string(),
        message: z.string(),
        source: z.enum(["worker", "client", "waybill"]),
        status: z.int().optional(),
      })
      .optional(),
    queue: queueSchema.optional(),
    attempts: z.array(attemptSchema),
    webhook: z
      .object({
        url: z.string(),
        tries: z.int(),
        nextTryAt: time.optional(),
        givenUp: z.boolean(),
        lastError: z.string().optional(),
      })
      .optional(),
    ...billShape,
  })
  .meta({ id: "JobReport" });
