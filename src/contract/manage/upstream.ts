// Upstreams of an endpoint as /v1 shows and takes them.
import * as z from "zod";
import { RATE_KINDS } from "../../core/job/pricing.ts";
import { SLOTS_MAX } from "../../core/manage/limits.ts";

const URL_MAX_CHARS = 2_048;
/** A header that a server takes is at most 8 KB in all. */
const CREDENTIAL_MAX_CHARS = 4_096;

const url = z.string().min(1).max(URL_MAX_CHARS).meta({ description: "Where jobs are sent" });
const name = z.string().max(200).meta({ description: "A name for people" });
/** A worker's price, for upstreams and for workers that pull. */
export const priceShape = {
  tier: z.string().min(1).max(100).meta({ description: "Id of a GPU type, which sets the price" }),
  rateKind: z
    .enum(RATE_KINDS)
    .meta({ description: "active: every second that the worker is held is paid for, so its jobs cost nothing more" }),
  slots: z.int().min(1).max(SLOTS_MAX).meta({ description: "Jobs at once; the price of a job is divided by it" }),
};
const enabled = z.boolean().meta({ description: "One that is not enabled gets no jobs" });
const credential = z
  .string()
  .min(1)
  .max(CREDENTIAL_MAX_CHARS)
  .regex(/^[\x20-\x7e]*$/, "must be printable ASCII, as it is sent in a header")
  .meta({ description: "Sent as `Authorization: Bearer`. Sealed at rest, and shown to nobody" });
const dialect = z.enum(["runpod", "http", "openai"]).meta({
  description: "runpod: an endpoint of RunPod or Waybill; http: POST with the job's input; openai: an OpenAI server",
});

export const createUpstreamSchema = z
  .strictObject({
    url,
    dialect,
    local: z.boolean().default(false).meta({ description: "runpod alone: `handler.py --rp_serve_api`" }),
    name: name.default(""),
    tier: priceShape.tier,
    rateKind: priceShape.rateKind.default("flex"),
    slots: priceShape.slots.default(1),
    enabled: enabled.default(true),
    credential: credential.nullable().default(null),
  })
  .refine((upstream) => !upstream.local || upstream.dialect === "runpod", {
    path: ["local"],
    error: "is for the dialect runpod alone",
  })
  .meta({ id: "NewUpstream" });
export type CreateUpstream = z.infer<typeof createUpstreamSchema>;

export const patchUpstreamSchema = z
  .strictObject({
    url: url.optional(),
    name: name.optional(),
    tier: priceShape.tier.optional(),
    rateKind: priceShape.rateKind.optional(),
    slots: priceShape.slots.optional(),
    enabled: enabled.optional(),
    credential: credential
      .nullable()
      .optional()
      .meta({ description: "null removes it. To be given with a url that leads to another server" }),
  })
  .meta({ id: "UpstreamPatch" });
export type PatchUpstream = z.infer<typeof patchUpstreamSchema>;

const upstreamShape = {
  id: z.string(),
  endpointId: z.string(),
  name: z.string(),
  url: z.string(),
  dialect: z.string(),
  local: z.boolean(),
  tier: z.string(),
  rateKind: z.string(),
  slots: z.int(),
  enabled: z.boolean(),
  hasCredential: z.boolean(),
  pricedBy: z
    .enum(["operator", "tenant"])
    .meta({ description: "Who has set tier, rateKind and slots. The tenant does not change what an operator has set" }),
  version: z.int(),
  createdAt: z.iso.datetime(),
};
export const upstreamSchema = z.object(upstreamShape).meta({ id: "Upstream" });
export type ShownUpstream = z.infer<typeof upstreamSchema>;

export const appliedSchema = z
  .boolean()
  .meta({ description: "The endpoint's broker has the change; false: it gets it within 5 min" });
export const changedUpstreamSchema = z
  .object({
    ...upstreamShape,
    applied: appliedSchema,
    warning: z.string().optional().meta({ description: "What was done, and should be looked at" }),
  })
  .meta({ id: "ChangedUpstream" });
export const removedUpstreamSchema = z
  .object({ id: z.string(), applied: appliedSchema })
  .meta({ id: "RemovedUpstream" });
export const testedUpstreamSchema = z
  .object({
    ok: z.boolean().meta({ description: "Jobs may be sent to it, as far as one question shows" }),
    status: z.int().optional().meta({ description: "The status of its answer; absent: there was none" }),
    tookMs: z.int(),
    detail: z.string().meta({ description: "What came, in a sentence" }),
  })
  .meta({ id: "TestedUpstream" });
