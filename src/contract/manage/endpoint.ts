// Endpoints as /v1 shows and takes them: RunPod's object and field names, and what RunPod has no words for.
import * as z from "zod";
import { ORIGIN_CHARS_MAX, ORIGINS_MAX } from "../../core/access/limits.ts";
import { originProblem } from "../../core/access/origin.ts";
import { EXECUTION_TIMEOUT_DEFAULT_MS, LB_BODY_MAX_BYTES, POLICY_MAX_MS, TTL_MIN_MS } from "../../core/limits.ts";
import { ATTEMPTS_MAX, RETENTION_MAX_MS } from "../../core/manage/limits.ts";
import { createGpuSchema, patchGpuSchema } from "./fleet.ts";
import { fleetRequestShape, fleetShape } from "./own-fleet.ts";
import {
  endpointTypeSchema,
  nameSchema,
  runPodEndpointShape,
  timeoutSchema,
  workersRequestShape,
} from "./runpod-endpoint.ts";

/** What RunPod's guide promises for an idle worker. */
export const IDLE_DEFAULT_SECONDS = 5;

const retentionMs = z.int().min(1_000).max(RETENTION_MAX_MS);
const slugSchema = z
  .string()
  .min(1)
  .max(100)
  .meta({ description: "A name for paths, beside the id; unique in the deployment" });

export const originSchema = z
  .string()
  .max(ORIGIN_CHARS_MAX)
  .superRefine((text, context) => {
    const problem = originProblem(text);
    if (problem !== null) context.addIssue({ code: "custom", message: problem });
  });

export const inputSchemaSchema = z.record(z.string(), z.unknown()).nullable().meta({
  description:
    "QUEUE: the JSON Schema (draft 2020-12 or draft-07) by which the input of a job is checked before it is taken; null: any input is taken",
});

const ours = {
  slug: slugSchema,
  paused: z.boolean().meta({ description: "A paused endpoint takes jobs and starts none" }),
  maxAttempts: z.int().min(1).max(ATTEMPTS_MAX).meta({ description: "Tries of a job" }),
  ttl: z
    .int()
    .min(TTL_MIN_MS)
    .max(POLICY_MAX_MS)
    .meta({ description: "Life of a job in ms, unless its policy has one" }),
  bodyMaxBytes: z
    .int()
    .min(1)
    .max(LB_BODY_MAX_BYTES)
    .meta({ description: "LOAD_BALANCER: bytes that one request may carry, each way" }),
  inferenceRoutes: z.string().min(1).max(4_000).meta({
    description:
      'Routes of an OpenAI server that clients reach: "inference", with more such as "inference,GET /v1/files/*", or "all"',
  }),
  tenantSharePercent: z
    .int()
    .min(1)
    .max(100)
    .meta({ description: "Of the endpoint's rows and bytes that one tenant may keep" }),
  allowedOrigins: z
    .array(originSchema)
    .max(ORIGINS_MAX)
    .refine((all) => new Set(all).size === all.length, "may name each origin once")
    .meta({ description: "Origins whose pages may call it from a browser, such as https://app.example" }),
  inputSchema: inputSchemaSchema,
  visibility: z.enum(["PRIVATE", "PUBLIC"]).meta({ description: "PUBLIC: every tenant with a key may call it" }),
};

const patchRetentionSchema = z
  .strictObject({ run: retentionMs.optional(), runsync: retentionMs.optional() })
  .meta({ description: "How long a finished job is kept, in ms" });

const optionalOurs = {
  slug: ours.slug.optional(),
  paused: ours.paused.optional(),
  maxAttempts: ours.maxAttempts.optional(),
  ttl: ours.ttl.optional(),
  retention: patchRetentionSchema.optional(),
  bodyMaxBytes: ours.bodyMaxBytes.optional(),
  inferenceRoutes: ours.inferenceRoutes.optional(),
  tenantSharePercent: ours.tenantSharePercent.optional(),
  allowedOrigins: ours.allowedOrigins.optional(),
  inputSchema: ours.inputSchema.optional(),
  visibility: ours.visibility.optional(),
};

export const createEndpointSchema = z
  .strictObject({
    ...workersRequestShape,
    ...fleetRequestShape,
    ...optionalOurs,
    tenantId: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .meta({ description: "With the scope admin: whose endpoint it becomes" }),
    name: nameSchema.optional(),
    type: endpointTypeSchema.default("QUEUE"),
    timeout: timeoutSchema.default(EXECUTION_TIMEOUT_DEFAULT_MS),
    gpu: createGpuSchema.optional(),
  })
  .refine(({ name, slug }) => name !== undefined || slug !== undefined, {
    path: ["name"],
    error: "name or slug is required",
  })
  .meta({ id: "NewEndpoint" });
export type CreateEndpoint = z.infer<typeof createEndpointSchema>;

export const patchEndpointSchema = z
  .strictObject({
    ...workersRequestShape,
    ...fleetRequestShape,
    ...optionalOurs,
    tenantSharePercent: ours.tenantSharePercent.nullable().optional().meta({ description: "null: the default" }),
    name: nameSchema.optional(),
    timeout: timeoutSchema.optional(),
    gpu: patchGpuSchema.optional(),
  })
  .meta({ id: "EndpointPatch" });
export type PatchEndpoint = z.infer<typeof patchEndpointSchema>;

export const endpointShape = {
  ...runPodEndpointShape,
  ...ours,
  ...fleetShape,
  tenantId: z.string(),
  version: z.int().meta({
    description: "Raised by each change of the endpoint, its upstreams, its worker keys and the providers that it uses",
  }),
  release: z.int().meta({ description: "The number of the newest release" }),
  templateId: z.string().nullable().meta({ description: "The template that was applied last" }),
  retention: z.object({ run: z.int(), runsync: z.int() }),
  tenantSharePercent: z.int().nullable(),
};
export const endpointSchema = z.object(endpointShape).meta({ id: "OwnEndpoint" });
/** After a change. */
export const changedEndpointSchema = z
  .object({
    ...endpointShape,
    applied: z.boolean().meta({ description: "The broker has the change; false: it gets it within 5 min" }),
  })
  .meta({ id: "ChangedEndpoint" });
export type ShownEndpoint = z.infer<typeof endpointSchema>;

export const deletedEndpointSchema = z
  .object({
    id: z.string(),
    applied: z.boolean().meta({
      description: "The broker has begun to end its jobs; false: it does within 5 min, and they run on until then",
    }),
  })
  .meta({ id: "DeletedEndpoint" });
