// Keys with which workers fetch an endpoint's jobs, as /v1 shows and takes them, and the environment of a worker.
import * as z from "zod";
import { expiryShape, isOneExpiry, keyText, ONE_EXPIRY } from "./key.ts";
import { appliedSchema, priceShape } from "./upstream.ts";

const wantedShape = {
  name: z.string().min(1).max(200).default("worker").meta({ description: "A name for people" }),
  tier: priceShape.tier,
  rateKind: priceShape.rateKind.default("flex"),
  slots: priceShape.slots.default(1).meta({ description: "Jobs that one worker of this key runs at once" }),
  ...expiryShape,
};

export const createWorkerKeySchema = z
  .strictObject(wantedShape)
  .refine(isOneExpiry, ONE_EXPIRY)
  .meta({ id: "NewWorkerKey" });
export type CreateWorkerKey = z.infer<typeof createWorkerKeySchema>;

export const createWorkerEnvSchema = z
  .strictObject({
    ...wantedShape,
    gpu: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .meta({ description: "What the worker calls its GPU; the tier unless given" }),
    base: z
      .string()
      .min(1)
      .max(2_048)
      .optional()
      .meta({ description: "Where workers reach the deployment; its own address unless given" }),
  })
  .refine(isOneExpiry, ONE_EXPIRY)
  .meta({ id: "NewWorkerEnvironment" });
export type CreateWorkerEnv = z.infer<typeof createWorkerEnvSchema>;

const workerKeyShape = {
  id: z.string().meta({ description: "Stands in the key: wb_live_{id}_…" }),
  endpointId: z.string(),
  name: z.string(),
  tier: z.string(),
  rateKind: z.string(),
  slots: z.int(),
  expiresAt: z.iso.datetime().nullable(),
  revokedAt: z.iso.datetime().nullable(),
  version: z.int(),
  createdAt: z.iso.datetime(),
};
export const workerKeySchema = z.object(workerKeyShape).meta({ id: "WorkerKey" });
export type ShownWorkerKey = z.infer<typeof workerKeySchema>;
export const createdWorkerKeySchema = z
  .object({ ...workerKeyShape, key: keyText, applied: appliedSchema })
  .meta({ id: "CreatedWorkerKey" });
export const revokedWorkerKeySchema = z
  .object({ ...workerKeyShape, applied: appliedSchema })
  .meta({ id: "RevokedWorkerKey" });

const form = z.object({
  lines: z.array(z.string()).meta({ description: "All that a file of this form may hold" }),
  hint: z.string().meta({ description: "How it is used" }),
});
export const workerEnvSchema = z
  .object({
    workerKey: workerKeySchema,
    applied: appliedSchema,
    variables: z
      .record(z.string(), z.string())
      .optional()
      .meta({ description: "By name; the key is among them, so a repeated creation has none" }),
    forms: z
      .object({ docker: form, sh: form, fields: form })
      .optional()
      .meta({ description: "The same for docker's --env-file, for a shell, and for a provider's form" }),
  })
  .meta({ id: "WorkerEnvironment" });
