// The workers of an endpoint as its owner sees them.
import * as z from "zod";
import { INSTANCE_PHASES } from "../../core/fleet/instance.ts";
import { RATE_KINDS } from "../../core/job/pricing.ts";
import { WORKER_STATES } from "../../core/manage/worker-summary.ts";

export const shownWorkerSchema = z
  .object({
    id: z.string(),
    kind: z.enum(["pull", "push"]).meta({ description: "pull: it fetches its jobs; push: an upstream that is called" }),
    state: z.enum(WORKER_STATES),
    tier: z.string(),
    rateKind: z.enum(RATE_KINDS),
    slots: z.int(),
    running: z.int().meta({ description: "Jobs that it holds, of all tenants" }),
    jobs: z.array(z.string()).meta({ description: "Ids of those of them that are the owner's" }),
    lastSeenAt: z.int().optional().meta({ description: "Milliseconds since 1970" }),
    keyId: z.string().optional(),
    gpu: z.string().optional(),
    version: z.string().optional(),
    draining: z.boolean(),
    reason: z.string().optional().meta({ description: "Why it is unhealthy, or what else is odd about it" }),
    machine: z
      .object({
        phase: z.enum(INSTANCE_PHASES),
        since: z.int().meta({ description: "Since when it has this phase, milliseconds since 1970" }),
        providerId: z.string().nullable(),
        gpuTypeId: z.string().nullable(),
        pricePerHour: z
          .string()
          .meta({ description: "Dollars that the provider asks for while it runs, exact, with nine decimals" }),
        release: z.int().meta({ description: "The release of the endpoint that it was made by" }),
        startedAt: z
          .int()
          .meta({ description: "When it was last asked to be created or started, milliseconds since 1970" }),
        answeredAt: z.int().nullable().meta({ description: "When its provider had done so" }),
        readyAt: z.int().nullable().meta({ description: "When its worker first asked for a job" }),
        lastError: z.string().nullable(),
      })
      .optional()
      .meta({ id: "Machine", description: "The machine that the endpoint's fleet has it on" }),
  })
  .meta({ id: "OwnWorker" });

export const workerSummarySchema = z
  .object({
    running: z.int(),
    idle: z.int(),
    initializing: z.int(),
    throttled: z.int(),
    unhealthy: z.int(),
    total: z.int(),
  })
  .meta({ id: "OwnWorkerSummary" });
