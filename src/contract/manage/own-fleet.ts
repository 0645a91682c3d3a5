// What /v1 takes and shows of an endpoint's fleet beyond RunPod's fields.
import * as z from "zod";
import {
  FLEET_NANODOLLARS_PER_HOUR_MAX,
  INIT_TIMEOUT_MAX_SECONDS,
  INIT_TIMEOUT_MIN_SECONDS,
  PROVIDERS_MAX,
  SLOTS_MAX,
  WORKER_LIFETIME_MAX_SECONDS,
  WORKER_LIFETIME_MIN_SECONDS,
} from "../../core/manage/limits.ts";
import { dollarsSchema } from "./dollars.ts";
import { patchWorkersShape, shownWorkersSchema } from "./runpod-endpoint.ts";
import { writtenScheduleSchema } from "./schedule.ts";

const providers = z
  .array(z.string().min(1).max(100))
  .max(PROVIDERS_MAX)
  .refine((all) => new Set(all).size === all.length, "may name each provider once")
  .nullable()
  .meta({
    description:
      "Ids of the providers that its workers are had of, once it has an image; null: the tenant's default ones; []: of none, so that it has no fleet",
  });
const slots = z.int().min(1).max(SLOTS_MAX).meta({
  description: "Jobs that one worker of the fleet runs at once; the price of a job is divided by it",
});
const maxCostPerHour = dollarsSchema(FLEET_NANODOLLARS_PER_HOUR_MAX)
  .nullable()
  .meta({ description: "Dollars that all of its machines may cost in an hour; null: no bound", examples: ["2.5"] });
const schedule = writtenScheduleSchema.nullable().meta({
  description: "Workers that are there at given hours, beyond workers.min; null: none",
});
const initTimeout = z.int().min(INIT_TIMEOUT_MIN_SECONDS).max(INIT_TIMEOUT_MAX_SECONDS).meta({
  description:
    "Seconds in which a worker has to ask for its first job, else its machine is ended. RUNPOD_INIT_TIMEOUT in env wins, if it is within the bounds",
});
const workerLifetime = z.int().min(WORKER_LIFETIME_MIN_SECONDS).max(WORKER_LIFETIME_MAX_SECONDS).meta({
  description: "Seconds after which a worker gets no more jobs, and its machine is ended once it has none",
});

/** Of a request. */
export const fleetRequestShape = {
  workers: z.strictObject({ ...patchWorkersShape, slots: slots.optional() }).optional(),
  providers: providers.optional(),
  schedule: schedule.optional(),
  maxCostPerHour: maxCostPerHour.optional(),
  initTimeout: initTimeout.optional(),
  workerLifetime: workerLifetime.optional(),
};

/** Of an answer. */
export const fleetShape = {
  workers: shownWorkersSchema.extend({ slots }),
  providers,
  schedule,
  maxCostPerHour: z.string().nullable().meta({ description: "Exact, with nine decimals; null: no bound" }),
  initTimeout,
  workerLifetime,
  gpuTypesWithoutTier: z.array(z.string()).meta({
    description:
      "GPU types of its pools that no tier has a price for: its fleet leaves them out, unless a provider's offer names a tier",
  }),
};
