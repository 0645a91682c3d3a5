// What a provider of the kinds `webhook` and `local` is sent, and what it answers (docs/providers.md). A new field may come in any
// version; one that changes its meaning, or goes, makes the next version.
import * as z from "zod";
import type { ProviderOperation, Refusal } from "../core/fleet/provider.ts";

export const HOOK_VERSION = 1;

const OPERATIONS = ["create", "start", "stop", "end", "list"] as const satisfies readonly ProviderOperation[];
const variables = z.record(z.string(), z.string());

/** What new machines are made of. Machines that are there keep what they were made of. */
const hookWorkerSchema = z.object({
  image: z.string(),
  /** Arguments for the entrypoint of the image, as one text; null: those of the image. */
  args: z.string().nullable(),
  /** GB; null: as the provider likes. */
  disk: z.int().nullable(),
  /** Such as `8000/http`. */
  ports: z.array(z.string()),
  /** Where a load-balanced worker is called, in the machine: its `url` leads to this port. Null: it fetches jobs, and is not called. */
  httpPort: z.int().nullable().default(null),
  /** The id of a credential for the image's registry, which the provider has; null: the image is public. */
  registry: z.string().nullable(),
  gpuCount: z.int(),
  /** At most one of the two is set: empty and null are any. */
  allowedCudaVersions: z.array(z.string()),
  minCudaVersion: z.string().nullable(),
  dataCenterIds: z.array(z.string()),
  networkVolumes: z.array(z.string()),
  /** Variables that all machines of the endpoint have. */
  env: variables,
});
export type HookWorker = z.infer<typeof hookWorkerSchema>;

const hookMachineSchema = z.object({
  /** `wb-{endpoint}-{instance}`: lower-case letters, digits and hyphens, at most 48 characters. */
  name: z.string(),
  instanceId: z.string(),
  /** The provider's own id, as it has answered it; null: it has answered none. */
  id: z.string().nullable(),
  gpuTypeId: z.string(),
  tier: z.string(),
  state: z.enum(["running", "stopped"]),
  /** Its hard end: whatever it does, it is not to live longer. */
  endsAt: z.iso.datetime(),
  /** Variables of this machine alone, which go before those of `worker`. Its key is among them. */
  env: variables,
});
export type HookMachine = z.infer<typeof hookMachineSchema>;

export const hookRequestSchema = z.object({
  type: z.literal("fleet.desired"),
  version: z.literal(HOOK_VERSION),
  endpointId: z.string(),
  /** Rises with each call for the endpoint: a state with a lower number than one that was taken is older. */
  number: z.int(),
  /** What has led to this call. All that is to be done is in the state. */
  operation: z.enum(OPERATIONS),
  /** The name of the machine that this is about; null: the call is a list. */
  machine: z.string().nullable(),
  /** Null: no machine can be made at the moment, and there is none to make. */
  worker: hookWorkerSchema.nullable(),
  /** All machines that there are to be. Any other one whose name begins with `wb-{endpoint}-` is to end. */
  machines: z.array(hookMachineSchema),
});
export type HookRequest = z.infer<typeof hookRequestSchema>;

/** The kinds of a refusal, as a hook names them. */
const REASONS = [
  "no_capacity",
  "bad_config",
  "unpaid",
  "denied",
  "wait",
  "unreachable",
  "unclear",
] as const satisfies readonly Refusal["kind"][];

const refusal = {
  detail: z.string().optional(),
  /** Of `wait`. */
  retryAfterSeconds: z.number().min(0).optional(),
};

/** More machines than an endpoint may have are no answer, but a mistake. */
const ANSWERED_MAX = 10_000;
const DOLLARS_PER_HOUR_MAX = 1_000_000;
/** As of a provider's own address. */
const URL_MAX_CHARS = 2_048;

/** The body of a 2xx. */
export const hookAnswerSchema = z.object({
  /** Every machine of the endpoint that exists, or is being made. */
  machines: z
    .array(
      z.object({
        name: z.string().min(1).max(255),
        id: z.string().min(1).max(255),
        status: z.enum(["creating", "running", "stopped", "ended", "failed"]),
        pricePerHour: z.number().min(0).max(DOLLARS_PER_HOUR_MAX).nullish(),
        url: z
          .url({ protocol: /^https?$/ })
          .max(URL_MAX_CHARS)
          .nullish(),
        detail: z.string().nullish(),
      }),
    )
    .max(ANSWERED_MAX),
  /** What was not done, by the name of the machine. */
  refused: z
    .array(z.object({ name: z.string(), reason: z.enum(REASONS), ...refusal }))
    .max(ANSWERED_MAX)
    .optional(),
});
export type HookAnswer = z.infer<typeof hookAnswerSchema>;

/** The body of any other status, if it has one. */
export const hookErrorSchema = z.object({
  reason: z.enum(REASONS).optional(),
  ...refusal,
  /** Of 409: the number of the newest state that it has taken. */
  number: z.int().optional(),
});
