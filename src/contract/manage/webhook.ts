// Webhooks as /v1 shows them: the secret, the log of tries, and what came of sending dead ones again.
import * as z from "zod";
import { REDELIVERED_AT_ONCE_MAX } from "../../core/job/webhook-limits.ts";
import { SECRET_OVERLAP_DEFAULT_SECONDS, SECRET_OVERLAP_MAX_SECONDS } from "../../core/manage/limits.ts";
import { paginationSchema, stepCursorSchema } from "./page.ts";

export const webhookSecretSchema = z
  .object({
    formerValidUntil: z.iso
      .datetime()
      .nullable()
      .meta({ description: "Until when the secret before the last rotation signs, too" }),
  })
  .meta({ id: "WebhookSecret" });

export const rotateSecretSchema = z
  .strictObject({
    overlapSeconds: z
      .int()
      .min(0)
      .max(SECRET_OVERLAP_MAX_SECONDS)
      .default(SECRET_OVERLAP_DEFAULT_SECONDS)
      .meta({ description: "How long each webhook is signed with the former secret, too" }),
  })
  .meta({ id: "WebhookSecretRotation" });
export type RotateSecret = z.infer<typeof rotateSecretSchema>;

export const rotatedSecretSchema = z
  .object({
    secret: z
      .string()
      .optional()
      .meta({ description: "whsec_…; shown here alone, and not where a rotation is repeated" }),
    formerValidUntil: z.iso.datetime().nullable(),
  })
  .meta({ id: "RotatedWebhookSecret" });

export const deliverySchema = z
  .object({
    at: z.iso.datetime(),
    jobId: z.string(),
    webhookId: z.string(),
    try: z.int().meta({ description: "1 for the first try of a webhook" }),
    delivered: z.boolean(),
    status: z.int().nullable().meta({ description: "The receiver's HTTP status" }),
    detail: z.string(),
    tookMs: z.number().nullable(),
  })
  .meta({ id: "Delivery" });
export type ShownDelivery = z.infer<typeof deliverySchema>;

export const redeliverySchema = z
  .object({ delivered: z.boolean(), status: z.int().optional(), detail: z.string(), tookMs: z.number() })
  .meta({ id: "Redelivery" });

export const redeliverSchema = z
  .strictObject({
    cursor: stepCursorSchema,
    limit: z
      .int()
      .min(1)
      .max(REDELIVERED_AT_ONCE_MAX)
      .default(REDELIVERED_AT_ONCE_MAX)
      .meta({ description: "Webhooks that one step sends at most" }),
  })
  .meta({ id: "RedeliverStep" });
export type Redeliver = z.infer<typeof redeliverSchema>;

export const redeliveriesSchema = z
  .object({
    delivered: z.int(),
    failed: z.int(),
    remaining: z.int().meta({ description: "Dead webhooks behind these that can be sent again" }),
    pagination: paginationSchema,
  })
  .meta({ id: "Redeliveries" });
